"""Byte-code, compiled once for each package and Python, kept, and hard-linked into prefixes.

Packages that are for any Python (``noarch: python``, wheels) ship none, and without it the first import pays, in
every prefix anew. A kept ``.pyc`` is the ordinary kind, valid by the time and size of its source (PEP 552 calls it
timestamp-based): a prefix's sources are hard links to the cache and so have one time in all prefixes, an import reads
no source, as it must with a checked digest, and an edit in place is noticed, as it is not with an unchecked one. Where
a source has another time than the one compiled (patched in linking, copied, extracted anew), it is compiled again.
The path inside is of no matter: importing puts the real one in its place.
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
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from roost.daemon.engines.conda.scripts import run_captured, sanitize_environment
from roost.daemon.jobs.progress import Progress, Silent
from roost.model.errors import StoreFullError
from roost.model.locks.lock import CondaPackage, Lock, Wheel
from roost.store.cancellation import finish_thread_despite_cancel

# Runs in the prefix's own Python, isolated: reads "source NUL target NUL" pairs, and skips what does not compile
# (templates, code for other versions) as pip and conda do.
_COMPILE = """
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
_TAG = "import importlib.util as u, sys; print(sys.implementation.cache_tag + '-' + u.MAGIC_NUMBER.hex())"
_HEADER = 16  # magic, flags, time, size: four little-endian words (PEP 552)
_BATCH = 40  # fewer files than this are not worth another process

_tags: dict[tuple[str, int, int], str] = {}


class PackageSources(msgspec.Struct, frozen=True):
    """The Python sources of one package in a prefix, relative to ``site-packages``."""

    key: str
    """sha256 of the package file."""
    sources: tuple[str, ...]


async def compile_prefix(prefix: str, python: str, lock: Lock, store: str, progress: Progress | None = None) -> int:
    """Give every package of ``lock`` in ``prefix`` its byte-code; returns how many files had to be compiled.

    ``python`` is the prefix's interpreter, ``store`` the folder that keeps byte-code, on the prefix's file system.
    What does not compile stays as it is; only a full disk fails a build here.
    """
    progress = progress or Silent()
    progress.start("bytecode")
    compiled = 0
    try:
        compiled = await _compile_missing(prefix, python, lock, store, progress)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFullError(
                "No space left while keeping byte-code", hint="Free some space (`roost cache df`) and try again."
            ) from error
        progress.log(f"byte-code could not be kept: {error}")
    progress.finish("bytecode")
    return compiled


async def _compile_missing(prefix: str, python: str, lock: Lock, store: str, progress: Progress) -> int:
    site, parts = await asyncio.to_thread(_parts, prefix, lock)
    compiled = 0
    if parts:
        tag = await python_tag(python)
        work = await finish_thread_despite_cancel(_link_all, site, parts, store, tag)
        if work:
            progress.log(f"compiling {sum(len(part.sources) for part in work)} files of {len(work)} packages")
            compiled = await _compile_parts(site, work, python, store, tag)
    return compiled


async def python_tag(python: str) -> str:
    """``cpython-311-a70d0d0a``: what byte-code of ``python`` is named and starts with. Empty if it does not run."""
    status = await asyncio.to_thread(os.stat, python)
    key = (await asyncio.to_thread(os.path.realpath, python), status.st_mtime_ns, status.st_ino)
    if key not in _tags:
        output, code = await run_captured([python, "-I", "-S", "-c", _TAG], "/", sanitize_environment(os.environ))
        if code != 0:
            return ""
        _tags[key] = output.decode().strip()
    return _tags[key]


# ---------------------------------------------------------------- what there is to compile
def _parts(prefix: str, lock: Lock) -> tuple[str, list[PackageSources]]:
    folders = sorted(glob.glob(os.path.join(glob.escape(prefix), "lib", "python3.*", "site-packages")))
    if not folders:
        return "", []
    site = folders[0]
    noarch = [package for package in lock.conda if package.record.get("noarch") == "python"]
    parts = [PackageSources(p.sha256, tuple(_sources(site, _conda_files(prefix, p)))) for p in noarch if p.sha256]
    wheels = [wheel for wheel in lock.wheels if wheel.sha256 and wheel.kind != "editable"]
    records = _wheel_records(site) if wheels else {}
    parts += [
        PackageSources(wheel.sha256, tuple(_sources(site, _wheel_files(site, wheel, records)))) for wheel in wheels
    ]
    return site, [part for part in parts if part.sources]


class _Meta(msgspec.Struct):
    files: list[str] = []


def _conda_files(prefix: str, package: CondaPackage) -> Iterator[str]:
    path = os.path.join(prefix, "conda-meta", f"{package.name}-{package.version}-{package.build}.json")
    with contextlib.suppress(OSError, msgspec.MsgspecError), open(path, "rb") as stream:
        for name in msgspec.json.decode(stream.read(), type=_Meta).files:
            yield os.path.join(prefix, name)


def _wheel_records(site: str) -> dict[str, str]:
    """Normalised distribution name to its RECORD."""
    found = {}
    for path in glob.glob(os.path.join(glob.escape(site), "*.dist-info", "RECORD")):
        name = os.path.basename(os.path.dirname(path)).split("-", 1)[0]  # escaped: no dash within
        found[name.lower().replace("_", "-").replace(".", "-")] = path
    return found


def _wheel_files(site: str, wheel: Wheel, records: dict[str, str]) -> Iterator[str]:
    record = records.get(wheel.name)
    if record is None:
        return
    with contextlib.suppress(OSError, csv.Error), open(record, newline="", encoding="utf-8") as stream:
        for row in csv.reader(stream):
            if row:
                yield os.path.normpath(os.path.join(site, row[0]))


def _sources(site: str, files: Iterable[str]) -> Iterator[str]:
    start = site + os.sep
    return (path[len(start) :] for path in files if path.endswith(".py") and path.startswith(start))


# ---------------------------------------------------------------- what is kept already
def _target(source: str, tag: str) -> str:
    folder, name = os.path.split(source)
    return os.path.join(folder, "__pycache__", f"{name[:-3]}.{tag.rsplit('-', 1)[0]}.pyc")


def _link_all(site: str, parts: Sequence[PackageSources], store: str, tag: str) -> list[PackageSources]:
    """Link what is kept; the parts, with the sources, that remain to be compiled."""
    left = [
        PackageSources(part.key, tuple(_link(site, part, os.path.join(store, f"{part.key}-{tag}"), tag)))
        for part in parts
    ]
    return [part for part in left if part.sources] if tag else []


def _link(site: str, part: PackageSources, kept: str, tag: str) -> Iterator[str]:
    skipped = _skipped(kept)
    made: set[str] = set()
    for source in part.sources:
        name = _target(source, tag)
        target = os.path.join(site, name)
        if os.path.lexists(target):
            continue  # the package ships it
        stamp = _stamp(os.path.join(site, source))
        if (source, stamp) in skipped:
            continue
        if _kept_stamp(os.path.join(kept, name)) != stamp:
            yield source
            continue
        folder = os.path.dirname(target)
        if folder not in made:
            os.makedirs(folder, exist_ok=True)
            made.add(folder)
        link_or_copy(os.path.join(kept, name), target)


def _stamp(path: str) -> bytes:
    """Time and size of a source, as a ``.pyc`` has them."""
    status = os.stat(path)
    return (int(status.st_mtime) & 0xFFFFFFFF).to_bytes(4, "little") + (status.st_size & 0xFFFFFFFF).to_bytes(
        4, "little"
    )


def _kept_stamp(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as stream:
            header = stream.read(_HEADER)
    except OSError:
        return b""
    return header[8:] if len(header) == _HEADER else b""


def _skipped(kept: str) -> set[tuple[str, bytes]]:
    """Sources that are known not to compile, with the stamp they had then."""
    with contextlib.suppress(OSError, msgspec.MsgspecError), open(os.path.join(kept, "skipped.json"), "rb") as stream:
        return set(msgspec.json.decode(stream.read(), type=list[tuple[str, bytes]]))
    return set()


def link_or_copy(source: str, target: str) -> None:
    """A hard link, or a copy where there can be none (another file system, too many links already)."""
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        shutil.copy2(source, target + ".new")  # never half a file under its name
        os.replace(target + ".new", target)


# ---------------------------------------------------------------- compiling
async def _compile_parts(site: str, parts: Sequence[PackageSources], python: str, store: str, tag: str) -> int:
    """Compile into a folder beside the kept ones, keep what came out, and link it."""
    await asyncio.to_thread(os.makedirs, store, exist_ok=True)
    stage = await asyncio.to_thread(tempfile.mkdtemp, prefix="stage-", dir=store)
    try:
        jobs = [
            (os.path.join(site, source), os.path.join(stage, part.key, _target(source, tag)))
            for part in parts
            for source in part.sources
        ]
        count = max(1, min(os.cpu_count() or 1, len(jobs) // _BATCH))
        await asyncio.gather(*(_compile(python, jobs[n::count], stage, n) for n in range(count)))
        return await finish_thread_despite_cancel(_keep, site, parts, stage, store, tag)
    finally:
        await asyncio.to_thread(shutil.rmtree, stage, ignore_errors=True)


async def _compile(python: str, jobs: Sequence[tuple[str, str]], stage: str, number: int) -> None:
    names = os.path.join(stage, f"jobs-{number}")
    content = os.fsencode("".join(f"{source}\0{target}\0" for source, target in jobs))
    await asyncio.to_thread(_write, names, content)
    # -S: no site, so no .pth of a package runs; warnings about other people's code are nobody's business here
    await run_captured(
        [python, "-I", "-S", "-W", "ignore", "-c", _COMPILE, names], "/", sanitize_environment(os.environ)
    )


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(content)


def _keep(site: str, parts: Sequence[PackageSources], stage: str, store: str, tag: str) -> int:
    compiled = 0
    for part in parts:
        kept = os.path.join(store, f"{part.key}-{tag}")
        failed: list[tuple[str, bytes]] = []
        for source in part.sources:
            name = _target(source, tag)
            made = os.path.join(stage, part.key, name)
            if not os.path.exists(made):
                failed.append((source, _stamp(os.path.join(site, source))))
                continue
            for folder in (kept, site):
                os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            os.replace(made, os.path.join(kept, name))
            link_or_copy(os.path.join(kept, name), os.path.join(site, name))
            compiled += 1
        if failed:
            _note_skipped(kept, failed)
    return compiled


def _note_skipped(kept: str, failed: Sequence[tuple[str, bytes]]) -> None:
    os.makedirs(kept, exist_ok=True)
    path = os.path.join(kept, "skipped.json")
    _write(path + ".new", msgspec.json.encode(sorted(_skipped(kept) | set(failed))))
    os.replace(path + ".new", path)
