"""Fill a prefix from a lock, at its final path. The store publishes it; nothing here marks it as ready."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

import msgspec

from roost.daemon.definitions.stamps import stamp_in_prefix
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.engine import choose_for_lock
from roost.daemon.engines.host_python.fit import marker_environment
from roost.daemon.engines.host_python.interpreters import Interpreter
from roost.daemon.engines.uv.prefix import read_requirements
from roost.daemon.integrity.folders import create_bytecode_folders, find_guarded_folders, seal_folders
from roost.daemon.jobs.progress import Progress
from roost.model.locks.lock import HostPython, Lock
from roost.model.locks.markers import merge_outcomes, record_markers, record_python_specifiers
from roost.model.records import FileStamp, PrefixPython
from roost.store.artifacts.publish import FillResult


async def fill_prefix(
    engines: Engines, lock: Lock, prefix: str, progress: Progress, credentials: Mapping[str, str]
) -> tuple[FillResult, list[str]]:
    """Link, install and compile everything in ``lock`` below ``prefix``, then compute its activation and seal it.

    ``credentials`` are by origin; they include the URLs with the values of variables by those with the names. Returns
    also the names of packages whose files in the caches had been modified, and so in every prefix that shares them.
    Raises the errors of the engines.
    """
    modified: list[str] = []
    interpreter: Interpreter | None = None
    if isinstance(lock.provider, HostPython):
        interpreter = await asyncio.to_thread(choose_for_lock, lock)
        await (await engines.pip()).create_venv(prefix, interpreter.executable)
    else:
        conda = await engines.conda()
        await conda.check_machine(lock.system)
        modified += await conda.link(lock.conda, prefix, progress=progress, credentials=credentials)
    python = os.path.join(prefix, "bin", "python")
    if lock.wheels:
        modified += await (await engines.pip()).install(
            lock.wheels, prefix=prefix, python_path=python, progress=progress, credentials=credentials
        )
    if await asyncio.to_thread(os.path.exists, python):
        from roost.daemon.prefixes.bytecode import compile_prefix

        await compile_prefix(prefix, python, lock, engines.bytecode_folder, progress)
    from roost.daemon.engines.conda.activation import compute_activation

    changes = await compute_activation(prefix)
    stamps = await asyncio.to_thread(_seal_prefix, prefix, interpreter)
    filled = FillResult(activation=changes, stamps=stamps)
    if interpreter is not None:
        used = PrefixPython(executable=interpreter.executable, version=interpreter.version)
        known = await asyncio.to_thread(_add_markers, prefix, lock, interpreter)
        filled = msgspec.structs.replace(filled, python=used, lock=known)
    return filled, modified


def _add_markers(prefix: str, lock: Lock, interpreter: Interpreter) -> Lock | None:
    """Return the lock with the markers of its packages' own requirements; ``None`` if it has them or needs none."""
    if lock.markers_known or lock.format == 1:
        return None
    requirements, specifiers = read_requirements(prefix, lock.wheels)
    environment = marker_environment(interpreter)
    found = record_markers(requirements, environment) + record_python_specifiers(specifiers, environment)
    return msgspec.structs.replace(lock, markers=merge_outcomes([*lock.markers, *found]), markers_known=True)


def _seal_prefix(prefix: str, interpreter: Interpreter | None) -> tuple[FileStamp, ...]:
    """Protect the folders that installing or removing a package by hand touches; return the stamps of what every reuse
    checks: these folders and the interpreter."""
    create_bytecode_folders(prefix, find_guarded_folders(prefix))
    paths = [os.path.join(prefix, "bin", "python"), *seal_folders(prefix)]
    if interpreter is not None:
        paths += [interpreter.executable, os.path.join(prefix, "pyvenv.cfg")]
    else:
        paths.append(os.path.join(prefix, "conda-meta", "history"))
    return tuple(stamp_in_prefix(path) for path in paths)
