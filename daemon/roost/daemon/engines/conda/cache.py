"""The cache of extracted packages that prefixes are hard-linked from, and whether its files are unchanged.

A prefix shares inodes with the cache, so an edit in place in a prefix changes the cache and every other prefix. A check
by size and time notices every ordinary edit and costs a few microseconds a file; suspect packages are then read and
compared with the sha256s of their ``info/paths.json``. rattler itself does not check a cached folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from roost.daemon.background.work import make_way
from roost.daemon.engines.conda.package_paths import find_folders, find_path_fault
from roost.daemon.jobs.unpacking import exceeds, too_large_error
from roost.model.errors import MALFORMED_JSON
from roost.model.locks.lock import CondaPackage
from roost.store.disk.regular_files import open_regular


class PathEntry(msgspec.Struct, frozen=True, gc=False):
    """A file of a package in ``info/paths.json`` (conda's package metadata)."""

    path: str = msgspec.field(name="_path")
    path_type: str = "hardlink"
    sha256: str | None = None
    size_in_bytes: int | None = None


class _PathsFile(msgspec.Struct, frozen=True):
    paths: list[PathEntry] = []


_PATHS_DECODER = msgspec.json.Decoder(_PathsFile)


class CacheGate:
    """A lock of a cache: shared by those that use it, exclusive for those that drop packages from it.

    ``sweep`` deletes what a worker that was killed has left. It runs, in a thread, when nobody uses the cache any more:
    what belongs to a worker that is at work looks the same.
    """

    def __init__(self, sweep: Callable[[], None] = lambda: None) -> None:
        self._readers = 0
        self._changed = asyncio.Condition()
        self._sweep = sweep
        self._is_littered = False

    def note_kill(self) -> None:
        """Note that a worker which used the cache was killed."""
        self._is_littered = True

    @contextlib.asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Hold the lock; nothing is dropped meanwhile."""
        async with self._changed:
            self._readers += 1
        try:
            yield
        finally:
            await asyncio.shield(self._leave())

    async def _leave(self) -> None:
        async with self._changed:
            self._readers -= 1
            if self._is_littered and self._readers == 0:
                self._is_littered = False
                await asyncio.to_thread(self._sweep)
            self._changed.notify_all()

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Wait until the lock is free, then hold it exclusively. Background work that uses the cache gives way."""
        async with self._changed:
            if self._readers:
                make_way()
            await self._changed.wait_for(lambda: self._readers == 0)
            yield


def entry_folder(cache_dir: str, package: CondaPackage) -> str:
    """Return where rattler extracts ``package``: one folder for each name, version and build, whatever the channel."""
    return os.path.join(cache_dir, f"{package.name}-{package.version}-{package.build}")


def is_cached(cache_dir: str, package: CondaPackage) -> bool:
    """Return whether exactly this package (by sha256) is extracted. Blocks."""
    folder = entry_folder(cache_dir, package)
    try:
        with open(folder + ".lock", "rb") as stream:
            content = stream.read(40)
    except OSError:
        return False
    # rattler's lock file holds a counter of 8 bytes, then the sha256.
    is_same = not package.sha256 or content[8:] == bytes.fromhex(package.sha256)
    return is_same and os.path.isfile(os.path.join(folder, "info", "index.json"))


def find_suspects(cache_dir: str, packages: Iterable[CondaPackage]) -> list[CondaPackage]:
    """Return the cached ``packages`` with a file that is missing, has another size, or is newer than its extraction.

    Blocks; 12,000 files take 30 to 60 ms. Only for complete packages: one that is being extracted is suspect.
    """
    return [package for package in packages if _is_suspect(entry_folder(cache_dir, package))]


def _is_suspect(folder: str) -> bool:
    try:
        extracted = os.stat(folder + ".lock").st_mtime_ns
        # Nobody edits byte-code in place, and Python itself replaces the file: skipping it saves a third of the work.
        entries = [entry for entry in read_paths(folder) if not entry.path.endswith(".pyc")]
        if find_folders(entry.path for entry in entries) is None and any(find_path_fault(e.path) for e in entries):
            return True
        lstat = os.lstat
        for entry in entries:
            status = lstat(f"{folder}/{entry.path}")
            if entry.path_type == "hardlink" and (
                status.st_mtime_ns > extracted
                or (entry.size_in_bytes is not None and status.st_size != entry.size_in_bytes)
            ):
                return True
    except (OSError, *MALFORMED_JSON):
        return True
    return False


def read_paths(folder: str) -> list[PathEntry]:
    """Return the files of the extracted package at ``folder``. Raises ``OSError``, and ``MALFORMED_JSON``.

    Packages from before 2017 have no ``paths.json``, only a list of the names of their files.
    """
    try:
        with open(os.path.join(folder, "info", "paths.json"), "rb") as stream:
            return _PATHS_DECODER.decode(stream.read()).paths
    except FileNotFoundError:
        with open(os.path.join(folder, "info", "files"), encoding="utf-8") as names:
            return [PathEntry(path=name.rstrip("\n")) for name in names if name.strip()]


def find_corrupt(cache_dir: str, packages: Sequence[CondaPackage]) -> list[CondaPackage]:
    """Return the cached ``packages`` with a file that does not have its sha256. Blocks; reads every byte."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = pool.map(lambda package: _is_intact(entry_folder(cache_dir, package)), packages)
        return [package for package, is_intact in zip(packages, results, strict=True) if not is_intact]


def _is_intact(folder: str) -> bool:
    if not os.path.isdir(folder):
        return True
    try:
        return all(_matches_entry(folder, entry) for entry in read_paths(folder))
    except (OSError, *MALFORMED_JSON):
        return False


def _matches_entry(folder: str, entry: PathEntry) -> bool:
    if find_path_fault(entry.path):
        return False
    path = os.path.join(folder, entry.path)
    if entry.path_type == "directory":
        return os.path.isdir(path)
    if entry.path_type == "softlink" or entry.sha256 is None:
        return os.path.lexists(path)
    return file_digest(path, "sha256") == entry.sha256


def file_digest(path: str, algorithm: str) -> str:
    """Return the hex digest of a file's content. Blocks. Raises ``OSError``, also if it is not a regular file."""
    digest = hashlib.new(algorithm)
    with open_regular(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def drop_package(cache_dir: str, package: CondaPackage) -> None:
    """Delete a package from the cache; it is renamed first, so that a part of it is never used. Blocks."""
    folder = entry_folder(cache_dir, package)
    aside = os.path.join(cache_dir, f".dropped-{os.path.basename(folder)}-{os.urandom(4).hex()}")
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)


def drop_too_large(cache_dir: str, packages: Sequence[CondaPackage], limit: int) -> None:
    """Drop packages of more than ``limit`` bytes; they were complete before they were measured. Blocks.

    Raises: UnpackedTooLargeError.
    """
    large = [each for each in packages if exceeds(entry_folder(cache_dir, each), limit)]
    for package in large:
        drop_package(cache_dir, package)
    if large:
        raise too_large_error(f"The package {', '.join(f'{p.name}-{p.version}' for p in large)}", limit)


def list_unfinished(cache_dir: str) -> list[str]:
    """Return the folders into which rattler unpacks packages at this moment. Blocks."""
    with os.scandir(cache_dir) as entries:
        return [each.path for each in entries if each.name.startswith(".") and each.is_dir(follow_symlinks=False)]


def delete_leftovers(folder: str, start: str) -> None:
    """Delete the folders in ``folder`` whose names begin with ``start``: leftovers of killed or cancelled work.

    Blocks. Call it only while nothing else uses ``folder``.
    """
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        left = [entry.path for entry in entries if entry.name.startswith(start) and entry.is_dir(follow_symlinks=False)]
        for path in left:
            shutil.rmtree(path, ignore_errors=True)


def delete_temporary_files(folder: str) -> None:
    """Delete the files below ``folder`` whose names begin with ``.tmp``, as rattler begins an index. Blocks."""
    for path, _, names in os.walk(folder):
        for name in names:
            if name.startswith(".tmp"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(path, name))
