"""Byte-code, compiled once for each package and Python, stored, and hard-linked into prefixes.

Packages for any Python (``noarch: python``, wheels) ship none, and without it the first import compiles, again in every
prefix. A stored ``.pyc`` is of the ordinary, timestamp-based kind (PEP 552), valid by the time and size of its source:
a prefix's sources are hard links into the cache and so have the same time in all prefixes; an import need not read the
source, as it must with a checked hash; and an edit in place is noticed, as it is not with an unchecked hash. A source
with another time than the compiled one (changed by linking, copied, extracted again) is compiled again. The path in the
byte-code does not matter: importing replaces it by the real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import errno
import glob
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from roost.daemon.engines.conda.cache import file_digest
from roost.daemon.engines.conda.scripts import run_captured, sanitize_environment
from roost.daemon.jobs.progress import Progress, Silent
from roost.daemon.prefixes.bytecode_digests import load_digests, save_digests
from roost.model.errors import MALFORMED_JSON, StoreFullError
from roost.model.locks.lock import CondaPackage, Lock, Wheel
from roost.store.cancellation import finish_thread_despite_cancel
from roost.store.disk.file_ops import sync_filesystem

# Runs in the prefix's own Python, isolated: reads "source NUL target NUL" pairs, and skips what does not compile
# (templates, code for other versions) as pip and conda do.
_COMPILE_SCRIPT = """
import importlib._bootstrap_external as external, os, sys
with open(sys.argv[1], "rb") as stream:
    names = os.fsdecode(stream.read()).split("\\0")[:-1]
for source, target in zip(names[::2], names[1::2]):
    try:
        with open(source, "rb") as stream:
            text = stream.read()
            status = os.fstat(stream.fileno())
        code = compile(text, source, "exec", dont_inherit=True, optimize=0)
        data = external._code_to_timestamp_pyc(code, int(status.st_mtime), status.st_size)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target + ".new", "wb") as stream:
            stream.write(data)
        os.replace(target + ".new", target)
    except Exception:
        continue
"""
_TAG_SCRIPT = "import importlib.util as u, sys; print(sys.implementation.cache_tag + '-' + u.MAGIC_NUMBER.hex())"
_HEADER_SIZE = 16  # magic, flags, time, size: four little-endian words (PEP 552)
_FILES_PER_PROCESS = 40  # another process does not pay for fewer files

_STORING = threading.Lock()
"""Held while byte-code is moved into the store with its digests: what another build has stored is linked instead."""
_tags: dict[tuple[str, int, int], str] = {}
"""Real path, mtime and inode of an interpreter to its tag."""


class PackageSources(msgspec.Struct, frozen=True):
    """The Python sources of one package in a prefix, relative to ``site-packages``."""

    key: str
    """sha256 of the package file."""
    sources: tuple[str, ...]


async def compile_prefix(prefix: str, python: str, lock: Lock, store: str, progress: Progress | None = None) -> int:
    """Put the byte-code of every package of ``lock`` into ``prefix``; return how many files had to be compiled.

    ``python`` is the prefix's interpreter, ``store`` the folder of stored byte-code, on the prefix's file system. A
    source that does not compile gets none, and other failures are only logged.

    Raises:
        StoreFullError: if the disk is full.
    """
    progress = progress or Silent()
    progress.start("bytecode")
    compiled = 0
    try:
        compiled = await _compile_missing(prefix, python, lock, store, progress)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFullError(
                "No space left while storing byte-code", hint="Free some space (`roost cache df`) and try again."
            ) from error
        progress.log(f"byte-code could not be stored: {error}")
    progress.finish("bytecode")
    return compiled


async def _compile_missing(prefix: str, python: str, lock: Lock, store: str, progress: Progress) -> int:
    site, parts = await asyncio.to_thread(_list_sources, prefix, lock)
    compiled = 0
    if parts:
        tag = await python_tag(python)
        missing = await finish_thread_despite_cancel(_link_stored, site, parts, store, tag)
        if missing:
            progress.log(f"compiling {sum(len(part.sources) for part in missing)} files of {len(missing)} packages")
            compiled = await _compile_parts(site, missing, python, store, tag)
    return compiled


async def python_tag(python: str) -> str:
    """Return the tag in file names and the magic number of ``python``'s byte-code: ``cpython-311-a70d0d0a``.

    It is empty if ``python`` does not run.
    """
    status = await asyncio.to_thread(os.stat, python)
    key = (await asyncio.to_thread(os.path.realpath, python), status.st_mtime_ns, status.st_ino)
    if key not in _tags:
        output, code = await run_captured(
            [python, "-I", "-S", "-c", _TAG_SCRIPT], "/", sanitize_environment(os.environ)
        )
        if code != 0:
            return ""
        _tags[key] = output.decode().strip()
    return _tags[key]


# ---------------------------------------------------------------- the sources of packages
def _list_sources(prefix: str, lock: Lock) -> tuple[str, list[PackageSources]]:
    """Return ``site-packages`` and the sources of the packages that ship no byte-code."""
    folders = sorted(glob.glob(os.path.join(glob.escape(prefix), "lib", "python3.*", "site-packages")))
    if not folders:
        return "", []
    site = folders[0]
    noarch = [package for package in lock.conda if package.record.get("noarch") == "python"]
    parts = [
        PackageSources(p.sha256, tuple(_select_sources(site, _list_conda_files(prefix, p)))) for p in noarch if p.sha256
    ]
    wheels = [wheel for wheel in lock.wheels if wheel.sha256 and wheel.kind != "editable"]
    records = find_wheel_records(site) if wheels else {}
    parts += [
        PackageSources(wheel.sha256, tuple(_select_sources(site, _list_wheel_files(site, wheel, records))))
        for wheel in wheels
    ]
    return site, [part for part in parts if part.sources]


class _MetaRecord(msgspec.Struct):
    files: list[str] = []


def _list_conda_files(prefix: str, package: CondaPackage) -> Iterator[str]:
    path = os.path.join(prefix, "conda-meta", f"{package.name}-{package.version}-{package.build}.json")
    with contextlib.suppress(OSError, *MALFORMED_JSON), open(path, "rb") as stream:
        for name in msgspec.json.decode(stream.read(), type=_MetaRecord).files:
            yield os.path.join(prefix, name)


def find_wheel_records(site: str) -> dict[str, str]:
    """Return the path of each distribution's RECORD, by normalized name."""
    found = {}
    for path in glob.glob(os.path.join(glob.escape(site), "*.dist-info", "RECORD")):
        name = os.path.basename(os.path.dirname(path)).split("-", 1)[0]  # names are escaped and contain no dash
        found[name.lower().replace("_", "-").replace(".", "-")] = path
    return found


def _list_wheel_files(site: str, wheel: Wheel, records: dict[str, str]) -> Iterator[str]:
    record = records.get(wheel.name)
    if record is None:
        return
    with contextlib.suppress(OSError, csv.Error), open(record, newline="", encoding="utf-8") as stream:
        for row in csv.reader(stream):
            if row:
                yield os.path.normpath(os.path.join(site, row[0]))


def _select_sources(site: str, files: Iterable[str]) -> Iterator[str]:
    start = site + os.sep
    return (path[len(start) :] for path in files if path.endswith(".py") and path.startswith(start))


# ---------------------------------------------------------------- linking stored byte-code
def _pyc_path(source: str, tag: str) -> str:
    folder, name = os.path.split(source)
    return os.path.join(folder, "__pycache__", f"{name[:-3]}.{tag.rsplit('-', 1)[0]}.pyc")


def _link_stored(site: str, parts: Sequence[PackageSources], store: str, tag: str) -> list[PackageSources]:
    """Link stored byte-code; return the packages and sources that must be compiled."""
    left = [
        PackageSources(part.key, tuple(_link_package(site, part, os.path.join(store, f"{part.key}-{tag}"), tag)))
        for part in parts
    ]
    return [part for part in left if part.sources] if tag else []


def _link_package(site: str, part: PackageSources, stored: str, tag: str) -> Iterator[str]:
    """Link the byte-code of one package from the folder ``stored``; yield the sources that must be compiled."""
    skipped = _load_skipped(stored)
    created: set[str] = set()
    for source in part.sources:
        name = _pyc_path(source, tag)
        target = os.path.join(site, name)
        if os.path.lexists(target):
            continue  # the package ships it
        stamp = _source_stamp(os.path.join(site, source))
        if (source, stamp) in skipped:
            continue
        if _read_stamp(os.path.join(stored, name)) != stamp:
            yield source
            continue
        folder = os.path.dirname(target)
        if folder not in created:
            os.makedirs(folder, exist_ok=True)
            created.add(folder)
        link_or_copy(os.path.join(stored, name), target)


def _source_stamp(path: str) -> bytes:
    """Return time and size of a source as a ``.pyc`` has them."""
    status = os.stat(path)
    return (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little") + (status.st_size & 0xFFFFFFFF).to_bytes(
        4, "little"
    )


def _read_stamp(path: str) -> bytes:
    """Return the time and size in the header of a ``.pyc``; empty if there is no complete one."""
    try:
        with open(path, "rb", buffering=0) as stream:
            header = stream.read(_HEADER_SIZE)
    except OSError:
        return b""
    return header[8:] if len(header) == _HEADER_SIZE else b""


def _load_skipped(stored: str) -> set[tuple[str, bytes]]:
    """Return the sources that did not compile, with the stamps that they had then."""
    with contextlib.suppress(OSError, *MALFORMED_JSON), open(os.path.join(stored, "skipped.json"), "rb") as stream:
        return set(msgspec.json.decode(stream.read(), type=list[tuple[str, bytes]]))
    return set()


def link_or_copy(source: str, target: str) -> None:
    """Create a hard link, or a copy if there can be none (another file system, too many links).

    An existing ``target`` is left as it is.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        shutil.copy2(source, target + ".new")  # a part of a file must never have its name
        os.replace(target + ".new", target)


# ---------------------------------------------------------------- compiling
async def _compile_parts(site: str, parts: Sequence[PackageSources], python: str, store: str, tag: str) -> int:
    """Compile into a folder beside the stored ones, store the results, and link them."""
    await asyncio.to_thread(os.makedirs, store, exist_ok=True)
    stage = await asyncio.to_thread(tempfile.mkdtemp, prefix="stage-", dir=store)
    try:
        jobs = [
            (os.path.join(site, source), os.path.join(stage, part.key, _pyc_path(source, tag)))
            for part in parts
            for source in part.sources
        ]
        count = max(1, min(os.cpu_count() or 1, len(jobs) // _FILES_PER_PROCESS))
        await asyncio.gather(*(_run_compiler(python, jobs[n::count], stage, n) for n in range(count)))
        return await finish_thread_despite_cancel(_store_compiled, site, parts, stage, store, tag)
    finally:
        await asyncio.to_thread(shutil.rmtree, stage, ignore_errors=True)


async def _run_compiler(python: str, jobs: Sequence[tuple[str, str]], stage: str, number: int) -> None:
    names = os.path.join(stage, f"jobs-{number}")
    content = os.fsencode("".join(f"{source}\0{target}\0" for source, target in jobs))
    await asyncio.to_thread(_write_file, names, content)
    # -S: without site, no .pth file of a package runs. Warnings about the code of packages are not shown.
    await run_captured(
        [python, "-I", "-S", "-W", "ignore", "-c", _COMPILE_SCRIPT, names], "/", sanitize_environment(os.environ)
    )


def _write_file(path: str, content: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(content)


def _store_compiled(site: str, parts: Sequence[PackageSources], stage: str, store: str, tag: str) -> int:
    """Move what was compiled into the store, synced: a truncated ``.pyc`` with a valid header makes imports fail."""
    sync_filesystem(stage)
    with _STORING:
        return _store_synced(site, parts, stage, store, tag)


def _store_synced(site: str, parts: Sequence[PackageSources], stage: str, store: str, tag: str) -> int:
    compiled = 0
    for part in parts:
        stored = os.path.join(store, f"{part.key}-{tag}")
        failed: list[tuple[str, bytes]] = []
        digests: dict[str, str] = {}
        for source in part.sources:
            name = _pyc_path(source, tag)
            compiled_file = os.path.join(stage, part.key, name)
            if not os.path.exists(compiled_file):
                failed.append((source, _source_stamp(os.path.join(site, source))))
                continue
            for folder in (stored, site):
                os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            if _read_stamp(os.path.join(stored, name)) != _source_stamp(os.path.join(site, source)):
                digests[name] = file_digest(compiled_file, "sha256")
                os.replace(compiled_file, os.path.join(stored, name))
            link_or_copy(os.path.join(stored, name), os.path.join(site, name))
            compiled += 1
        if digests:
            save_digests(stored, load_digests(stored) | digests)
        if failed:
            _save_skipped(stored, failed)
    return compiled


def _save_skipped(stored: str, failed: Sequence[tuple[str, bytes]]) -> None:
    os.makedirs(stored, exist_ok=True)
    path = os.path.join(stored, "skipped.json")
    _write_file(path + ".new", msgspec.json.encode(sorted(_load_skipped(stored) | set(failed))))
    os.replace(path + ".new", path)
