"""Locked wheels as files, for what installs them elsewhere than in a prefix of this machine.

uv's cache keeps wheels unpacked, in a form of its own. So those from an index or a URL are fetched once, whatever
platform they are for, checked against their sha256, and kept as ``fetched/<sha256>/<file name>`` beside the store's
own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from roost.daemon.engines.uv.errors import WheelDigestMismatchError, WheelMissingError
from roost.daemon.engines.uv.fetch import Fetcher
from roost.daemon.engines.uv.wheels import WheelStore, file_sha256
from roost.daemon.jobs.progress import Progress
from roost.model.locks.lock import Wheel

_AT_ONCE = 4


class WheelFiles:
    """The files of locked wheels below ``root``, the folder of ``store``."""

    def __init__(self, root: str, store: WheelStore, fetcher: Fetcher) -> None:
        self._root = root
        self._store = store
        self._fetcher = fetcher
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def paths(self, wheels: Sequence[Wheel], progress: Progress) -> dict[str, str]:
        """sha256 to path for each of ``wheels``; none of them editable.

        Raises WheelMissingError, DigestMismatchError, IndexUnreachableError, IndexDeniedError.
        """
        there = dict(await asyncio.gather(*(self._kept(wheel) for wheel in wheels)))
        missing = [wheel for wheel in wheels if not there[wheel.sha256]]
        if missing:
            progress.start("download", sum(wheel.size for wheel in missing))
            there |= dict(await asyncio.gather(*(self._fetch(wheel) for wheel in missing)))
            progress.finish("download")
        return there

    async def _kept(self, wheel: Wheel) -> tuple[str, str]:
        return wheel.sha256, await asyncio.to_thread(self._kept_path, wheel)

    def _kept_path(self, wheel: Wheel) -> str:
        """The checked path of a wheel that is here, or nothing."""
        if wheel.kind in ("built", "local"):
            return self._store.locked(wheel)
        path = self._place(wheel)
        if not os.path.exists(path):
            return ""
        if file_sha256(path) == wheel.sha256:
            return path
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)
        return ""

    def _place(self, wheel: Wheel) -> str:
        return os.path.join(self._root, "fetched", wheel.sha256, wheel.file_name)

    async def _fetch(self, wheel: Wheel) -> tuple[str, str]:
        async with self._turns:
            folder = await asyncio.to_thread(self._temporary)
            try:
                await self._fill(wheel, os.path.join(folder, wheel.file_name))
                await asyncio.to_thread(_publish, folder, os.path.dirname(self._place(wheel)))
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return wheel.sha256, self._place(wheel)

    def _temporary(self) -> str:
        os.makedirs(os.path.join(self._root, "tmp"), exist_ok=True)
        return tempfile.mkdtemp(dir=os.path.join(self._root, "tmp"))

    async def _fill(self, wheel: Wheel, path: str) -> None:
        if not wheel.url:
            raise WheelMissingError(
                f"The lock does not say where {wheel.file_name} is", hint="`roost build --rebuild` makes a new lock."
            )
        if wheel.url.startswith("file:"):
            await asyncio.to_thread(_copy, wheel, path)
        else:
            await self._fetcher.file(wheel.url, path, wheel.sha256)
        await asyncio.to_thread(_sync, path)


def _copy(wheel: Wheel, path: str) -> None:
    shutil.copyfile(unquote(urlsplit(wheel.url or "").path), path)
    found = file_sha256(path)
    if found != wheel.sha256:
        raise WheelDigestMismatchError(
            f"{wheel.file_name}: expected sha256:{wheel.sha256}, found sha256:{found}",
            hint="The file was replaced since the lock was made: `roost build --rebuild` makes a new one.",
            fields={"package": wheel.name},
        )


def _publish(folder: str, target: str) -> None:
    """Rename ``folder``, whose file is synced, to ``target``; who comes second finds the same content there."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        os.rename(folder, target)
    except OSError:
        if not os.path.isdir(target):
            raise
    _sync(os.path.dirname(target))


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
