"""Link packages into a prefix with rattler's installer, each after a check of its paths.

If it fails, rattler drops its future at once, but its threads finish the packages that they are extracting or linking:
the daemon kills the worker before it deletes or reuses the prefix.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

from rattler import PackageRecord
from rattler import install as rattler_install

from roost.daemon.engines.conda.errors import ChannelUnreachableError
from roost.daemon.engines.conda.jobs import LinkRequest
from roost.daemon.engines.conda.native.client import open_client
from roost.daemon.engines.conda.native.package_check import PackageCheck
from roost.daemon.engines.conda.native.records import to_records
from roost.daemon.engines.conda.native.solving import channel_routes
from roost.daemon.engines.conda.translation import translate_errors
from roost.daemon.workers.context import JobContext
from roost.model.errors import CodedError
from roost.model.locks.lock import CondaPackage
from roost.store.failpoints import failpoint


class LinkReporter:
    """Receives rattler's reports, from its threads, and passes them on. Its methods must not raise."""

    def __init__(self, request: LinkRequest, check: PackageCheck, context: JobContext) -> None:
        self._packages = {package.name: package for package in request.packages}
        self._sizes = request.sizes
        self._check = check
        self._context = context
        self._lock = threading.Lock()
        self._total_bytes = sum(request.sizes.values())
        self._bytes: dict[int, int] = {}
        self._names: dict[int, str] = {}
        """Name of the package of each operation."""
        self._linked = 0
        self._fetching = 0
        self.last_report = time.monotonic()
        """Time of the last report."""

    @property
    def is_fetching(self) -> bool:
        """Whether a package is being fetched into the cache."""
        return self._fetching > 0

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        self._note_report(+1)
        self._names[operation] = package_name
        package = self._packages.get(package_name)
        if package is not None and package.url in self._sizes:
            self._context.begin(f"fetching {_describe(package)}")
        return operation

    def on_populate_cache_complete(self, cache_entry: int) -> None:
        failpoint("conda.fetched")
        self._note_report(-1)
        package = self._packages.get(self._names.get(cache_entry, ""))
        if package is not None and package.url in self._sizes:
            self._context.end(f"fetching {_describe(package)}")

    def on_download_start(self, cache_entry: int) -> int:
        self.on_download_progress(cache_entry, 0, None)
        return cache_entry

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        self._note_report(0)
        with self._lock:
            self._bytes[download_idx] = progress
            done = sum(self._bytes.values())
        self._context.progress.advance("download", done, max(self._total_bytes, done))

    def on_link_start(self, operation: int, package_name: str) -> int:
        """Check the package: rattler links it when this has returned."""
        package = self._packages.get(package_name)
        if package is not None:
            self._context.begin(f"linking {_describe(package)}")
            try:
                self._check.add(package)
            except CodedError as error:
                self._context.fail(error)
        failpoint("conda.linking")
        return operation

    def on_link_complete(self, index: int) -> None:
        failpoint("conda.linked")
        self._note_report(0)
        with self._lock:
            self._linked += 1
            linked = self._linked
        package = self._packages.get(self._names.get(index, ""))
        if package is not None:
            self._context.end(f"linking {_describe(package)}")
        self._context.progress.advance("link", linked, len(self._packages))

    def _note_report(self, fetching: int) -> None:
        with self._lock:
            self._fetching += fetching
            self.last_report = time.monotonic()


def _describe(package: CondaPackage) -> str:
    return f"{package.name}-{package.version}"


async def link(request: LinkRequest, context: JobContext) -> list[str]:
    """Fetch what the cache lacks and link all packages; return their names, dependencies first.

    Raises:
        ChannelUnreachableError: if a channel sends nothing for ``idle_timeout`` seconds.
        PackageUnsafeError: if a package would write outside the prefix.
        LinkError, PackageDigestMismatchError and the like: translated from rattler's errors.
    """
    routes = channel_routes(request.access)
    check = PackageCheck(request)
    with translate_errors("reading the lock"):
        records = to_records(request.packages, lambda url: request.sources.get(url) or routes.fetch_url(url))
    reporter = LinkReporter(request, check, context)
    with translate_errors(f"linking {len(records)} packages"):
        task = asyncio.ensure_future(
            rattler_install(
                records, request.prefix, cache_dir=request.cache_dir,  # type: ignore[arg-type]
                client=open_client(request.access, routes), installed_packages=[],
                execute_link_scripts=False, show_progress=False, reporter=reporter,  # type: ignore[arg-type]
                alternative_target_prefix=request.final,
            )
        )  # fmt: skip
        try:
            await _await_with_timeout(task, reporter, request.idle_timeout)
        except BaseException:
            task.cancel()
            with contextlib.suppress(BaseException):
                await task
            raise
    return [record.name.normalized for record in PackageRecord.sort_topologically(list(records))]


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
