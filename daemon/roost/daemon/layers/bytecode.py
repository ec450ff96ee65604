"""Byte-code for the layers of an image: compile what packages do not ship, and drop what they ship if it is stale.

It is of the unchecked hash-based kind (PEP 552): a source in a layer does not change, and its time is not that of
linking. The bytes are equal in every run, because there is one process for each package that compiles its files in
order, every process starts the same (no ``site``, no locale, a fixed seed), and files have the path in the image.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Sequence

import msgspec

from roost.daemon.engines.conda.scripts import SYSTEM_PATH, run_captured
from roost.daemon.engines.host_python import interpreters
from roost.daemon.layers.conda_packages import IMAGE_ROOT
from roost.daemon.layers.tar import FIXED_TIME, LayerEntry
from roost.store.cancellation import finish_thread_despite_cancel

_COMPILE_SCRIPT = """
import py_compile, sys
with open(sys.argv[1], "rb") as stream:
    names = stream.read().decode("utf-8", "surrogateescape").split("\\0")[:-1]
for source, name, target in zip(names[::3], names[1::3], names[2::3]):
    try:
        py_compile.compile(
            source, target, name, doraise=True, optimize=0,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    except Exception:
        pass
"""
# Not -E or -I, which would ignore the seed; every variable of the environment is set here anyway.
_COMPILER_OPTIONS = ("-S", "-s", "-W", "ignore", "-c", _COMPILE_SCRIPT)
_COMPILER_ENVIRONMENT = {"PATH": SYSTEM_PATH, "LC_ALL": "C", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
_SOURCE_NAME = re.compile(rf"{re.escape(IMAGE_ROOT)}/lib/python3[^/]*/.*\.py$")
_HEADER_SIZE = 16  # magic, flags, time and size, or digest (PEP 552)


class Compiler(msgspec.Struct, frozen=True, kw_only=True):
    """A Python that compiles byte-code for a Python of the same ``X.Y``."""

    executable: str
    version: str
    """``X.Y.Z``"""

    @property
    def tag(self) -> str:
        """The tag in the names of byte-code files: ``cpython-312``."""
        major, minor = self.version.split(".")[:2]
        return f"cpython-{major}{minor}"


def find_compiler(version: str, packages_dir: str) -> Compiler | None:
    """Return a Python of this machine that can compile for ``version`` on another platform, if there is one. Blocks.

    One of exactly the same version is preferred, also from the package cache; otherwise one of the same ``X.Y``.
    """
    minor = ".".join(version.split(".")[:2])
    close: Compiler | None = None
    for path in _list_candidates(version, minor, packages_dir):
        probed = interpreters.probe_interpreter(path)
        if probed is None or not probed.is_usable:
            continue
        found = Compiler(executable=probed.executable, version=probed.version)
        if probed.version == version:
            return found
        if close is None and probed.version.startswith(minor + "."):
            close = found
    return close


def _list_candidates(version: str, minor: str, packages_dir: str) -> Iterator[str]:
    names = sorted(os.listdir(packages_dir)) if os.path.isdir(packages_dir) else []
    for name in names:
        if name.startswith(f"python-{version}-") and not name.endswith(".lock"):
            yield os.path.join(packages_dir, name, "bin", f"python{minor}")
    yield from interpreters.list_interpreters()


async def add_bytecode(entries: list[LayerEntry], compiler: Compiler | None, folder: str) -> list[LayerEntry]:
    """Return ``entries`` of one package with byte-code for all its sources, and without stale byte-code.

    ``folder`` is created and must exist until the entries have been read. A source that does not compile gets none;
    without a ``compiler`` only stale byte-code is dropped.
    """
    plan = await finish_thread_despite_cancel(_plan_compilation, entries, compiler, folder)
    if not plan.jobs or compiler is None:
        return plan.entries
    command = [compiler.executable, *_COMPILER_OPTIONS, os.path.join(folder, "jobs")]
    await run_captured(command, os.path.join(folder, "cwd"), _COMPILER_ENVIRONMENT)
    return await asyncio.to_thread(_add_compiled, plan)


class _CompileJob(msgspec.Struct, frozen=True):
    source: str
    """Path of the source in the stage."""
    name: str
    """Name of the source in the image."""
    target: str
    """Name of the byte-code in the image."""
    output: str
    """Path that the byte-code is compiled to."""


class _CompilePlan(msgspec.Struct, frozen=True):
    entries: list[LayerEntry]
    jobs: list[_CompileJob]


def _plan_compilation(entries: list[LayerEntry], compiler: Compiler | None, folder: str) -> _CompilePlan:
    by_name = {entry.name: entry for entry in entries}
    sources = sorted(entry.name for entry in entries if entry.kind == "file" and _SOURCE_NAME.match(entry.name))
    stale = {name for source in sources for name in _list_shipped(source, by_name) if _is_stale(by_name, source, name)}
    fresh = [entry for entry in entries if entry.name not in stale]
    if compiler is None:
        return _CompilePlan(fresh, [])
    existing = by_name.keys() - stale
    jobs = []
    for number, source in enumerate(sources):
        target = _pyc_name(source, compiler.tag)
        if target not in existing:
            jobs.append(_CompileJob(by_name[source].source, source, target, os.path.join(folder, f"{number}.pyc")))
    if jobs:
        _write_jobs(jobs, folder)
    return _CompilePlan(fresh, jobs)


def _write_jobs(jobs: Sequence[_CompileJob], folder: str) -> None:
    os.makedirs(os.path.join(folder, "cwd"))
    with open(os.path.join(folder, "jobs"), "wb") as stream:
        for job in jobs:
            stream.write(os.fsencode(f"{job.source}\0/{job.name}\0{job.output}\0"))


def _add_compiled(plan: _CompilePlan) -> list[LayerEntry]:
    compiled = [LayerEntry(name=job.target, source=job.output) for job in plan.jobs if os.path.exists(job.output)]
    return plan.entries + compiled


def _pyc_name(source: str, tag: str) -> str:
    folder, _, name = source.rpartition("/")
    return f"{folder}/__pycache__/{name[:-3]}.{tag}.pyc"


def _list_shipped(source: str, by_name: dict[str, LayerEntry]) -> list[str]:
    """Return the names of the byte-code of ``source`` that its package ships, optimized levels included."""
    version = re.search(r"/lib/python3\.(\d+)", source)
    tag = f"cpython-3{version[1]}" if version else ""
    names = (_pyc_name(source, tag), *(_pyc_name(source, f"{tag}.opt-{level}") for level in (1, 2)))
    return [name for name in names if name in by_name]


def _is_stale(by_name: dict[str, LayerEntry], source: str, compiled: str) -> bool:
    with open(by_name[compiled].source, "rb", buffering=0) as stream:
        header = stream.read(_HEADER_SIZE)
    if len(header) < _HEADER_SIZE:
        return True
    if header[4:8] != b"\0\0\0\0":  # hash-based, checked or not: stale if linking changed the source
        return by_name[source].time == FIXED_TIME
    size = os.stat(by_name[source].source).st_size
    expected = (by_name[source].time & 0xFFFFFFFF).to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
    return header[8:] != expected
