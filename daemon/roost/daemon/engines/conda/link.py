"""Link packages into a prefix with rattler's installer, and what it does not do: stop cleanly, retry, check digests."""

from __future__ import annotations

import asyncio
import contextlib
import glob
import json
import os
import shutil
import threading
import time
from collections.abc import Iterable, Mapping

from rattler import Client, RepoDataRecord
from rattler import install as rattler_install

from roost.daemon.engines.conda.cache import file_digest
from roost.daemon.engines.conda.errors import (
    ChannelUnreachableError,
    LinkError,
    PackageDigestMismatchError,
    PackageMissingError,
)
from roost.daemon.engines.conda.translation import translate_errors
from roost.daemon.jobs.progress import Progress
from roost.model.locks.lock import CondaPackage

_SETTLE_SECONDS = 10.0
"""The longest wait for rattler's threads after an interrupted link."""
_QUIET_CHECKS = 3
"""Checks, a tenth of a second apart, without a change on disk after which the threads count as ended."""
_TRIES = 3
_PAUSE_SECONDS = 1.0


class LinkReporter:
    """Receives rattler's reports, from its threads, and passes them to ``progress``. Its methods must not raise."""

    def __init__(self, progress: Progress, sizes: Mapping[str, int], links: int) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._total_bytes = sum(sizes.values())
        self._bytes: dict[int, int] = {}
        self._linked = 0
        self._links = links
        self._fetching = 0
        self.last_report = time.monotonic()
        """Time of the last report."""

    @property
    def is_fetching(self) -> bool:
        """Whether a package is being fetched into the cache."""
        return self._fetching > 0

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        self._note_report(+1)
        return operation

    def on_populate_cache_complete(self, cache_entry: int) -> None:
        self._note_report(-1)

    def on_download_start(self, cache_entry: int) -> int:
        self.on_download_progress(cache_entry, 0, None)
        return cache_entry

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        self._note_report(0)
        with self._lock:
            self._bytes[download_idx] = progress
            done = sum(self._bytes.values())
        self._progress.advance("download", done, max(self._total_bytes, done))

    def on_link_complete(self, index: int) -> None:
        self._note_report(0)
        with self._lock:
            self._linked += 1
            linked = self._linked
        self._progress.advance("link", linked, self._links)

    def _note_report(self, fetching: int) -> None:
        with self._lock:
            self._fetching += fetching
            self.last_report = time.monotonic()


async def link_records(
    records: list[RepoDataRecord],
    prefix: str,
    *,
    cache_dir: str,
    client: Client,
    reporter: LinkReporter,
    idle_timeout: float,
    final: str | None = None,
    fetching: bool = False,
) -> None:
    """Fetch ``records`` into the cache and link them into ``prefix``.

    ``idle_timeout`` is how many seconds a channel may send nothing. ``final`` is the path that files name as their
    prefix, if it is not ``prefix``. ``fetching`` says that some of the packages are not in the cache yet.

    If it is cancelled or fails, downloads stop at once, and it returns only when rattler's threads no longer write into
    ``prefix`` and the cache: each of them would replace a package that the next try has put there by its own copy.

    Raises:
        ChannelUnreachableError: if a channel sends nothing for ``idle_timeout`` seconds.
        LinkError, PackageDigestMismatchError and the like: translated from rattler's errors.
    """
    tries = _TRIES if fetching else 1
    for left in reversed(range(tries)):
        try:
            with translate_errors(f"linking {len(records)} packages"):
                await _link_once(records, prefix, cache_dir, client, reporter, idle_timeout, final, fetching)
        except LinkError as error:
            # A thread of a try that failed just before may still have been at work in the cache, however long the wait.
            if not left or not _is_disturbed(error.message, cache_dir):
                raise
        else:
            return
        await asyncio.to_thread(clear_folder, prefix)
        await asyncio.sleep(_PAUSE_SECONDS)


async def _link_once(
    records: list[RepoDataRecord],
    prefix: str,
    cache_dir: str,
    client: Client,
    reporter: LinkReporter,
    idle_timeout: float,
    final: str | None,
    fetching: bool,
) -> None:
    task = asyncio.ensure_future(
        rattler_install(
            records, prefix, cache_dir=cache_dir, installed_packages=[], client=client,  # type: ignore[arg-type]
            execute_link_scripts=False, show_progress=False, reporter=reporter,  # type: ignore[arg-type]
            alternative_target_prefix=final,
        )
    )  # fmt: skip
    try:
        await _await_with_timeout(task, reporter, idle_timeout)
    except BaseException:
        await asyncio.shield(_stop_threads(task, prefix, cache_dir if fetching else None))
        raise


def _is_disturbed(message: str, cache_dir: str) -> bool:
    """Whether a failure to link comes from another thread that replaced a package in the cache."""
    vanished = "No such file or directory" in message and f"from {cache_dir}" in message
    replaced = ("failed to remove existing cache directory", "failed to rename temp directory")
    return vanished or any(text in message for text in replaced)


async def _await_with_timeout(task: asyncio.Future[None], reporter: LinkReporter, idle_timeout: float) -> None:
    """Wait for ``task``; wake up only when the longest allowed silence may have passed."""
    while True:
        left = max(0.05, reporter.last_report + idle_timeout - time.monotonic())
        done, _ = await asyncio.wait([task], timeout=left)
        if done:
            task.result()
            return
        if time.monotonic() - reporter.last_report >= idle_timeout and reporter.is_fetching:
            raise ChannelUnreachableError(
                f"A channel has sent nothing for {idle_timeout:.0f} s while packages were fetched",
                hint="Try again later, or name a mirror under [conda.mirrors] in the config.",
            )
        if not reporter.is_fetching:
            reporter.last_report = time.monotonic()  # linking takes long: the silence is not a channel's fault


async def _stop_threads(task: asyncio.Future[None], prefix: str, cache_dir: str | None) -> None:
    """Cancel ``task`` and wait until nothing changes on disk any more, at most :data:`_SETTLE_SECONDS`.

    rattler drops its future at once, but its threads finish the packages that they are extracting or linking.
    """
    task.cancel()
    with contextlib.suppress(BaseException):
        await task
    before, quiet, deadline = (-1, -1), 0, time.monotonic() + _SETTLE_SECONDS
    while quiet < _QUIET_CHECKS and time.monotonic() < deadline:
        now = await asyncio.to_thread(_measure_writes, prefix, cache_dir)
        before, quiet = now, quiet + 1 if now == before else 0
        await asyncio.sleep(0.1)


def _measure_writes(prefix: str, cache_dir: str | None) -> tuple[int, int]:
    """Count the files and bytes of the prefix and of what is being extracted.

    rattler extracts into a folder of its own, whose name begins with a dot, and renames it when it is complete.
    """
    extracting = glob.glob(os.path.join(glob.escape(cache_dir), ".*")) if cache_dir is not None else []
    files, size = 0, 0
    for folder in [prefix, *extracting]:
        for path, _, names in os.walk(folder):
            files += len(names)
            for name in names:
                with contextlib.suppress(OSError):
                    size += os.lstat(os.path.join(path, name)).st_size
    return files, size


def check_local_packages(packages: Iterable[tuple[CondaPackage, str]]) -> None:
    """Compare the package files in ``file://`` channels with their digests: rattler does so for downloads only.

    ``packages`` are pairs of a package and the URL that it is fetched from. Blocks.

    Raises:
        PackageDigestMismatchError: if a file has another digest.
        PackageMissingError: if a file can't be read.
    """
    for package, url in packages:
        if not url.startswith("file://"):
            continue
        algorithm = "sha256" if package.sha256 else "md5"
        expected = package.sha256 or str(package.record.get("md5", ""))
        try:
            found = file_digest(url.removeprefix("file://"), algorithm)
        except OSError as error:
            raise PackageMissingError(
                f"{package.file_name} can't be read from its channel: {error.strerror}",
                hint="`roost build --rebuild` solves again.",
                fields={"url": package.url},
            ) from error
        if expected and found != expected:
            raise PackageDigestMismatchError(
                f"{package.file_name} does not match its {algorithm}: the channel serves a different file",
                hint="Index the channel again, or use another mirror of it.",
                fields={"url": package.url, "expected": expected, "found": found},
            )


def restore_canonical_urls(prefix: str, mirrored: Iterable[tuple[CondaPackage, str]]) -> None:
    """Replace the URLs of ``file://`` mirrors in ``conda-meta`` by the packages' canonical URLs. Blocks.

    ``mirrored`` are pairs of a package and the URL that it was fetched from.
    """
    for package, url in mirrored:
        path = os.path.join(prefix, "conda-meta", f"{package.name}-{package.version}-{package.build}.json")
        with open(path, "rb") as stream:
            content = stream.read()
        channel, canonical = url.rsplit("/", 2)[0], package.url.rsplit("/", 2)[0]
        for old, new in ((url, package.url), (channel + "/", canonical + "/")):
            content = content.replace(json.dumps(old).encode(), json.dumps(new).encode())
        with open(path, "wb") as stream:
            stream.write(content)


def clear_folder(folder: str) -> None:
    """Delete everything in ``folder``, but not the folder itself; it may be missing. Blocks."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
