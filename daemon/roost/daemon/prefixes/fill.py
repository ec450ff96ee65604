"""Fill a prefix from a lock, at its final path. The store publishes it; nothing here marks it as ready."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence

import msgspec

from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.engine import choose_for_lock
from roost.daemon.engines.host_python.fit import marker_environment
from roost.daemon.engines.host_python.interpreters import Interpreter
from roost.daemon.engines.uv.parts.linking import LinkedWheels
from roost.daemon.engines.uv.prefix import read_requirements
from roost.daemon.engines.uv.unpacked.content import FileState
from roost.daemon.jobs.progress import Progress
from roost.daemon.prefixes.bytecode import link_stored, python_tag
from roost.daemon.prefixes.bytecode_digests import load_prefix_digests
from roost.daemon.prefixes.editable_links import Link, choose_links, find_named_paths, list_links, stamp_links
from roost.daemon.prefixes.linked_wheels import KnownContent, complete_venv, list_part_code, list_venv
from roost.daemon.prefixes.seal import seal_known, seal_prefix
from roost.daemon.prefixes.wheel_code import list_wheel_code
from roost.daemon.projects.install import ProjectBuild, install_project
from roost.daemon.projects.layer import split_project
from roost.model.locks.lock import HostPython, Lock, Wheel
from roost.model.locks.markers import merge_outcomes, record_markers, record_python_specifiers
from roost.model.records import FileStamp, PrefixPython
from roost.store.artifacts.publish import FillResult
from roost.store.cancellation import finish_thread_despite_cancel

_CLOCK_NS = 2 * 10**9
"""How far the times of a file system may be behind the clock."""


class Filling(msgspec.Struct, frozen=True, kw_only=True):
    """How a prefix was filled."""

    result: FillResult
    modified: Sequence[str]
    """Names of packages whose files in the caches had been modified, and so in every prefix that shares them."""
    is_new_to_uv: bool
    """Whether uv has installed wheels, of which it may be learned what it makes of them."""


async def fill_prefix(
    engines: Engines,
    lock: Lock,
    prefix: str,
    progress: Progress,
    credentials: Mapping[str, str],
    build: ProjectBuild | None = None,
) -> Filling:
    """Link and install everything in ``lock`` below ``prefix``, then compute its activation and seal it.

    In background work, code of packages that has not run here is refused before anything of it runs; otherwise all that
    has run is recorded at the end. ``credentials`` are by origin; they include the URLs with the values of variables by
    those with the names. ``build``: how the project is built, if ``lock`` is that of a project layer.
    Raises the errors of the engines.
    """
    modified: list[str] = []
    interpreter: Interpreter | None = None
    linked: LinkedWheels | None = None
    venv = content = None
    read: Mapping[FileState, str] = {}
    began = time.time_ns() - _CLOCK_NS
    has_editables = any(wheel.kind == "editable" for wheel in lock.wheels)
    links = await asyncio.to_thread(list_links, lock) if has_editables else frozenset[Link]()
    python = os.path.join(prefix, "bin", "python")
    wheels, project = split_project(lock)
    if isinstance(lock.provider, HostPython):
        interpreter = await asyncio.to_thread(choose_for_lock, lock)
        pip = await engines.pip()
        await pip.create_venv(prefix, interpreter.executable)
        if wheels:
            venv = await asyncio.to_thread(list_venv, prefix, began)
            linked = await pip.link_known(wheels, prefix)
            if not linked.rest:
                _report_linked(wheels, progress)
    else:
        conda = await engines.conda()
        await conda.check_machine(lock.system)
        modified += await conda.link(lock.conda, prefix, progress=progress, credentials=credentials)
    if rest := wheels if linked is None else linked.rest:
        installed = await (await engines.pip()).install(
            rest, prefix=prefix, python_path=python, progress=progress, credentials=credentials
        )
        modified += installed.modified
        read = installed.content
    if project is not None:
        await install_project(engines, project, build or ProjectBuild(), prefix, python, progress, credentials)
    is_known = linked is not None and not linked.rest and project is None
    if linked is not None and is_known:
        code = list(list_part_code(linked, wheels))
    else:
        code = await asyncio.to_thread(list_wheel_code, prefix, lock.wheels)
    await engines.known_code.require(code)
    bytecode: dict[str, str] = {}
    is_due = False
    if venv is not None and linked is not None and is_known:
        content = await _link_bytecode(engines, venv, linked, prefix, python, progress)
        is_due = content.bytecode_due
    elif await asyncio.to_thread(os.path.exists, python):
        tag, is_due = await link_stored(prefix, python, lock, engines.bytecode_folder, progress)
        bytecode = await asyncio.to_thread(load_prefix_digests, prefix, lock, engines.bytecode_folder, tag)
    from roost.daemon.engines.conda.activation import compute_activation

    changes = await compute_activation(prefix)
    if lock.conda:
        code += await (await engines.conda()).list_code(lock.conda)
    await engines.known_code.record(code)
    guarded = _guarded_files(prefix, interpreter)
    if content is not None:
        seal = await asyncio.to_thread(seal_known, prefix, guarded, content)
    else:
        seal = await asyncio.to_thread(seal_prefix, prefix, guarded, bytecode, began, read)
    guards = await asyncio.to_thread(_guard_links, prefix, lock, links) if has_editables else ()
    filled = FillResult(
        activation=changes,
        stamps=(*seal.stamps, *guards),
        manifest=seal.manifest,
        count=seal.count,
        bytecode_due=is_due or bool(seal.dropped),
    )
    if interpreter is not None:
        used = PrefixPython(executable=interpreter.executable, version=interpreter.version)
        known = await asyncio.to_thread(_add_markers, prefix, lock, interpreter, linked)
        filled = msgspec.structs.replace(filled, python=used, lock=known)
    return Filling(result=filled, modified=modified, is_new_to_uv=interpreter is not None and bool(rest))


async def _link_bytecode(
    engines: Engines, venv: KnownContent, linked: LinkedWheels, prefix: str, python: str, progress: Progress
) -> KnownContent:
    progress.start("bytecode")
    tag = await python_tag(python)
    content = await finish_thread_despite_cancel(complete_venv, venv, linked, prefix, engines.bytecode_folder, tag)
    progress.finish("bytecode")
    return content


def _report_linked(wheels: Sequence[Wheel], progress: Progress) -> None:
    """Report wheels that were linked without uv, as an installation by uv is reported."""
    progress.start("pip", len(wheels))
    progress.log(f"Linked {len(wheels)} packages that were installed before")
    for wheel in sorted(wheels, key=lambda wheel: wheel.name):
        progress.log(f" + {wheel.name}=={wheel.version}")
    progress.advance("pip", len(wheels), len(wheels))
    progress.finish("pip")


def _add_markers(prefix: str, lock: Lock, interpreter: Interpreter, linked: LinkedWheels | None) -> Lock | None:
    """Return the lock with the markers of its packages' own requirements; ``None`` if it has them or needs none."""
    if lock.markers_known or lock.format == 1:
        return None
    parts = linked.parts if linked is not None else {}
    requirements, specifiers = read_requirements(prefix, [each for each in lock.wheels if each.sha256 not in parts])
    requirements += [text for part in parts.values() for text in part.requirements]
    specifiers += [text for part in parts.values() for text in part.python_specifiers]
    environment = marker_environment(interpreter)
    found = record_markers(requirements, environment) + record_python_specifiers(specifiers, environment)
    return msgspec.structs.replace(lock, markers=merge_outcomes([*lock.markers, *found]), markers_known=True)


def _guard_links(prefix: str, lock: Lock, before: frozenset[Link]) -> tuple[FileStamp, ...]:
    """Return the guards of what the editable installations in ``prefix`` were reached by; ``before`` are the links of
    their folders before anything was installed, some of which may lead elsewhere by now."""
    return stamp_links(choose_links(before | list_links(lock), find_named_paths(prefix, lock)))


def _guarded_files(prefix: str, interpreter: Interpreter | None) -> list[str]:
    """Return the files that every use of the prefix checks."""
    python = os.path.join(prefix, "bin", "python")
    if interpreter is not None:
        return [python, interpreter.executable, os.path.join(prefix, "pyvenv.cfg")]
    return [python, os.path.join(prefix, "conda-meta", "history")]
