"""What linking needs beside rattler's installer: retries, digests of local packages, canonical URLs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from roost.daemon.engines.conda.cache import file_digest
from roost.daemon.engines.conda.errors import LinkError, PackageDigestMismatchError, PackageMissingError
from roost.model.locks.lock import CondaPackage
from roost.store.cancellation import finish_thread_despite_cancel

T = TypeVar("T")

_TRIES = 3
_PAUSE_SECONDS = 1.0


async def link_with_retries(link: Callable[[], Awaitable[T]], prefix: str, cache_dir: str, *, fetching: bool) -> T:
    """Call ``link``, which links into ``prefix``, up to :data:`_TRIES` times if packages are being fetched.

    Another worker that fetches the same package may replace it while this one links it.
    """
    for left in reversed(range(_TRIES if fetching else 1)):
        try:
            return await link()
        except LinkError as error:
            if not left or not _is_disturbed(error.message, cache_dir):
                raise
        await finish_thread_despite_cancel(clear_folder, prefix)
        await asyncio.sleep(_PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")


def _is_disturbed(message: str, cache_dir: str) -> bool:
    """Whether a failure to link comes from another process that replaced a package in the cache."""
    vanished = "No such file or directory" in message and f"from {cache_dir}" in message
    replaced = ("failed to remove existing cache directory", "failed to rename temp directory")
    return vanished or any(text in message for text in replaced)


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
