"""Wheels as files, each under its sha256: those given as files, those built here, and those fetched for elsewhere.

They are ``given/<sha256>/<file name>``, ``built/<sha256>/<file name>`` and ``fetched/<sha256>/<file name>``;
``built/sources/<key>`` records the wheel that was built from a source, so that it is built once. A folder that exists
is complete: it is filled at a temporary path on the same file system, synced, and renamed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import msgspec

from roost.daemon.engines.uv.errors import WheelDigestMismatchError, WheelMissingError
from roost.daemon.engines.uv.fetch import Fetcher
from roost.daemon.jobs.progress import Progress
from roost.model.errors import MALFORMED_JSON
from roost.model.locks.lock import BuildRequirement, Wheel
from roost.store.disk.regular_files import open_regular
from roost.store.failpoints import failpoint

_CONCURRENCY = 4
"""Downloads at a time."""


class StoredWheel(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel in the store."""

    file_name: str
    sha256: str
    size: int
    built: bool
    """Whether it was built here; otherwise it was given as a file."""
    requires: tuple[BuildRequirement, ...] = ()
    """What was installed to build it; empty if that was not recorded."""

    @property
    def relative_path(self) -> str:
        """Path below the root of the store."""
        return os.path.join("built" if self.built else "given", self.sha256, self.file_name)


class WheelStore:
    """The given and built wheels below ``root``, which only this store has. All methods block."""

    def __init__(self, root: str) -> None:
        self._root = root

    def path(self, stored: StoredWheel) -> str:
        """Return the absolute path of a stored wheel."""
        return os.path.join(self._root, stored.relative_path)

    def add(
        self, path: str, *, built: bool, source_key: str | None = None, requires: tuple[BuildRequirement, ...] = ()
    ) -> StoredWheel:
        """Copy the wheel at ``path`` into the store; record that it was built from ``source_key``, if given, with
        ``requires``."""
        folder = make_temporary_folder(self._root)
        try:
            copy = os.path.join(folder, os.path.basename(path))
            sha256 = _copy_synced(path, copy)
            size = os.stat(copy).st_size
            stored = StoredWheel(
                file_name=os.path.basename(path), sha256=sha256, size=size, built=built, requires=requires
            )
            os.chmod(folder, 0o755)
            publish_folder(folder, os.path.dirname(self.path(stored)))
            if not os.path.exists(self.path(stored)):  # the folder had the same content under another file name
                os.rename(copy, self.path(stored))
                sync_path(os.path.dirname(self.path(stored)))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if source_key is not None:
            self._record_source(source_key, stored)
        return stored

    def find_built(self, source_key: str) -> StoredWheel | None:
        """Return the wheel that was built from a source earlier, if it still exists."""
        try:
            with open(self._source_path(source_key), "rb") as file:
                stored = msgspec.json.decode(file.read(), type=StoredWheel)
        except (OSError, *MALFORMED_JSON):
            return None
        return stored if os.path.exists(self.path(stored)) else None

    def verified_path(self, wheel: Wheel) -> str:
        """Return the path of a locked wheel that was given or built, after checking its sha256.

        Raises:
            WheelMissingError: if it no longer exists.
            WheelDigestMismatchError: if it is damaged; it is deleted then.
        """
        built = wheel.kind == "built"
        path = self.path(StoredWheel(file_name=wheel.file_name, sha256=wheel.sha256, size=wheel.size, built=built))
        if not os.path.exists(path):
            raise WheelMissingError(
                f"{wheel.file_name} (sha256 {wheel.sha256[:12]}…), which only this store had, no longer exists",
                hint="`roost build --rebuild` recreates it, as a new generation.",
                fields={"package": wheel.name},
            )
        found = file_sha256(path)
        if found != wheel.sha256:
            shutil.rmtree(os.path.dirname(path), ignore_errors=True)
            raise WheelDigestMismatchError(
                f"{wheel.file_name} in the store is damaged: expected sha256:{wheel.sha256}, found sha256:{found}",
                hint="`roost build --rebuild` recreates it.",
                fields={"package": wheel.name},
            )
        return path

    def _source_path(self, key: str) -> str:
        return os.path.join(self._root, "built", "sources", hashlib.sha256(key.encode()).hexdigest())

    def _record_source(self, key: str, stored: StoredWheel) -> None:
        path = self._source_path(key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.encode(stored))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)


class WheelFiles:
    """The files of locked wheels, for installing them elsewhere than into a prefix of this machine.

    uv's cache has wheels only unpacked. So those from an index or a URL are fetched once, whatever platform they are
    for, and stored below ``root``, the root of ``store``.
    """

    def __init__(self, root: str, store: WheelStore, fetcher: Fetcher) -> None:
        self._root = root
        self._store = store
        self._fetcher = fetcher
        self._slots = asyncio.Semaphore(_CONCURRENCY)

    async def fetch_missing(self, wheels: Sequence[Wheel], progress: Progress) -> dict[str, str]:
        """Return the path of the file of each of ``wheels`` by sha256, after fetching those that are not stored yet.

        None of ``wheels`` may be editable.

        Raises:
            WheelMissingError: if a wheel that only this store had no longer exists, or has no URL.
            WheelDigestMismatchError: if a file does not have its sha256.
            IndexUnreachableError, IndexDeniedError, UrlGoneError: if a wheel can't be fetched.
        """
        paths = dict(await asyncio.gather(*(self._find_stored(wheel) for wheel in wheels)))
        missing = [wheel for wheel in wheels if not paths[wheel.sha256]]
        if missing:
            progress.start("download", sum(wheel.size for wheel in missing))
            paths |= dict(await asyncio.gather(*(self._fetch(wheel) for wheel in missing)))
            progress.finish("download")
        return paths

    async def find_fetched(self, wheels: Sequence[Wheel]) -> dict[str, str]:
        """Return, by sha256, the paths of the files of those of ``wheels`` that were fetched or imported earlier."""
        fetched = [wheel for wheel in wheels if wheel.kind in ("index", "url")]
        found = dict(await asyncio.gather(*(self._find_stored(wheel) for wheel in fetched)))
        return {sha256: path for sha256, path in found.items() if path}

    def add(self, path: str, wheel: Wheel) -> None:
        """Move the file at ``path``, which is synced and has the sha256 of ``wheel``, into the store. Blocks."""
        target = self._fetched_path(wheel)
        if wheel.kind in ("built", "local"):
            stored = StoredWheel(
                file_name=wheel.file_name, sha256=wheel.sha256, size=wheel.size, built=wheel.kind == "built"
            )
            target = self._store.path(stored)
        folder = make_temporary_folder(self._root)
        try:
            os.chmod(folder, 0o755)
            os.rename(path, os.path.join(folder, wheel.file_name))
            sync_path(folder)
            failpoint("wheel.staged")
            if os.path.isdir(os.path.dirname(target)):  # damaged, or under another file name
                os.rename(os.path.join(folder, wheel.file_name), target)
                sync_path(os.path.dirname(target))
            else:
                publish_folder(folder, os.path.dirname(target))
            failpoint("wheel.placed")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _find_stored(self, wheel: Wheel) -> tuple[str, str]:
        """Return the sha256 of a wheel and the path of its file, checked; the path is empty if it is not stored."""
        return wheel.sha256, await asyncio.to_thread(self._check_stored, wheel)

    def _check_stored(self, wheel: Wheel) -> str:
        if wheel.kind in ("built", "local"):
            return self._store.verified_path(wheel)
        path = self._fetched_path(wheel)
        if not os.path.exists(path):
            return ""
        if file_sha256(path) == wheel.sha256:
            return path
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)
        return ""

    def _fetched_path(self, wheel: Wheel) -> str:
        return os.path.join(self._root, "fetched", wheel.sha256, wheel.file_name)

    async def _fetch(self, wheel: Wheel) -> tuple[str, str]:
        async with self._slots:
            folder = await asyncio.to_thread(make_temporary_folder, self._root)
            try:
                await self._download(wheel, os.path.join(folder, wheel.file_name))
                await asyncio.to_thread(publish_folder, folder, os.path.dirname(self._fetched_path(wheel)))
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return wheel.sha256, self._fetched_path(wheel)

    async def _download(self, wheel: Wheel, path: str) -> None:
        if not wheel.url:
            raise WheelMissingError(
                f"The lock does not say where {wheel.file_name} is", hint="`roost build --rebuild` creates a new lock."
            )
        if wheel.url.startswith("file:"):
            await asyncio.to_thread(_copy_checked, wheel, path)
        else:
            await self._fetcher.fetch_file(wheel.url, path, wheel.sha256)
        await asyncio.to_thread(sync_path, path)


def _copy_checked(wheel: Wheel, path: str) -> None:
    shutil.copyfile(unquote(urlsplit(wheel.url or "").path), path)
    found = file_sha256(path)
    if found != wheel.sha256:
        raise WheelDigestMismatchError(
            f"{wheel.file_name}: expected sha256:{wheel.sha256}, found sha256:{found}",
            hint="The file was replaced since the lock was made: `roost build --rebuild` creates a new one.",
            fields={"package": wheel.name},
        )


def file_sha256(path: str) -> str:
    """Return the sha256 of a file: 64 hex digits. Blocks."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _copy_synced(source: str, target: str) -> str:
    """Copy and sync a file; return the sha256 of its content."""
    digest = hashlib.sha256()
    with open_regular(source) as reader, open(target, "wb") as writer:
        while chunk := reader.read(1 << 20):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


def make_temporary_folder(root: str) -> str:
    """Create a temporary folder on the file system of the store at ``root``. Blocks."""
    os.makedirs(os.path.join(root, "tmp"), exist_ok=True)
    return tempfile.mkdtemp(dir=os.path.join(root, "tmp"))


def publish_folder(folder: str, target: str) -> None:
    """Rename ``folder``, whose files are synced, to ``target``, and sync its parent. Blocks.

    If ``target`` exists, another process was faster and has published the same content.
    """
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        os.rename(folder, target)
    except OSError:
        if not os.path.isdir(target):
            raise
    sync_path(os.path.dirname(target))


def sync_path(path: str) -> None:
    """Sync a file or a folder to disk. Blocks."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
