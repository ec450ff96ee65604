"""Fill a prefix from a lock, at its final path. The store publishes it; nothing here marks it as ready."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

from roost.daemon.definitions.stamps import stamp_in_prefix
from roost.daemon.engines.engine_set import Engines
from roost.daemon.integrity.folders import create_bytecode_folders, find_guarded_folders, seal_folders
from roost.daemon.jobs.progress import Progress
from roost.model.locks.lock import HostPython, Lock
from roost.model.records import FileStamp
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
    if isinstance(lock.provider, HostPython):
        await (await engines.pip()).create_venv(prefix, lock.provider)
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
    stamps = await asyncio.to_thread(_seal_prefix, prefix, lock)
    return FillResult(activation=changes, stamps=stamps), modified


def _seal_prefix(prefix: str, lock: Lock) -> tuple[FileStamp, ...]:
    """Protect the folders that installing or removing a package by hand touches; return the stamps of what every reuse
    checks: these folders and the interpreter."""
    create_bytecode_folders(prefix, find_guarded_folders(prefix))
    paths = [os.path.join(prefix, "bin", "python"), *seal_folders(prefix)]
    if isinstance(lock.provider, HostPython):
        paths += [lock.provider.executable, os.path.join(prefix, "pyvenv.cfg")]
    else:
        paths.append(os.path.join(prefix, "conda-meta", "history"))
    return tuple(stamp_in_prefix(path) for path in paths)
