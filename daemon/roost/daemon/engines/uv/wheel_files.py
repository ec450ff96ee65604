"""Locked wheels as files, for installing them elsewhere than into a prefix of this machine.

uv's cache has wheels only unpacked. So those from an index or a URL are fetched once, whatever platform they are for,
checked against their sha256, and stored as ``fetched/<sha256>/<file name>`` beside the store's own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from roost.daemon.engines.uv.errors import WheelDigestMismatchError, WheelMissingError
from roost.daemon.engines.uv.fetch import Fetcher
from roost.daemon.engines.uv.wheels import WheelStore, file_sha256, make_temporary_folder, publish_folder, sync_path
from roost.daemon.jobs.progress import Progress
from roost.model.locks.lock import Wheel

_CONCURRENCY = 4


class WheelFiles:
    """Fetches wheels into ``root``, the folder of ``store``."""

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
                f"The lock does not say where {wheel.file_name} is", hint="`roost build --rebuild` makes a new lock."
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
            hint="The file was replaced since the lock was made: `roost build --rebuild` makes a new one.",
            fields={"package": wheel.name},
        )
