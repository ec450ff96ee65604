"""Byte-code for the layers of an image: what packages do not ship, and what shipped byte-code no longer fits.

Valid by its source's digest, unchecked (PEP 552): a source in a layer does not change, and times in it are not those
of linking. Equal bytes in every run come from one process for each package, its files in order, the same start each
time (no ``site``, no locale, fixed seed), and from naming the path in the image.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Sequence

import msgspec

from roost.daemon.engines.conda.scripts import SYSTEM_PATH, run_captured
from roost.daemon.engines.host_python import interpreters
from roost.daemon.layers.link import IMAGE_ROOT
from roost.daemon.layers.tar import FIXED_TIME, LayerEntry
from roost.store.cancellation import finish_thread_despite_cancel

_COMPILE = """
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
# No -E, -I: they would ignore the seed. The environment is ours to the last variable anyway.
_OPTIONS = ("-S", "-s", "-W", "ignore", "-c", _COMPILE)
_ENVIRONMENT = {"PATH": SYSTEM_PATH, "LC_ALL": "C", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
_SOURCE = re.compile(rf"{re.escape(IMAGE_ROOT)}/lib/python3[^/]*/.*\.py$")
_HEADER = 16  # magic, flags, time and size, or digest (PEP 552)


class Compiler(msgspec.Struct, frozen=True, kw_only=True):
    """A Python that makes byte-code for another of the same ``X.Y``."""

    executable: str
    version: str
    """``X.Y.Z``"""

    @property
    def tag(self) -> str:
        major, minor = self.version.split(".")[:2]
        return f"cpython-{major}{minor}"


def find_compiler(version: str, packages_dir: str) -> Compiler | None:
    """A Python of this machine for byte-code of ``version`` on another platform: one of the very same version, if
    there is any, in the package cache too; else of the same ``X.Y``. Blocks."""
    minor = ".".join(version.split(".")[:2])
    close: Compiler | None = None
    for path in _candidates(version, minor, packages_dir):
        probed = interpreters.probe_interpreter(path)
        if probed is None or not probed.final or probed.free_threaded or probed.implementation != "cpython":
            continue
        found = Compiler(executable=probed.executable, version=probed.version)
        if probed.version == version:
            return found
        if close is None and probed.version.startswith(minor + "."):
            close = found
    return close


def _candidates(version: str, minor: str, packages_dir: str) -> Iterator[str]:
    names = sorted(os.listdir(packages_dir)) if os.path.isdir(packages_dir) else []
    for name in names:
        if name.startswith(f"python-{version}-") and not name.endswith(".lock"):
            yield os.path.join(packages_dir, name, "bin", f"python{minor}")
    yield from interpreters.list_interpreters()


async def add_bytecode(entries: list[LayerEntry], compiler: Compiler | None, folder: str) -> list[LayerEntry]:
    """``entries`` of one package with all the byte-code that they can have, and none that is stale.

    ``folder`` is made, and has to stay until the entries were read. What does not compile goes without.
    """
    work = await finish_thread_despite_cancel(_prepare, entries, compiler, folder)
    if not work.jobs or compiler is None:
        return work.entries
    command = [compiler.executable, *_OPTIONS, os.path.join(folder, "jobs")]
    await run_captured(command, os.path.join(folder, "cwd"), _ENVIRONMENT)
    return await asyncio.to_thread(_with_made, work)


class _Job(msgspec.Struct, frozen=True):
    source: str
    name: str
    """Of the source in the image."""
    target: str
    made: str


class _Work(msgspec.Struct, frozen=True):
    entries: list[LayerEntry]
    jobs: list[_Job]


def _prepare(entries: list[LayerEntry], compiler: Compiler | None, folder: str) -> _Work:
    by_name = {entry.name: entry for entry in entries}
    sources = sorted(entry.name for entry in entries if entry.kind == "file" and _SOURCE.match(entry.name))
    stale = {name for source in sources for name in _shipped(source, by_name) if _is_stale(by_name, source, name)}
    left = [entry for entry in entries if entry.name not in stale]
    if compiler is None:
        return _Work(left, [])
    there = by_name.keys() - stale
    jobs = []
    for number, source in enumerate(sources):
        target = _pyc(source, compiler.tag)
        if target not in there:
            jobs.append(_Job(by_name[source].source, source, target, os.path.join(folder, f"{number}.pyc")))
    if jobs:
        _write_jobs(jobs, folder)
    return _Work(left, jobs)


def _write_jobs(jobs: Sequence[_Job], folder: str) -> None:
    os.makedirs(os.path.join(folder, "cwd"))
    with open(os.path.join(folder, "jobs"), "wb") as stream:
        for job in jobs:
            stream.write(os.fsencode(f"{job.source}\0/{job.name}\0{job.made}\0"))


def _with_made(work: _Work) -> list[LayerEntry]:
    made = [LayerEntry(name=job.target, source=job.made) for job in work.jobs if os.path.exists(job.made)]
    return work.entries + made


def _pyc(source: str, tag: str) -> str:
    folder, _, name = source.rpartition("/")
    return f"{folder}/__pycache__/{name[:-3]}.{tag}.pyc"


def _shipped(source: str, by_name: dict[str, LayerEntry]) -> list[str]:
    """The byte-code of ``source`` that its package ships, optimised levels too."""
    version = re.search(r"/lib/python3\.(\d+)", source)
    tag = f"cpython-3{version[1]}" if version else ""
    names = (_pyc(source, tag), *(_pyc(source, f"{tag}.opt-{level}") for level in (1, 2)))
    return [name for name in names if name in by_name]


def _is_stale(by_name: dict[str, LayerEntry], source: str, compiled: str) -> bool:
    with open(by_name[compiled].source, "rb", buffering=0) as stream:
        header = stream.read(_HEADER)
    if len(header) < _HEADER:
        return True
    if header[4:8] != b"\0\0\0\0":  # by digest, checked or not: stale where linking changed the source
        return by_name[source].time == FIXED_TIME
    size = os.stat(by_name[source].source).st_size
    expected = (by_name[source].time & 0xFFFFFFFF).to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")
    return header[8:] != expected
