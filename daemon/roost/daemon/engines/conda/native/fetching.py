"""Fetch packages as files, with rattler's client: the same mirrors, credentials and retries as for linking.

Separate because nothing is unpacked and no prefix is there.
"""

from __future__ import annotations

import asyncio
import os
import time

from rattler import Client
from rattler.package_streaming import download_to_path

from roost.daemon.engines.conda.errors import ChannelUnreachableError
from roost.daemon.engines.conda.jobs import FetchRequest
from roost.daemon.engines.conda.native.client import open_client
from roost.daemon.engines.conda.native.solving import channel_routes
from roost.daemon.engines.conda.translation import translate_errors
from roost.daemon.workers.context import JobContext
from roost.model.locks.lock import CondaPackage
from roost.store.failpoints import failpoint

_CONCURRENCY = 4
"""Downloads at a time."""
_REPORT_SECONDS = 0.2


async def fetch(request: FetchRequest, context: JobContext) -> None:
    """Write every package to its path; their digests are for the daemon to compare.

    Raises ChannelUnreachableError if a channel sends nothing for ``idle_timeout`` seconds, and PackageMissingError,
    ChannelRefusedError and the like: translated from rattler's errors.
    """
    routes = channel_routes(request.access)
    client = open_client(request.access, routes)
    slots = asyncio.Semaphore(_CONCURRENCY)

    async def fetch_one(package: CondaPackage) -> None:
        async with slots:
            await _download(client, routes.fetch_url(package.url), request.paths[package.sha256], package, context)

    fetching = asyncio.gather(*(fetch_one(package) for package in request.packages))
    await _watch(fetching, request, context)


async def _watch(fetching: asyncio.Future[list[None]], request: FetchRequest, context: JobContext) -> None:
    """Report the bytes that have arrived until ``fetching`` ends; end it if none arrive any more."""
    total, last, since = sum(package.size for package in request.packages), -1, time.monotonic()
    while not fetching.done():
        await asyncio.wait([fetching], timeout=_REPORT_SECONDS)
        done = sum(_size(path) for path in request.paths.values())
        if done != last:
            last, since = done, time.monotonic()
            context.progress.advance("download", done, total)
        elif time.monotonic() - since > request.idle_timeout and not fetching.done():
            fetching.cancel()
            raise ChannelUnreachableError(
                f"A channel has sent nothing for {request.idle_timeout:.0f} s while packages were fetched",
                hint="Try again later, or name a mirror under [conda.mirrors] in the config.",
            )
    await fetching


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


async def _download(client: Client, url: str, path: str, package: CondaPackage, context: JobContext) -> None:
    context.begin(f"fetching {package.file_name}")
    with translate_errors(f"fetching {package.file_name}"):
        try:
            await download_to_path(client, url, path)  # type: ignore[arg-type]
        except Exception as error:  # unlike those of an installation, rattler's errors of a download name no package
            raise RuntimeError(f"failed to fetch {package.file_name} - {error}") from None
    failpoint("archive.fetched")
    context.end(f"fetching {package.file_name}")
