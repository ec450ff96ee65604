"""The cache of extracted packages that prefixes are hard-linked from: is it still what was extracted?

A prefix shares inodes with the cache, so an edit in place in one reaches the cache and every sibling. A check by
size and time notices every ordinary edit and costs a few microseconds a file; what looks odd is then read and compared
with the sha256s of the package's ``info/paths.json``. rattler itself takes a cached folder as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from roost.model.locks.lock import CondaPackage


class PathEntry(msgspec.Struct, frozen=True):
    """A file of a package, as its ``info/paths.json`` has it (conda's package metadata)."""

    path: str = msgspec.field(name="_path")
    path_type: str = "hardlink"
    sha256: str | None = None
    size_in_bytes: int | None = None


class _Paths(msgspec.Struct, frozen=True):
    paths: list[PathEntry] = []


_PATHS = msgspec.json.Decoder(_Paths)


class Gate:
    """Many may link from the cache at once; who drops something of it waits for them and keeps others out."""

    def __init__(self) -> None:
        self._linking = 0
        self._changed = asyncio.Condition()

    @contextlib.asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        async with self._changed:
            self._linking += 1
        try:
            yield
        finally:
            await asyncio.shield(self._leave())

    async def _leave(self) -> None:
        async with self._changed:
            self._linking -= 1
            self._changed.notify_all()

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        async with self._changed:
            await self._changed.wait_for(lambda: self._linking == 0)
            yield


def entry_folder(cache_dir: str, package: CondaPackage) -> str:
    """Where rattler extracts ``package``: one folder for a name, version and build, whatever the channel."""
    return os.path.join(cache_dir, f"{package.name}-{package.version}-{package.build}")


def is_cached(cache_dir: str, package: CondaPackage) -> bool:
    """Whether this very package (by sha256) is extracted. Blocks."""
    folder = entry_folder(cache_dir, package)
    try:
        with open(folder + ".lock", "rb") as stream:
            noted = stream.read(40)
    except OSError:
        return False
    same = not package.sha256 or noted[8:] == bytes.fromhex(package.sha256)  # a counter of 8 bytes, then the sha256
    return same and os.path.isfile(os.path.join(folder, "info", "index.json"))


def odd_packages(cache_dir: str, packages: Iterable[CondaPackage]) -> list[CondaPackage]:
    """Those of the cached ``packages`` with a file that is missing, of another size, or newer than its extraction.

    Blocks; 12,000 files take 30 to 60 ms. For whole packages only: one that is being extracted looks odd.
    """
    return [package for package in packages if _looks_odd(entry_folder(cache_dir, package))]


def _looks_odd(folder: str) -> bool:
    try:
        extracted = os.stat(folder + ".lock").st_mtime_ns
        # Nobody edits byte-code in place, and Python itself replaces it whole: a third of the work saved.
        entries = [entry for entry in read_paths(folder) if not entry.path.endswith(".pyc")]
        return any(_is_odd(os.lstat(f"{folder}/{entry.path}"), entry, extracted) for entry in entries)
    except (OSError, msgspec.MsgspecError):
        return True


def _is_odd(status: os.stat_result, entry: PathEntry, extracted: int) -> bool:
    if entry.path_type != "hardlink":
        return False
    resized = entry.size_in_bytes is not None and status.st_size != entry.size_in_bytes
    return resized or status.st_mtime_ns > extracted


def read_paths(folder: str) -> list[PathEntry]:
    """The files of an extracted package. Raises ``OSError`` or ``msgspec.MsgspecError``.

    Packages from before 2017 have no ``paths.json``, only the names of their files.
    """
    try:
        with open(os.path.join(folder, "info", "paths.json"), "rb") as stream:
            return _PATHS.decode(stream.read()).paths
    except FileNotFoundError:
        with open(os.path.join(folder, "info", "files"), encoding="utf-8") as names:
            return [PathEntry(path=name.rstrip("\n")) for name in names if name.strip()]


def bad_packages(cache_dir: str, packages: Sequence[CondaPackage]) -> list[CondaPackage]:
    """Cached packages with a file that is not what the package's own sha256 says. Blocks; reads every byte."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        good = pool.map(lambda package: _is_whole(entry_folder(cache_dir, package)), packages)
        return [package for package, is_good in zip(packages, good, strict=True) if not is_good]


def _is_whole(folder: str) -> bool:
    if not os.path.isdir(folder):
        return True
    try:
        return all(_matches(os.path.join(folder, entry.path), entry) for entry in read_paths(folder))
    except (OSError, msgspec.MsgspecError):
        return False


def _matches(path: str, entry: PathEntry) -> bool:
    if entry.path_type == "directory":
        return os.path.isdir(path)
    if entry.path_type == "softlink" or entry.sha256 is None:
        return os.path.lexists(path)
    return file_digest(path, "sha256") == entry.sha256


def file_digest(path: str, algorithm: str) -> str:
    """Hex digest of a file's content. Blocks."""
    digest = hashlib.new(algorithm)
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def drop(cache_dir: str, package: CondaPackage) -> None:
    """Take a package out of the cache: renamed first, so that no half of it is ever found. Blocks."""
    folder = entry_folder(cache_dir, package)
    aside = os.path.join(cache_dir, f".dropped-{os.path.basename(folder)}-{os.urandom(4).hex()}")
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, aside)
        shutil.rmtree(aside, ignore_errors=True)


def sweep(folder: str, start: str) -> None:
    """Remove the folders in ``folder`` whose names begin with ``start``: what killed or cancelled work left behind.

    Blocks; only while nobody uses ``folder``.
    """
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        left = [entry.path for entry in entries if entry.name.startswith(start) and entry.is_dir(follow_symlinks=False)]
        for path in left:
            shutil.rmtree(path, ignore_errors=True)
