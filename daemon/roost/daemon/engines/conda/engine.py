"""The conda engine: solves, resolves and links with py-rattler, in worker processes.

Nothing ambient affects it: no condarc, no ``CONDA_*`` or ``RATTLER_*``, no keyring, no detected machine. Only the
request, the config and the channels do.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from functools import partial
from typing import TypeVar

import msgspec

from roost.daemon.background.code import KnownCode, PackageCode
from roost.daemon.background.work import is_background
from roost.daemon.engines.conda import cache, jobs
from roost.daemon.engines.conda.archives import PackageArchives, fetch_archives
from roost.daemon.engines.conda.channels import (
    ChannelRoutes,
    CondaConfig,
    channel_part,
    collect_secrets,
    expand_variables,
    mask_path,
    resolve_channels,
)
from roost.daemon.engines.conda.errors import PackageUnsafeError
from roost.daemon.engines.conda.explicit import parse_explicit
from roost.daemon.engines.conda.link import (
    check_local_packages,
    clear_folder,
    link_with_retries,
    restore_canonical_urls,
)
from roost.daemon.engines.conda.marks import write_marks
from roost.daemon.engines.conda.package_code import list_package_code
from roost.daemon.engines.conda.package_paths import check_names
from roost.daemon.engines.conda.platforms import baseline_packages, check_machine, conda_subdir
from roost.daemon.engines.conda.rules import CondaRules, worker_variables
from roost.daemon.engines.conda.scripts import run_post_link
from roost.daemon.engines.conda.translation import translate_errors
from roost.daemon.jobs.holds import CONDA_INDEX, EVERYTHING, Holds
from roost.daemon.jobs.progress import Progress, Silent
from roost.daemon.jobs.unpacking import run_with_bound
from roost.daemon.workers.jobs import WorkerJob
from roost.daemon.workers.pool import WorkerPool
from roost.model.errors import CodedError
from roost.model.locks.lock import CondaPackage
from roost.model.locks.preferences import PreferredPackage
from roost.model.syntax.urls import strip_credentials
from roost.store.cancellation import finish_thread_despite_cancel
from roost.store.index.cache_keys import conda_key, file_key

P = TypeVar("P")
R = TypeVar("R")

SILENT = Silent()


class CondaEngine:
    """Conda packages for definitions and prefixes. ``cache_dir`` holds the channels' indexes and extracted packages.

    Creating one deletes the leftovers of killed extractions, so at most one may exist for a ``cache_dir`` at a time.

    All methods that reach a channel take ``credentials`` by origin and raise ``ChannelUnreachableError``,
    ``ChannelRefusedError``, ``ChannelMissingError``.
    """

    def __init__(
        self,
        cache_dir: str,
        bytecode_dir: str,
        config: CondaConfig,
        workers: WorkerPool,
        holds: Holds | None = None,
        known_code: KnownCode | None = None,
    ) -> None:
        self._known_code = known_code or KnownCode()
        self.packages_dir = os.path.join(cache_dir, "packages")
        self.archives = PackageArchives(os.path.join(cache_dir, "archives"))
        self.index_dir = os.path.join(cache_dir, "index")
        self._workers = workers
        self._rules = CondaRules(workers)
        self._holds = holds or Holds()
        self._gate = cache.CacheGate(lambda: cache.delete_leftovers(self.packages_dir, "."))
        self.index_gate = cache.CacheGate(lambda: cache.delete_temporary_files(self.index_dir))
        self.configure(config)
        os.makedirs(self.packages_dir, exist_ok=True)
        os.makedirs(self.index_dir, exist_ok=True)
        cache.delete_leftovers(self.packages_dir, ".")
        cache.delete_temporary_files(self.index_dir)
        cache.delete_leftovers(bytecode_dir, "stage-")
        self.archives.delete_unfinished()

    def configure(self, config: CondaConfig) -> None:
        """Use ``config`` from the next call on."""
        self.config = config
        self._routes = ChannelRoutes(config.mirrors, os.path.isdir, config.channel_alias)

    # ------------------------------------------------------------------ platforms, credentials
    async def check_machine(self, system: Mapping[str, str]) -> None:
        """Raise ``MachineLacksError`` if this machine has less than ``system``, the virtual packages of a lock.

        ``CONDA_OVERRIDE_*`` has no effect.
        """
        check_machine(system, await self._rules.detect_virtual_packages())

    def channel_secrets(
        self, texts: Iterable[str], variables: Mapping[str, str], given: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the credentials in ``texts`` (channels, specs or URLs of packages) and ``given``, by origin."""
        return collect_secrets(texts, variables, given)

    def channel_credentials(
        self, texts: Sequence[str], variables: Mapping[str, str], given: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the ``credentials`` for the methods that take no variables: those of :meth:`channel_secrets` and
        the URLs of the channels in ``texts`` that have variables in their paths, by their URLs with the names."""
        return self.channel_secrets(texts, variables, given) | self._masked_channels(texts, variables)

    def _masked_channels(self, texts: Iterable[str], variables: Mapping[str, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for text in texts:
            url = channel_part(strip_credentials(expand_variables(text, variables))[0])
            if (masked := self.mask_path(url, variables)) != url:
                found[masked] = url
        return found

    def mask_path(self, url: str, variables: Mapping[str, str]) -> str:
        return url if self._routes.is_mirrored(url) else mask_path(url, variables)

    # ------------------------------------------------------------------ choosing packages
    async def solve(
        self,
        *,
        channels: Sequence[str],
        specs: Sequence[str],
        platform: str,
        system: Mapping[str, str],
        as_of: datetime | None = None,
        preferred: Sequence[PreferredPackage] = (),
        credentials: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        progress: Progress = SILENT,
    ) -> list[CondaPackage]:
        """Return the packages that satisfy ``specs``, by strict channel priority in the order of ``channels``.

        ``system`` is the definition's ``[system]``, ``variables`` are the client's, for ``${VAR}`` in channels. Of
        ``preferred`` is chosen what the channels list and the specs allow. Raises SolveError, MatchSpecError.
        """
        progress.start("solve")
        variables = variables or {}
        resolved = resolve_channels(channels, variables, self.config.channel_alias)
        urls = [self.mask_path(url, variables) for url in resolved.urls]
        bare = [self.mask_path(strip_credentials(expand_variables(spec, variables))[0], variables) for spec in specs]
        secrets = self.channel_credentials([*channels, *specs], variables, credentials or {})
        progress.log(f"solving {len(specs)} spec{'s'[len(specs) == 1 :]} for {platform} with {', '.join(channels)}")
        request = jobs.SolveRequest(
            channels=tuple(urls),
            specs=tuple(bare),
            subdir=conda_subdir(platform),
            virtual=baseline_packages(platform, system),
            as_of=as_of,
            index_dir=self.index_dir,
            access=self.access(secrets, self.config.index_timeout),
            preferred=tuple(preferred),
        )
        packages = await self.run_with_cache(jobs.SOLVE, request, self.index_gate, progress)
        progress.finish("solve")
        return packages

    async def resolve_explicit(
        self,
        urls: Sequence[str],
        platform: str,
        *,
        credentials: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        progress: Progress = SILENT,
    ) -> list[CondaPackage]:
        """Return the packages at ``urls`` (each may end in ``#<md5>`` or ``#sha256:<hex>``), from the indexes.

        A package that its index no longer lists is downloaded and read.

        Raises:
            ExplicitUrlError: if a line is not the URL of a package for ``platform``.
            PackageDigestMismatchError: if an index has another digest than the list.
            PackageMissingError: if neither the index nor the channel has the package.
        """
        progress.start("solve", len(urls))
        variables = variables or {}
        lines = [self.mask_path(strip_credentials(expand_variables(url, variables))[0], variables) for url in urls]
        items = [parse_explicit(line, conda_subdir(platform)) for line in lines]
        secrets = self.channel_secrets(urls, variables, credentials or {})
        secrets |= self._masked_channels((url.partition("#")[0] for url in urls), variables)
        request = jobs.ExplicitRequest(
            items=tuple(items),
            index_dir=self.index_dir,
            access=self.access(secrets, self.config.index_timeout),
        )
        packages = await self.run_with_cache(jobs.RESOLVE_EXPLICIT, request, self.index_gate, progress)
        progress.finish("solve")
        return packages

    async def find_distributions(
        self, packages: Sequence[CondaPackage], *, credentials: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Return the pip distributions in ``packages`` (found by their ``.dist-info``): PEP 503 name to version.

        Only lists of files are read: from the cache, or by ranges from the channel, so no package is downloaded.
        """
        if not packages:
            return {}
        request = jobs.DistributionRequest(
            packages=tuple(self._mask_urls(packages, credentials or {})),
            cache_dir=self.packages_dir,
            access=self.access(credentials or {}, self.config.index_timeout),
        )
        return await self._run(jobs.FIND_DISTRIBUTIONS, request)

    # ------------------------------------------------------------------ making prefixes
    async def link(
        self,
        packages: Sequence[CondaPackage],
        prefix: str,
        *,
        progress: Progress = SILENT,
        credentials: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Fill ``prefix``, at its final path, with ``packages`` by hard links from the cache; run post-link scripts.

        Packages that the cache lacks are fetched; those whose cached files were modified are dropped and fetched again.
        Returns the names of the latter: other prefixes share the modified files.

        Raises:
            LinkError, PostLinkError, PackageMissingError, PackageDigestMismatchError, StoreFullError.
            PackageUnsafeError: if a package would write outside of ``prefix``.
            WorkerCrashedError: if rattler ends its process.
            CodeNotAllowedError: in background work, if packages have scripts that have not run here; all are fetched.
        """
        packages = self._mask_urls(packages, credentials or {})
        if is_background():  # without linking first, if that is known now
            await self._known_code.require(await self.list_code(packages))
        progress.start("link", len(packages))
        async with self.hold_packages(packages):
            with translate_errors(f"linking into {prefix}"):
                order, modified, sources = await self._link_verified(packages, prefix, progress, credentials or {})
                await finish_thread_despite_cancel(self._finish_prefix, packages, prefix, sources)
            if is_background():
                await self._known_code.require(await self.list_code(packages, all_cached=True))
        progress.finish("link")
        by_name = {package.name: package for package in packages}
        await run_post_link([by_name[name] for name in order], prefix, progress)
        return modified

    async def stage(
        self,
        packages: Sequence[CondaPackage],
        folder: str,
        final: str,
        *,
        progress: Progress = SILENT,
        credentials: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Fill ``folder`` as :meth:`link` does, with files that name ``final`` as their prefix, for an image.

        No script of a package runs, and no marks are written. Files are hard links into the cache: never write to them.
        The caller holds the packages (:meth:`hold_packages`), until it needs nothing more of the cache.
        """
        packages = self._mask_urls(packages, credentials or {})
        progress.start("link", len(packages))
        with translate_errors(f"linking for {final}"):
            _, modified, _ = await self._link_verified(packages, folder, progress, credentials or {}, final)
        progress.finish("link")
        return modified

    async def fetch_archives(
        self, packages: Sequence[CondaPackage], *, progress: Progress, credentials: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the path of the file of each of ``packages`` by sha256, after fetching those that are not stored.

        Raises:
            PackageMissingError, PackageDigestMismatchError, StoreFullError.
        """
        masked = self._mask_urls(packages, credentials)

        async def fetch(paths: Mapping[str, str]) -> None:
            request = jobs.FetchRequest(
                packages=tuple(package for package in masked if package.sha256 in paths),
                paths=dict(paths),
                idle_timeout=self.config.idle_timeout,
                access=self.access(credentials, None),
            )
            await self._run(jobs.FETCH, request, progress)

        return await fetch_archives(self.archives, masked, self._routes.fetch_url, fetch, progress)

    async def list_code(self, packages: Sequence[CondaPackage], *, all_cached: bool = False) -> list[PackageCode]:
        """Return the code of ``packages`` in the cache; if ``all_cached``, one that is not there may run anything."""
        return await asyncio.to_thread(list_package_code, self.packages_dir, packages, all_cached=all_cached)

    def hold_cache(self) -> AbstractAsyncContextManager[None]:
        """While it is held, nothing is dropped from the package cache to be repaired."""
        return self._gate.shared()

    def hold_packages(
        self, packages: Iterable[CondaPackage], *, and_others: bool = False
    ) -> AbstractAsyncContextManager[None]:
        """While it is held, none of ``packages`` (``and_others``: none at all) is removed from the cache."""
        names = [(f"{each.name}-{each.version}-{each.build}", each.sha256) for each in packages]
        keys = [key for name, sha256 in names for key in (conda_key(name), file_key(sha256))]
        return self._holds.hold([*keys, EVERYTHING] if and_others else keys)

    async def repair_cache(self, packages: Sequence[CondaPackage]) -> list[str]:
        """Read every cached file of ``packages`` and drop the packages with a wrong one; return their names."""
        corrupt = await asyncio.to_thread(cache.find_corrupt, self.packages_dir, packages)
        if corrupt:
            async with self._gate.exclusive():
                for package in corrupt:
                    await finish_thread_despite_cancel(cache.drop_package, self.packages_dir, package)
        return [package.name for package in corrupt]

    async def _link_verified(
        self,
        packages: Sequence[CondaPackage],
        prefix: str,
        progress: Progress,
        credentials: Mapping[str, str],
        final: str | None = None,
    ) -> tuple[list[str], list[str], dict[str, str]]:
        """Link ``packages`` and check meanwhile that their cached files are intact; if not, repair and link again.

        Checking at the same time costs no extra time and finds the same: linked and cached files have the same inodes.
        Returns the names of the packages, dependencies first, those of the ones that had been modified, and the URLs
        of stored files that were linked, by the packages' own.
        """
        check_names(packages)
        async with self._gate.shared():
            missing, sources = await asyncio.to_thread(self._find_missing, packages)
            fetched = {package.url for package in missing}
            cached = [package for package in packages if package.url not in fetched]
            checking = asyncio.ensure_future(asyncio.to_thread(cache.find_suspects, self.packages_dir, cached))
            failure: CodedError | None = None
            order: list[str] = []
            try:
                order = await self._link(packages, missing, sources, prefix, progress, credentials, final)
            except CodedError as error:
                failure = error
            finally:
                suspects = await asyncio.shield(checking)
        modified = await self.repair_cache(suspects) if suspects else []
        lost = (await asyncio.to_thread(self._find_missing, cached))[0] if failure is not None else []
        if not (modified or lost) or isinstance(failure, PackageUnsafeError):
            if failure is not None:
                raise failure
            return order, [], sources
        names = dict.fromkeys([*modified, *(package.name for package in lost)])
        progress.log(f"{', '.join(names)} in the package cache was changed or deleted: fetched again")
        await finish_thread_despite_cancel(clear_folder, prefix)
        async with self._gate.shared():
            missing, more = await asyncio.to_thread(self._find_missing, packages)
            order = await self._link(packages, missing, more, prefix, progress, credentials, final)
        return order, modified, sources | more

    def _find_missing(self, packages: Sequence[CondaPackage]) -> tuple[list[CondaPackage], dict[str, str]]:
        """Return those of ``packages`` that the cache lacks, and the ``file://`` URLs of those whose files are stored,
        by the packages' own URLs. Blocks."""
        missing = [package for package in packages if not cache.is_cached(self.packages_dir, package)]
        stored = self.archives.find_all(missing)
        others = [package for package in missing if package.url not in stored]
        check_local_packages((package, self._routes.fetch_url(package.url)) for package in others)
        return missing, {url: f"file://{path}" for url, path in stored.items()}

    async def _link(
        self,
        packages: Sequence[CondaPackage],
        missing: Sequence[CondaPackage],
        sources: Mapping[str, str],
        prefix: str,
        progress: Progress,
        credentials: Mapping[str, str],
        final: str | None,
    ) -> list[str]:
        request = jobs.LinkRequest(
            packages=tuple(packages),
            prefix=prefix,
            final=final,
            cache_dir=self.packages_dir,
            sizes={package.url: package.size for package in missing},
            sources=dict(sources),
            idle_timeout=self.config.idle_timeout,
            access=self.access(credentials, None),
        )
        if missing:
            progress.start("download", sum(request.sizes.values()))

        async def link() -> list[str]:
            linking = self.run_with_cache(jobs.LINK, request, self._gate, progress)
            unfinished = partial(cache.list_unfinished, self.packages_dir)
            return await run_with_bound(linking, unfinished, self.config.unpacked_bytes)

        order = await link_with_retries(link, prefix, self.packages_dir, fetching=bool(missing))
        if missing:
            await asyncio.to_thread(cache.drop_too_large, self.packages_dir, missing, self.config.unpacked_bytes)
            progress.finish("download")
        return order

    def _finish_prefix(self, packages: Sequence[CondaPackage], prefix: str, sources: Mapping[str, str]) -> None:
        fetched = [(p, sources.get(p.url) or self._routes.fetch_url(p.url)) for p in packages]
        restore_canonical_urls(prefix, ((package, url) for package, url in fetched if url != package.url))
        write_marks(prefix, packages)

    # ------------------------------------------------------------------ where packages are fetched from
    def _mask_urls(self, packages: Sequence[CondaPackage], credentials: Mapping[str, str]) -> list[CondaPackage]:
        """Return ``packages`` with the masked URLs of the channels whose real URLs are among ``credentials``."""
        masked = {url: name for name, url in credentials.items() if "${" in name and not self._routes.is_mirrored(url)}
        split = [(package, package.url.rsplit("/", 2)) for package in packages]
        return [
            msgspec.structs.replace(package, url="/".join([masked[channel], *rest])) if channel in masked else package
            for package, (channel, *rest) in split
        ]

    def access(self, credentials: Mapping[str, str], timeout: float | None) -> jobs.ChannelAccess:
        return jobs.ChannelAccess(
            mirrors=self.config.mirrors,
            alias=self.config.channel_alias,
            auth_file=self.config.auth_file,
            credentials=dict(credentials),
            retries=self.config.retries,
            timeout=timeout,
        )

    # ------------------------------------------------------------------ workers
    async def run_with_cache(self, job: WorkerJob[P, R], request: P, gate: cache.CacheGate, progress: Progress) -> R:
        """Run ``job``, which writes into the cache of ``gate``: what it leaves there if it is killed is deleted."""
        async with self._holds.hold([CONDA_INDEX] if gate is self.index_gate else []), gate.shared():
            try:
                return await self._run(job, request, progress)
            except BaseException:
                gate.note_kill()
                raise

    async def _run(self, job: WorkerJob[P, R], request: P, progress: Progress = SILENT) -> R:
        return await self._workers.run(job, request, progress, worker_variables())
