"""Byte-code, compiled once for each package and Python, stored, and hard-linked into prefixes.

Packages for any Python (``noarch: python``, wheels) ship none, and without it the first import compiles, again in every
prefix. A stored ``.pyc`` is of the ordinary, timestamp-based kind (PEP 552), valid by the time and size of its source:
a prefix's sources are hard links into the cache and so have the same time in all prefixes; an import need not read the
source, as it must with a checked hash; and an edit in place is noticed, as it is not with an unchecked hash. A source
with another time than the compiled one (changed by linking, copied, extracted again) is compiled again. The path in the
byte-code does not matter: importing replaces it by the real one.

What is stored is linked before a prefix is published; what is missing is compiled later (``late_bytecode``), since a
command can start without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import errno
import glob
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple

import msgspec

from roost.daemon.engines.conda.scripts import run_captured, sanitize_environment
from roost.daemon.jobs.progress import Progress
from roost.daemon.prefixes.bytecode_digests import HEADER_SIZE, StoredFile, load_digests, read_stored_stamp
from roost.model.errors import MALFORMED_JSON
from roost.model.locks.lock import CondaPackage, Lock, Wheel
from roost.store.cancellation import finish_thread_despite_cancel
from roost.store.disk.file_ops import TreeCount

_TAG_SCRIPT = "import importlib.util as u, sys; print(sys.implementation.cache_tag + '-' + u.MAGIC_NUMBER.hex())"

_tags: dict[tuple[str, int, int], str] = {}
"""Real path, mtime and inode of an interpreter to its tag."""


class PackageSources(msgspec.Struct, frozen=True):
    """The Python sources of one package in a prefix, relative to ``site-packages``."""

    key: str
    """sha256 of the package file."""
    sources: tuple[str, ...]


class SourceChoice(msgspec.Struct, frozen=True):
    """What is done for each source that has no byte-code: its byte-code is linked from the store, or it is compiled."""

    linked: tuple[str, ...] = ()
    compiled: tuple[str, ...] = ()


def choose_sources(
    sources: Mapping[str, bytes], present: Set[str], stored: Mapping[str, bytes], skipped: Set[tuple[str, bytes]]
) -> SourceChoice:
    """Return what is to be done for the ``sources`` of a package. Pure.

    ``sources``: path to the stamp (time and size) of each; ``present``: those that have byte-code; ``stored``: path to
    the stamp of the source that the stored byte-code was compiled from; ``skipped``: paths that did not compile, with
    the stamps that they had then.
    """
    missing = [path for path in sources if path not in present and (path, sources[path]) not in skipped]
    return SourceChoice(
        linked=tuple(path for path in missing if stored.get(path) == sources[path]),
        compiled=tuple(path for path in missing if stored.get(path) != sources[path]),
    )


async def link_stored(prefix: str, python: str, lock: Lock, store: str, progress: Progress) -> tuple[str, bool]:
    """Link the stored byte-code of every package of ``lock`` into ``prefix``, which is being filled.

    ``python`` is the prefix's interpreter, ``store`` the folder of stored byte-code, on the prefix's file system.
    Returns the tag of the interpreter (``python_tag``), and whether some byte-code has to be compiled.
    """
    progress.start("bytecode")
    site, parts = await asyncio.to_thread(list_sources, prefix, lock)
    tag = await python_tag(python) if parts else ""
    missing: Sequence[PackageSources] = ()
    if tag:
        missing = await finish_thread_despite_cancel(link_parts, site, parts, store, tag)
    progress.finish("bytecode")
    return tag, bool(missing)


async def python_tag(python: str) -> str:
    """Return the tag in file names and the magic number of ``python``'s byte-code: ``cpython-311-a70d0d0a``.

    It is empty if ``python`` does not run.
    """
    key = await asyncio.to_thread(_identify, python)
    if key not in _tags:
        output, code = await run_captured(
            [python, "-I", "-S", "-c", _TAG_SCRIPT], "/", sanitize_environment(os.environ)
        )
        if code != 0:
            return ""
        _tags[key] = output.decode().strip()
    return _tags[key]


def _identify(python: str) -> tuple[str, int, int]:
    status = os.stat(python)
    return os.path.realpath(python), status.st_mtime_ns, status.st_ino


# ---------------------------------------------------------------- the sources of packages
def list_sources(prefix: str, lock: Lock) -> tuple[str, list[PackageSources]]:
    """Return ``site-packages`` and the sources of the packages that ship no byte-code. Blocks."""
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
def pyc_path(source: str, tag: str) -> str:
    """Return the path of the byte-code of ``source``, for a Python of ``tag``."""
    folder, name = os.path.split(source)
    return os.path.join(folder, "__pycache__", f"{name[:-3]}.{tag.rsplit('-', 1)[0]}.pyc")


def link_parts(site: str, parts: Sequence[PackageSources], store: str, tag: str) -> list[PackageSources]:
    """Link stored byte-code into a prefix that is being filled; return what must be compiled. Blocks."""
    missing = []
    for part in parts:
        stored = f"{store}/{part.key}-{tag}"
        names = name_bytecode(part.sources, tag)
        shipped = {folder: _list_names(f"{site}/{folder}") for folder in set(map(os.path.dirname, names.values()))}
        present = {source for source, name in names.items() if os.path.basename(name) in shipped[os.path.dirname(name)]}
        choice = choose_part(site, names, stored, present)
        for folder in {os.path.dirname(names[source]) for source in choice.linked}:
            os.makedirs(f"{site}/{folder}", exist_ok=True)
        for source in choice.linked:
            link_or_copy(f"{stored}/{names[source]}", f"{site}/{names[source]}")
        if choice.compiled:
            missing.append(PackageSources(part.key, choice.compiled))
    return missing


class LinkedBytecode(NamedTuple):
    """What was linked, by path relative to ``site-packages``, with size and sha256 (hex); and whether some is to be
    compiled."""

    files: dict[str, tuple[int, str]]
    is_due: bool


def link_for_sources(
    site: str, stamps: Mapping[str, bytes], shipped: Set[str], stored: str, tag: str, count: TreeCount
) -> LinkedBytecode:
    """Link the byte-code that is stored in the folder ``stored`` for the sources of one package. Blocks.

    ``stamps``: relative path to time and size of each source, as byte-code has them; ``shipped``: the byte-code that
    the package has itself. All ``__pycache__`` folders exist. What was linked is added to ``count``.

    Raises:
        OSError: the disk is full.
    """
    known = load_digests(stored) if stamps and tag else {}
    skipped: Set[tuple[str, bytes]] | None = None
    files: dict[str, tuple[int, str]] = {}
    is_due, suffix = False, f".{tag.rsplit('-', 1)[0]}.pyc"
    for source, stamp in stamps.items():
        folder, _, name = source.rpartition("/")
        path = f"{folder}/__pycache__/{name[:-3]}{suffix}" if folder else f"__pycache__/{name[:-3]}{suffix}"
        if path in shipped:
            continue
        file = known.get(path)
        if file is not None and _link_fitting(f"{stored}/{path}", f"{site}/{path}", file, stamp, count):
            files[path] = file.size, file.digest
        elif not is_due:
            skipped = load_skipped(stored) if skipped is None else skipped
            is_due = (source, stamp) not in skipped
    return LinkedBytecode(files, is_due)


def _link_fitting(stored: str, target: str, known: StoredFile, stamp: bytes, count: TreeCount) -> bool:
    """Link byte-code if it belongs to a source of that ``stamp``, and is what is ``known`` of it."""
    if known.source and known.source != stamp.hex():
        return False
    try:
        os.link(stored, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return False
    status = os.lstat(target)
    is_known = bool(known.source) and (status.st_size, status.st_mtime_ns) == (known.size, known.time)
    if not is_known and read_stored_stamp(target, known) != stamp:
        os.unlink(target)
        return False
    count.add(target, status)
    return True


def name_bytecode(sources: Iterable[str], tag: str) -> dict[str, str]:
    """Return the path of the byte-code of each of ``sources``, for a Python of ``tag``, below the same folder."""
    return {source: pyc_path(source, tag) for source in sources}


def _list_names(folder: str) -> Set[str]:
    try:
        return set(os.listdir(folder))
    except OSError:
        return frozenset()


def choose_part(site: str, names: Mapping[str, str], stored: str, present: Set[str]) -> SourceChoice:
    """Return what is to be done for one package, whose byte-code is stored in the folder ``stored``. Blocks.

    ``names``: source to byte-code (``name_bytecode``); ``present``: the sources that have it.
    """
    sources: dict[str, bytes] = {}
    for source in names.keys() - present:
        with contextlib.suppress(FileNotFoundError):  # deleted by hand
            sources[source] = read_source_stamp(f"{site}/{source}")
    known = load_digests(stored) if sources else {}
    kept = {source: read_stored_stamp(f"{stored}/{names[source]}", known.get(names[source])) for source in sources}
    return choose_sources(sources, present, kept, load_skipped(stored))


def read_source_stamp(path: str) -> bytes:
    """Return time and size of a source as a ``.pyc`` has them. Blocks."""
    status = os.stat(path)
    return (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little") + (status.st_size & 0xFFFFFFFF).to_bytes(
        4, "little"
    )


def read_stamp(path: str) -> bytes:
    """Return the time and size in the header of a ``.pyc`` that was just compiled; empty if there is none. Blocks."""
    try:
        with open(path, "rb", buffering=0) as stream:
            header = stream.read(HEADER_SIZE)
    except OSError:
        return b""
    return header[8:] if len(header) == HEADER_SIZE else b""


def load_skipped(stored: str) -> set[tuple[str, bytes]]:
    """Return the sources that did not compile, with the stamps that they had then. Blocks."""
    with contextlib.suppress(OSError, *MALFORMED_JSON), open(os.path.join(stored, "skipped.json"), "rb") as stream:
        return set(msgspec.json.decode(stream.read(), type=list[tuple[str, bytes]]))
    return set()


def link_or_copy(source: str, target: str) -> None:
    """Create a hard link, or a copy if there can be none (another file system, too many links). Blocks.

    An existing ``target`` is left as it is.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        shutil.copy2(source, target + ".new")  # a part of a file must never have its name
        os.replace(target + ".new", target)
