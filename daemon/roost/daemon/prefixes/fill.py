"""Fill a prefix from a lock, at its final path. The store publishes it; nothing here marks it as ready."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping

import msgspec

from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.engine import choose_for_lock
from roost.daemon.engines.host_python.fit import marker_environment
from roost.daemon.engines.host_python.interpreters import Interpreter
from roost.daemon.engines.uv.prefix import read_requirements
from roost.daemon.jobs.progress import Progress
from roost.daemon.prefixes.bytecode_digests import load_prefix_digests
from roost.daemon.prefixes.editable_links import Link, choose_links, find_named_paths, list_links, stamp_links
from roost.daemon.prefixes.seal import seal_prefix
from roost.daemon.prefixes.wheel_code import list_wheel_code
from roost.daemon.projects.install import ProjectBuild, install_project
from roost.daemon.projects.layer import split_project
from roost.model.locks.lock import HostPython, Lock
from roost.model.locks.markers import merge_outcomes, record_markers, record_python_specifiers
from roost.model.records import FileStamp, PrefixPython
from roost.store.artifacts.publish import FillResult

_CLOCK_NS = 2 * 10**9
"""How far the times of a file system may be behind the clock."""


async def fill_prefix(
    engines: Engines,
    lock: Lock,
    prefix: str,
    progress: Progress,
    credentials: Mapping[str, str],
    build: ProjectBuild | None = None,
) -> tuple[FillResult, list[str]]:
    """Link and install everything in ``lock`` below ``prefix``, then compute its activation and seal it.

    In background work, code of packages that has not run here is refused before anything of it runs; otherwise all that
    has run is recorded at the end. ``credentials`` are by origin; they include the URLs with the values of variables by
    those with the names. ``build``: how the project is built, if ``lock`` is that of a project layer. Returns also the
    names of packages whose files in the caches had been modified, and so in every prefix that shares them.
    Raises the errors of the engines.
    """
    modified: list[str] = []
    interpreter: Interpreter | None = None
    began = time.time_ns() - _CLOCK_NS
    links = await asyncio.to_thread(list_links, lock)
    if isinstance(lock.provider, HostPython):
        interpreter = await asyncio.to_thread(choose_for_lock, lock)
        await (await engines.pip()).create_venv(prefix, interpreter.executable)
    else:
        conda = await engines.conda()
        await conda.check_machine(lock.system)
        modified += await conda.link(lock.conda, prefix, progress=progress, credentials=credentials)
    python = os.path.join(prefix, "bin", "python")
    wheels, project = split_project(lock)
    if wheels:
        modified += await (await engines.pip()).install(
            wheels, prefix=prefix, python_path=python, progress=progress, credentials=credentials
        )
    if project is not None:
        await install_project(engines, project, build or ProjectBuild(), prefix, python, progress, credentials)
    code = await asyncio.to_thread(list_wheel_code, prefix, lock.wheels)
    await engines.known_code.require(code)
    bytecode: dict[str, str] = {}
    is_due = False
    if await asyncio.to_thread(os.path.exists, python):
        from roost.daemon.prefixes.bytecode import link_stored

        tag, is_due = await link_stored(prefix, python, lock, engines.bytecode_folder, progress)
        bytecode = await asyncio.to_thread(load_prefix_digests, prefix, lock, engines.bytecode_folder, tag)
    from roost.daemon.engines.conda.activation import compute_activation

    changes = await compute_activation(prefix)
    if lock.conda:
        code += await (await engines.conda()).list_code(lock.conda)
    await engines.known_code.record(code)
    seal = await asyncio.to_thread(seal_prefix, prefix, _guarded_files(prefix, interpreter), bytecode, began)
    guards = await asyncio.to_thread(_guard_links, prefix, lock, links)
    filled = FillResult(
        activation=changes,
        stamps=(*seal.stamps, *guards),
        manifest=seal.manifest,
        count=seal.count,
        bytecode_due=is_due or bool(seal.dropped),
    )
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


def _guard_links(prefix: str, lock: Lock, before: frozenset[Link]) -> tuple[FileStamp, ...]:
    """Return the guards of what the editable installations in ``prefix`` were reached by; ``before`` are the links of
    their folders before anything was installed, some of which may lead elsewhere by now."""
    if all(wheel.kind != "editable" for wheel in lock.wheels):
        return ()
    return stamp_links(choose_links(before | list_links(lock), find_named_paths(prefix, lock)))


def _guarded_files(prefix: str, interpreter: Interpreter | None) -> list[str]:
    """Return the files that every use of the prefix checks."""
    python = os.path.join(prefix, "bin", "python")
    if interpreter is not None:
        return [python, interpreter.executable, os.path.join(prefix, "pyvenv.cfg")]
    return [python, os.path.join(prefix, "conda-meta", "history")]
