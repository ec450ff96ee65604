"""The conda engine: solves, resolves and links with py-rattler, in the daemon's own process.

Nothing ambient affects it: no condarc, no ``CONDA_*`` or ``RATTLER_*``, no keyring, no detected machine. Only the
request, the config and the channels do.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timezone

import msgspec
from rattler import Channel, ChannelPriority, Client, Gateway, RepoDataRecord, Subdir, VirtualPackage
from rattler import solve as rattler_solve

from roost.daemon.engines.conda import cache
from roost.daemon.engines.conda.channels import (
    ALIAS,
    ChannelRoutes,
    channel_part,
    collect_secrets,
    expand_variables,
    mask_path,
    resolve_channels,
)
from roost.daemon.engines.conda.client import ChannelCredentials, make_client
from roost.daemon.engines.conda.distributions import find_distributions
from roost.daemon.engines.conda.explicit import ExplicitUrl, match_records, parse_explicit, read_unlisted
from roost.daemon.engines.conda.link import (
    LinkReporter,
    check_local_packages,
    clear_folder,
    link_records,
    restore_canonical_urls,
)
from roost.daemon.engines.conda.marks import write_marks
from roost.daemon.engines.conda.platforms import baseline_packages, check_machine, conda_subdir
from roost.daemon.engines.conda.records import (
    canonical_url,
    sort_by_dependency,
    to_package,
    to_records,
    to_virtual_package,
    virtual_version,
)
from roost.daemon.engines.conda.scripts import run_post_link
from roost.daemon.engines.conda.specs import parse_spec, read_specs
from roost.daemon.engines.conda.translation import translate_errors
from roost.daemon.jobs.progress import Progress, Silent
from roost.model.errors import CodedError
from roost.model.locks.lock import CondaPackage
from roost.model.syntax.match_specs import to_rattler
from roost.model.syntax.urls import strip_credentials
from roost.store.cancellation import finish_thread_despite_cancel

SILENT = Silent()


class CondaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the config that the engine uses."""

    mirrors: dict[str, list[str]] = {}
    """Channel (name or URL prefix) to the URLs to fetch it from; these may be ``file://`` URLs."""
    channel_alias: str = ALIAS
    auth_file: str | None = None
    """Path of rattler's auth file; ``None``: its default path."""
    index_timeout: float = 120.0
    """Seconds for one HTTP exchange about a channel's index."""
    idle_timeout: float = 60.0
    """Seconds that a channel may send nothing of a package."""
    retries: int = 2


class CondaEngine:
    """Conda packages for definitions and prefixes. ``cache_dir`` holds the channels' indexes and extracted packages.

    Creating one deletes the leftovers of killed extractions, so at most one may exist for a ``cache_dir`` at a time.

    All methods that reach a channel take ``credentials`` by origin and raise ``ChannelUnreachableError``,
    ``ChannelRefusedError``, ``ChannelMissingError``.
    """

    def __init__(self, cache_dir: str, bytecode_dir: str, config: CondaConfig) -> None:
        self.packages_dir = os.path.join(cache_dir, "packages")
        self._index_dir = os.path.join(cache_dir, "index")
        self._gate = cache.CacheGate()
        self.configure(config)
        os.makedirs(self.packages_dir, exist_ok=True)
        os.makedirs(self._index_dir, exist_ok=True)
        cache.delete_leftovers(self.packages_dir, ".")
        cache.delete_leftovers(bytecode_dir, "stage-")

    def configure(self, config: CondaConfig) -> None:
        """Use ``config`` from the next call on."""
        self.config = config
        self._routes = ChannelRoutes(config.mirrors, os.path.isdir, config.channel_alias)

    # ------------------------------------------------------------------ specs, platforms, credentials
    def check_specs(self, specs: Iterable[str]) -> None:
        """Raise ``MatchSpecError`` for the first that is not a match spec; conda's own spellings are translated."""
        for spec in specs:
            parse_spec(spec, to_rattler(spec))

    def detect_virtual_packages(self) -> dict[str, str]:
        """Return the virtual packages of this machine, ignoring ``CONDA_OVERRIDE_*``. Blocks: asks CUDA's driver."""
        found = [package.into_generic() for package in VirtualPackage.detect()]
        return {package.name.normalized: virtual_version(package) for package in found}

    async def check_machine(self, system: Mapping[str, str]) -> None:
        """Raise ``MachineLacksError`` if this machine has less than ``system``, the virtual packages of a lock."""
        check_machine(system, await asyncio.to_thread(self.detect_virtual_packages))

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
            if (masked := self._mask_path(url, variables)) != url:
                found[masked] = url
        return found

    def _mask_path(self, url: str, variables: Mapping[str, str]) -> str:
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
        credentials: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        progress: Progress = SILENT,
    ) -> list[CondaPackage]:
        """Return the packages that satisfy ``specs``, by strict channel priority in the order of ``channels``.

        ``system`` is the definition's ``[system]``. ``variables`` are the client's, for ``${VAR}`` in channels.

        Raises:
            SolveError: if no set of packages satisfies the specs.
            MatchSpecError: if a spec is invalid.
        """
        progress.start("solve")
        variables = variables or {}
        resolved = resolve_channels(channels, variables, self.config.channel_alias)
        urls = [self._mask_path(url, variables) for url in resolved.urls]
        virtual = [to_virtual_package(name, value) for name, value in baseline_packages(platform, system).items()]
        bare = [self._mask_path(strip_credentials(expand_variables(spec, variables))[0], variables) for spec in specs]
        parsed, sources = await asyncio.to_thread(read_specs, bare, urls, self._routes, self.config.channel_alias)
        secrets = self.channel_credentials([*channels, *specs], variables, credentials or {})
        client = await self._open_client(secrets, self.config.index_timeout)
        noun = "spec" if len(specs) == 1 else "specs"
        progress.log(f"solving {len(specs)} {noun} for {platform} with {', '.join(channels)}")
        with translate_errors("solving"):
            records = await rattler_solve(
                [Channel(url) for url in sources],
                parsed,
                gateway=Gateway(cache_dir=self._index_dir, client=client),  # type: ignore[arg-type]
                platforms=[Subdir(conda_subdir(platform)), Subdir("noarch")],
                virtual_packages=virtual,
                channel_priority=ChannelPriority.Strict,
                # rattler ignores the time zone and reads the wall clock as UTC.
                exclude_newer=as_of.astimezone(timezone.utc) if as_of else None,
                channel_relations="disabled",
            )
        progress.finish("solve")
        return sorted((to_package(r, canonical_url(r, sources)) for r in records), key=lambda package: package.name)

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
        lines = [self._mask_path(strip_credentials(expand_variables(url, variables))[0], variables) for url in urls]
        items = [parse_explicit(line, conda_subdir(platform)) for line in lines]
        secrets = self.channel_secrets(urls, variables, credentials or {})
        secrets |= self._masked_channels((url.partition("#")[0] for url in urls), variables)
        client = await self._open_client(secrets, self.config.index_timeout)
        packages = match_records(items, await self._query_indexes(items, client))
        for item in [item for item in items if item.url not in packages]:
            packages[item.url] = await read_unlisted(item, await self._fetch_url(item.url), client)
        progress.finish("solve")
        return [packages[item.url] for item in items]

    async def _query_indexes(self, items: Sequence[ExplicitUrl], client: Client) -> dict[str, RepoDataRecord]:
        """Return the records of ``items`` by canonical URL, from the channels that have an index."""
        found: dict[str, RepoDataRecord] = {}
        gateway = Gateway(cache_dir=self._index_dir, client=client)  # type: ignore[arg-type]
        for channel, subdir in sorted({(item.channel, item.subdir) for item in items}):
            names = [item.name for item in items if (item.channel, item.subdir) == (channel, subdir)]
            source = await self._fetch_url(channel)
            try:
                result = await gateway.query(
                    [Channel(source)], [Subdir(subdir)], names, recursive=False, channel_relations="disabled"
                )
            except Exception:
                continue  # a channel without an index: its files are requested one by one, and their errors reported
            found |= {canonical_url(record, {source: channel}): record for records in result for record in records}
        return found

    async def find_distributions(
        self, packages: Sequence[CondaPackage], *, credentials: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Return the pip distributions in ``packages`` (found by their ``.dist-info``): PEP 503 name to version.

        Only lists of files are read: from the cache, or by ranges from the channel, so no package is downloaded.
        """
        packages = self._mask_urls(packages, credentials or {})
        client = await self._open_client(credentials or {}, self.config.index_timeout)
        return await find_distributions(packages, self.packages_dir, self._fetch_url, client)

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
        """
        packages = self._mask_urls(packages, credentials or {})
        progress.start("link", len(packages))
        with translate_errors(f"linking into {prefix}"):
            records, modified = await self._link_verified(packages, prefix, progress, credentials or {})
            await finish_thread_despite_cancel(self._finish_prefix, packages, prefix)
        progress.finish("link")
        await run_post_link(await asyncio.to_thread(sort_by_dependency, packages, records), prefix, progress)
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
        """
        packages = self._mask_urls(packages, credentials or {})
        progress.start("link", len(packages))
        with translate_errors(f"linking for {final}"):
            _, modified = await self._link_verified(packages, folder, progress, credentials or {}, final)
        progress.finish("link")
        return modified

    def hold_cache(self) -> AbstractAsyncContextManager[None]:
        """While it is held, nothing is dropped from the package cache."""
        return self._gate.shared()

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
    ) -> tuple[list[RepoDataRecord], list[str]]:
        """Link ``packages`` and check meanwhile that their cached files are intact; if not, repair and link again.

        Checking at the same time costs no extra time and finds the same: linked and cached files have the same inodes.
        """
        async with self._gate.shared():
            records, missing = await asyncio.to_thread(self._prepare_records, packages)
            fetched = {package.url for package in missing}
            cached = [package for package in packages if package.url not in fetched]
            checking = asyncio.ensure_future(asyncio.to_thread(cache.find_suspects, self.packages_dir, cached))
            failure: CodedError | None = None
            try:
                await self._link(records, missing, prefix, progress, credentials, final)
            except CodedError as error:
                failure = error
            finally:
                suspects = await asyncio.shield(checking)
        modified = await self.repair_cache(suspects) if suspects else []
        if not modified:
            if failure is not None:
                raise failure
            return records, []
        progress.log(f"{', '.join(modified)} in the package cache was changed: fetched again")
        await finish_thread_despite_cancel(clear_folder, prefix)
        async with self._gate.shared():
            records, missing = await asyncio.to_thread(self._prepare_records, packages)
            await self._link(records, missing, prefix, progress, credentials, final)
        return records, modified

    def _prepare_records(self, packages: Sequence[CondaPackage]) -> tuple[list[RepoDataRecord], list[CondaPackage]]:
        """Return rattler's records of ``packages``, and those of ``packages`` that the cache lacks. Blocks."""
        missing = [package for package in packages if not cache.is_cached(self.packages_dir, package)]
        check_local_packages((package, self._routes.fetch_url(package.url)) for package in missing)
        with translate_errors("reading the lock"):
            return to_records(packages, self._routes.fetch_url), missing

    async def _link(
        self,
        records: list[RepoDataRecord],
        missing: Sequence[CondaPackage],
        prefix: str,
        progress: Progress,
        credentials: Mapping[str, str],
        final: str | None,
    ) -> None:
        client = await self._open_client(credentials, None)
        sizes = {package.url: package.size for package in missing}
        if missing:
            progress.start("download", sum(sizes.values()))
        await link_records(
            records,
            prefix,
            cache_dir=self.packages_dir,
            client=client,
            reporter=LinkReporter(progress, sizes, len(records)),
            idle_timeout=self.config.idle_timeout,
            final=final,
            fetching=bool(missing),
        )
        if missing:
            progress.finish("download")

    def _finish_prefix(self, packages: Sequence[CondaPackage], prefix: str) -> None:
        fetched = [(package, self._routes.fetch_url(package.url)) for package in packages]
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

    async def _fetch_url(self, url: str) -> str:
        return await asyncio.to_thread(self._routes.fetch_url, url)

    async def _open_client(self, credentials: Mapping[str, str], timeout: float | None) -> Client:
        """Return a client for one request. Raises ``AuthFileError``."""

        def make() -> Client:
            secrets = ChannelCredentials(self.config.auth_file, credentials)
            return make_client(self._routes.http_mirrors(), secrets, retries=self.config.retries, timeout=timeout)

        return await asyncio.to_thread(make)
