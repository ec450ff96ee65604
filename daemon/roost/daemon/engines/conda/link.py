"""Linking packages into a prefix, in its final place, with rattler's installer; and what is written around it."""

from __future__ import annotations

import asyncio
import contextlib
import glob
import json
import os
import shutil
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from rattler import Client, RepoDataRecord
from rattler import install as rattler_install

from roost.daemon.engines.conda.cache import file_digest
from roost.daemon.engines.conda.errors import (
    ChannelUnreachableError,
    LinkError,
    PackageDigestMismatchError,
    PackageMissingError,
    translated,
)
from roost.daemon.jobs.progress import Progress
from roost.model.locks.lock import CondaPackage

INSTEAD = (
    "This prefix belongs to roost, and others with the same lock share it. Add packages to the environment's "
    "definition instead and run `roost build`."
)
_SETTLE_SECONDS = 10.0
_QUIET_LOOKS = 3
_TRIES = 3
_PAUSE_SECONDS = 1.0


class LinkReporter:
    """Hears from rattler's threads how far it is, and tells ``progress``. Nothing here may raise."""

    def __init__(self, progress: Progress, sizes: Mapping[str, int], links: int) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._total = sum(sizes.values())
        self._bytes: dict[int, int] = {}
        self._linked = 0
        self._links = links
        self._fetching = 0
        self.heard = time.monotonic()
        """When anything was heard last."""

    @property
    def fetching(self) -> bool:
        """Whether a package is on its way into the cache."""
        return self._fetching > 0

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        self._hear(+1)
        return operation

    def on_populate_cache_complete(self, cache_entry: int) -> None:
        self._hear(-1)

    def on_download_start(self, cache_entry: int) -> int:
        self.on_download_progress(cache_entry, 0, None)
        return cache_entry

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        self._hear(0)
        with self._lock:
            self._bytes[download_idx] = progress
            done = sum(self._bytes.values())
        self._progress.advance("download", done, max(self._total, done))

    def on_link_complete(self, index: int) -> None:
        self._hear(0)
        with self._lock:
            self._linked += 1
            linked = self._linked
        self._progress.advance("link", linked, self._links)

    def _hear(self, fetching: int) -> None:
        with self._lock:
            self._fetching += fetching
            self.heard = time.monotonic()


async def install(
    records: list[RepoDataRecord],
    prefix: str,
    *,
    cache_dir: str,
    client: Client,
    reporter: LinkReporter,
    idle: float,
    final: str | None = None,
    fetching: bool = False,
) -> None:
    """Fetch and link ``records``; ``idle`` is how many seconds a channel may send nothing.

    ``final`` is the path that files are to name as their prefix, where that is not ``prefix``; ``fetching``: not all
    of them are in the cache.

    When cancelled or failed, downloads stop at once, and it returns when rattler's threads write no more into
    ``prefix`` and the cache: each puts a whole package there, in the place of one that the next try has put there.
    """

    async def once() -> None:
        with translated(f"linking {len(records)} packages"):
            task = asyncio.ensure_future(
                rattler_install(
                    records, prefix, cache_dir=cache_dir, installed_packages=[], client=client,  # type: ignore[arg-type]
                    execute_link_scripts=False, show_progress=False, reporter=reporter,  # type: ignore[arg-type]
                    alternative_target_prefix=final,
                )
            )  # fmt: skip
            try:
                await _watched(task, reporter, idle)
            except BaseException:
                await asyncio.shield(_stop(task, prefix, cache_dir if fetching else None))
                raise

    await _retried(once, prefix, cache_dir, tries=_TRIES if fetching else 1)


async def _retried(once: Callable[[], Awaitable[None]], prefix: str, cache_dir: str, *, tries: int) -> None:
    """A thread of a try that failed just before may still have been at work in the cache, however long was waited."""
    for left in reversed(range(tries)):
        try:
            await once()
        except LinkError as error:
            if not left or not _is_disturbed(error.message, cache_dir):
                raise
        else:
            return
        await asyncio.to_thread(empty, prefix)
        await asyncio.sleep(_PAUSE_SECONDS)


def _is_disturbed(message: str, cache_dir: str) -> bool:
    gone = "No such file or directory" in message and f"from {cache_dir}" in message
    replaced = ("failed to remove existing cache directory", "failed to rename temp directory")
    return gone or any(text in message for text in replaced)


async def _watched(task: asyncio.Future[None], reporter: LinkReporter, idle: float) -> None:
    """Wait for ``task``; one wake-up each time the longest allowed silence may have passed."""
    while True:
        left = max(0.05, reporter.heard + idle - time.monotonic())
        done, _ = await asyncio.wait([task], timeout=left)
        if done:
            task.result()
            return
        if time.monotonic() - reporter.heard >= idle and reporter.fetching:
            raise ChannelUnreachableError(
                f"A channel has sent nothing for {idle:.0f} s while packages were fetched",
                hint="Try again later, or name a mirror under [conda.mirrors] in the config.",
            )
        if not reporter.fetching:
            reporter.heard = time.monotonic()  # it is linking: silence is no fault of a channel


async def _stop(task: asyncio.Future[None], prefix: str, cache_dir: str | None) -> None:
    task.cancel()
    with contextlib.suppress(BaseException):
        await task
    # rattler drops its future at once, yet a package that is extracted or linked is finished by a thread of its own.
    before, quiet, deadline = (-1, -1), 0, time.monotonic() + _SETTLE_SECONDS
    while quiet < _QUIET_LOOKS and time.monotonic() < deadline:
        now = await asyncio.to_thread(_count, prefix, cache_dir)
        before, quiet = now, quiet + 1 if now == before else 0
        await asyncio.sleep(0.1)


def _count(prefix: str, cache_dir: str | None) -> tuple[int, int]:
    """Files and bytes of the prefix, and of what is being extracted: rattler does so in a folder of its own, the name
    of which begins with a dot, and puts that in its place when it is whole."""
    extracted = glob.glob(os.path.join(glob.escape(cache_dir), ".*")) if cache_dir is not None else []
    return _size([prefix, *extracted])


def _size(folders: Sequence[str]) -> tuple[int, int]:
    files, count = 0, 0
    for folder in folders:
        for path, _, names in os.walk(folder):
            files += len(names)
            for name in names:
                with contextlib.suppress(OSError):
                    count += os.lstat(os.path.join(path, name)).st_size
    return files, count


def check_local(packages: Iterable[tuple[CondaPackage, str]]) -> None:
    """Compare package files in ``file://`` channels with their digests: rattler does so only for what it downloads.

    Blocks. Raises :class:`DigestMismatchError`, or :class:`PackageMissingError` where there is no such file.
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
                hint="`roost build --rebuild` solves anew.",
                fields={"url": package.url},
            ) from error
        if expected and found != expected:
            raise PackageDigestMismatchError(
                f"{package.file_name} is not what its {algorithm} says: the channel serves something else",
                hint="Index the channel again, or take another mirror of it.",
                fields={"url": package.url, "expected": expected, "found": found},
            )


def name_canonical(prefix: str, moved: Iterable[tuple[CondaPackage, str]]) -> None:
    """Let ``conda-meta`` name the canonical URL where a package came by a ``file://`` mirror. Blocks."""
    for package, url in moved:
        path = os.path.join(prefix, "conda-meta", f"{package.name}-{package.version}-{package.build}.json")
        with open(path, "rb") as stream:
            content = stream.read()
        channel, canonical = url.rsplit("/", 2)[0], package.url.rsplit("/", 2)[0]
        for old, new in ((url, package.url), (channel + "/", canonical + "/")):
            content = content.replace(json.dumps(old).encode(), json.dumps(new).encode())
        with open(path, "wb") as stream:
            stream.write(content)


def empty(prefix: str) -> None:
    """Remove everything in ``prefix``, and not itself. Blocks."""
    with contextlib.suppress(FileNotFoundError), os.scandir(prefix) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)


def mark(prefix: str, packages: Sequence[CondaPackage]) -> None:
    """Write ``conda-meta/history``, and the two marks that keep pip and conda out, with what to do instead. Blocks.

    ``EXTERNALLY-MANAGED`` is PyPA's (PEP 668), ``conda-meta/frozen`` conda's (CEP 22).
    """
    meta = os.path.join(prefix, "conda-meta")
    os.makedirs(meta, exist_ok=True)
    history = "".join(f"+{p.url.rsplit('/', 1)[0]}::{p.name}-{p.version}-{p.build}\n" for p in packages)
    _write(
        os.path.join(meta, "history"), f"==> {time.strftime('%Y-%m-%d %H:%M:%S')} <==\n# cmd: roost build\n{history}"
    )
    _write(os.path.join(meta, "frozen"), json.dumps({"message": INSTEAD}) + "\n")
    for module in glob.glob(os.path.join(glob.escape(prefix), "lib", "python3.*", "os.py")):
        _write(os.path.join(os.path.dirname(module), "EXTERNALLY-MANAGED"), f"[externally-managed]\nError={INSTEAD}\n")


def _write(path: str, text: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # never through a hard link into the cache
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
