"""The conda engine: solves, resolves and links with py-rattler, in the daemon's own process.

Nothing ambient counts: no condarc, no ``CONDA_*`` or ``RATTLER_*``, no keyring, no detected machine. What counts is
the request, the config and the channels.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timezone

import msgspec
from rattler import (
    BuildString,
    Channel,
    ChannelPriority,
    Client,
    Gateway,
    GenericVirtualPackage,
    MatchSpec,
    PackageName,
    PackageRecord,
    RepoDataRecord,
    Subdir,
    Version,
    VirtualPackage,
)
from rattler import solve as rattler_solve

from roost.daemon.engines.conda import cache
from roost.daemon.engines.conda.channels import (
    ALIAS,
    Routes,
    channel_url,
    channel_urls,
    expand,
    hidden,
    secrets_of,
    split_channel,
    written_channel,
)
from roost.daemon.engines.conda.client import ChannelCredentials, make_client
from roost.daemon.engines.conda.errors import translated
from roost.daemon.engines.conda.explicit import ExplicitUrl, match_records, missing_record, parse_explicit
from roost.daemon.engines.conda.link import LinkReporter, check_local, empty, install, mark, name_canonical
from roost.daemon.engines.conda.platforms import baseline, check_machine, subdir_of
from roost.daemon.engines.conda.provides import provided_by
from roost.daemon.engines.conda.records import to_package, to_records
from roost.daemon.engines.conda.scripts import run_post_link
from roost.daemon.jobs.progress import Progress, Silent
from roost.model.errors import CodedError
from roost.model.locks.lock import CondaPackage
from roost.model.syntax.specs import MatchSpecError, is_package_file, to_rattler
from roost.model.syntax.urls import strip_credentials
from roost.store.cancellation import finish_thread_despite_cancel

SILENT = Silent()


class CondaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the config that the engine goes by."""

    mirrors: dict[str, list[str]] = {}
    """Channel (name or URL prefix) to the URLs to fetch it from; ``file://`` too."""
    channel_alias: str = ALIAS
    auth_file: str | None = None
    index_timeout: float = 120.0
    """Seconds for one exchange about a channel's index."""
    idle_timeout: float = 60.0
    """Seconds that a channel may send nothing of a package."""
    retries: int = 2


class CondaEngine:
    """Conda packages for definitions and prefixes. ``cache_dir`` keeps indexes and extracted packages.

    Making one sweeps leftovers of killed extractions, so at most one may exist for a ``cache_dir`` at a time.
    """

    def __init__(self, cache_dir: str, bytecode_dir: str, config: CondaConfig) -> None:
        self.config = config
        self.bytecode_dir = bytecode_dir
        self.packages_dir = os.path.join(cache_dir, "packages")
        self._index_dir = os.path.join(cache_dir, "index")
        self._gate = cache.Gate()
        self._routes = Routes(config.mirrors, os.path.isdir, config.channel_alias)
        os.makedirs(self.packages_dir, exist_ok=True)
        os.makedirs(self._index_dir, exist_ok=True)
        cache.sweep(self.packages_dir, ".")
        cache.sweep(bytecode_dir, "stage-")

    def configure(self, config: CondaConfig) -> None:
        """Go by ``config`` from the next call on."""
        self.config = config
        self._routes = Routes(config.mirrors, os.path.isdir, config.channel_alias)

    # ------------------------------------------------------------------ specs and platforms
    def check_specs(self, specs: Iterable[str]) -> None:
        """Raise :class:`MatchSpecError` for the first that is no match spec (what conda accepts is translated)."""
        for spec in specs:
            _parse(spec, to_rattler(spec))

    def baseline(self, platform: str, system: Mapping[str, str]) -> dict[str, str]:
        """The virtual packages that a solve for ``platform`` assumes; goes into the lock."""
        return baseline(platform, system)

    def detect(self) -> dict[str, str]:
        """The virtual packages of this machine, without regard to ``CONDA_OVERRIDE_*``. Blocks (CUDA's driver)."""
        found = [package.into_generic() for package in VirtualPackage.detect()]
        return {p.name.normalized: _virtual_value(p) for p in found}

    def secrets(self, texts: Iterable[str], variables: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
        """Credentials for :meth:`provides` and :meth:`link`, which see no ``${VAR}``: from channels, specs or URLs."""
        return secrets_of(texts, variables, given)

    def places(self, texts: Iterable[str], variables: Mapping[str, str]) -> dict[str, str]:
        """More credentials for them: the channels in ``texts`` with variables in their paths, to those with values."""
        found: dict[str, str] = {}
        for text in texts:
            url = written_channel(strip_credentials(expand(text, variables))[0])
            if (named := self._hidden(url, variables)) != url:
                found[named] = url
        return found

    def _hidden(self, url: str, variables: Mapping[str, str]) -> str:
        return url if self._routes.mirrored(url) else hidden(url, variables)

    async def check_machine(self, system: Mapping[str, str]) -> None:
        """Raise :class:`MachineLacksError` if this machine has less than a lock's ``system``."""
        check_machine(system, await asyncio.to_thread(self.detect))

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
        """The packages that satisfy ``specs``, by strict channel priority in the order of ``channels``.

        ``variables`` are the client's, for ``${VAR}`` in channels. Raises :class:`SolveError`,
        :class:`ChannelUnreachableError` and its like, :class:`MatchSpecError`.
        """
        progress.start("solve")
        found = channel_urls(channels, variables or {}, self.config.channel_alias)
        urls = [self._hidden(url, variables or {}) for url in found.urls]
        virtual = [_virtual(name, value) for name, value in baseline(platform, system).items()]
        wanted = [self._hidden(strip_credentials(expand(spec, variables or {}))[0], variables or {}) for spec in specs]
        parsed, fetch = await asyncio.to_thread(self._read, wanted, urls)
        secrets = self.secrets([*channels, *specs], variables or {}, credentials or {})
        places = self.places([*channels, *specs], variables or {})
        client = await self._client(secrets | places, self.config.index_timeout)
        noun = "spec" if len(specs) == 1 else "specs"
        progress.log(f"solving {len(specs)} {noun} for {platform} with {', '.join(channels)}")
        with translated("solving"):
            records = await rattler_solve(
                [Channel(url) for url in fetch],
                parsed,
                gateway=Gateway(cache_dir=self._index_dir, client=client),  # type: ignore[arg-type]
                platforms=[Subdir(subdir_of(platform)), Subdir("noarch")],
                virtual_packages=virtual,
                channel_priority=ChannelPriority.Strict,
                # rattler takes the wall clock of any zone for UTC
                exclude_newer=as_of.astimezone(timezone.utc) if as_of else None,
                channel_relations="disabled",
            )
        progress.finish("solve")
        return sorted((to_package(r, _canonical(r, fetch)) for r in records), key=lambda p: p.name)

    def _read(self, specs: Sequence[str], channels: Sequence[str]) -> tuple[list[MatchSpec], dict[str, str]]:
        """The specs, and where to fetch from → canonical URL of every channel. Blocks: looks for mirrors' folders."""
        sources = dict.fromkeys(channels)
        parsed = [self._spec(spec, sources) for spec in specs]
        return _with_names(parsed), {self._routes.fetch_url(url): url for url in sources}

    def _spec(self, spec: str, sources: dict[str, None]) -> MatchSpec:
        """``spec`` with its channel, if it names one, as a URL; such a channel joins ``sources`` last, as in conda."""
        text = to_rattler(spec)
        if is_package_file(text):
            channel = text.rsplit("/", 2)[0]
            sources.setdefault(channel)
            with translated(f"reading {spec!r}"):
                return MatchSpec.from_url(self._routes.fetch_url(text))
        name, rest = split_channel(text)
        if not name:
            return _parse(spec, text)
        url = channel_url(name, self.config.channel_alias)[0]
        sources.setdefault(url)
        return _parse(spec, f"{self._routes.fetch_url(url)}::{rest}")

    async def resolve_explicit(
        self,
        urls: Sequence[str],
        platform: str,
        *,
        credentials: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        progress: Progress = SILENT,
    ) -> list[CondaPackage]:
        """The packages at ``urls`` (each may end in ``#<md5>`` or ``#sha256:<hex>``), from the channels' indexes.

        What an index no longer lists is fetched to read it. Raises :class:`DigestMismatchError` where the index
        has another digest than the list.
        """
        progress.start("solve", len(urls))
        given = variables or {}
        lines = [self._hidden(strip_credentials(expand(url, given))[0], given) for url in urls]
        wanted = [parse_explicit(line, subdir_of(platform)) for line in lines]
        secrets = self.secrets(urls, given, credentials or {}) | self.places((u.partition("#")[0] for u in urls), given)
        client = await self._client(secrets, self.config.index_timeout)
        indexed = await self._query(wanted, client)
        packages = match_records(wanted, indexed)
        for item in [item for item in wanted if item.url not in packages]:
            packages[item.url] = await missing_record(item, await self._fetch_url(item.url), client)
        progress.finish("solve")
        return [packages[item.url] for item in wanted]

    async def _query(self, wanted: Sequence[ExplicitUrl], client: Client) -> dict[str, RepoDataRecord]:
        """Canonical URL to record, for the channels of ``wanted`` that have an index."""
        found: dict[str, RepoDataRecord] = {}
        gateway = Gateway(cache_dir=self._index_dir, client=client)  # type: ignore[arg-type]
        for channel, subdir in sorted({(item.channel, item.subdir) for item in wanted}):
            names = [item.name for item in wanted if (item.channel, item.subdir) == (channel, subdir)]
            fetch = await self._fetch_url(channel)
            try:
                result = await gateway.query(
                    [Channel(fetch)], [Subdir(subdir)], names, recursive=False, channel_relations="disabled"
                )
            except Exception:
                continue  # a channel without an index: the files themselves are asked, and tell why
            found |= {_canonical(record, {fetch: channel}): record for records in result for record in records}
        return found

    async def provides(
        self,
        packages: Sequence[CondaPackage],
        *,
        progress: Progress = SILENT,
        credentials: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """pip name (PEP 503) to version of every distribution in ``packages``, by their ``.dist-info`` folders.

        Reads the lists of files: from the cache, or by ranges from the channel, so that nothing is fetched in vain.
        """
        packages = self._named(packages, credentials or {})
        client = await self._client(credentials or {}, self.config.index_timeout)
        return await provided_by(packages, self.packages_dir, self._fetch_url, client)

    # ------------------------------------------------------------------ making prefixes
    async def link(
        self,
        packages: Sequence[CondaPackage],
        prefix: str,
        *,
        progress: Progress = SILENT,
        credentials: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Fill ``prefix``, in its final place, with ``packages`` by hard links from the cache; run post-link scripts.

        Packages that the cache lacks are fetched; those whose cached files were changed are dropped and fetched anew.
        Returns the names of these: other prefixes share the changed files.
        """
        packages = self._named(packages, credentials or {})
        progress.start("link", len(packages))
        with translated(f"linking into {prefix}"):
            records, changed = await self._link_whole(packages, prefix, progress, credentials or {})
            await finish_thread_despite_cancel(self._complete, packages, prefix)
        progress.finish("link")
        await run_post_link(await asyncio.to_thread(_ordered, packages, records), prefix, progress)
        return changed

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

        No script of a package runs, and nothing is marked. Files are hard links into the cache: never write to them.
        """
        packages = self._named(packages, credentials or {})
        progress.start("link", len(packages))
        with translated(f"linking for {final}"):
            _, changed = await self._link_whole(packages, folder, progress, credentials or {}, final)
        progress.finish("link")
        return changed

    def reading(self) -> AbstractAsyncContextManager[None]:
        """While it is held, nothing that is in the package cache goes."""
        return self._gate.shared()

    def _named(self, packages: Sequence[CondaPackage], credentials: Mapping[str, str]) -> list[CondaPackage]:
        """``packages`` at the places that may be written down, where ``credentials`` have what is behind these."""
        places = {url: named for named, url in credentials.items() if "${" in named and not self._routes.mirrored(url)}
        found = [(package, package.url.rsplit("/", 2)) for package in packages]
        return [
            msgspec.structs.replace(package, url="/".join([places[channel], *rest])) if channel in places else package
            for package, (channel, *rest) in found
        ]

    async def _link_whole(
        self,
        packages: Sequence[CondaPackage],
        prefix: str,
        progress: Progress,
        credentials: Mapping[str, str],
        final: str | None = None,
    ) -> tuple[list[RepoDataRecord], list[str]]:
        """Link, and look meanwhile whether what is linked is whole; if not, once again without it.

        The look shares the time of linking that way, and finds the same, for both see the same inodes.
        """
        async with self._gate.shared():
            records, missing = await asyncio.to_thread(self._prepare, packages)
            fetched = {package.url for package in missing}
            cached = [package for package in packages if package.url not in fetched]
            look = asyncio.ensure_future(asyncio.to_thread(cache.odd_packages, self.packages_dir, cached))
            failure: CodedError | None = None
            try:
                await self._install(records, missing, prefix, progress, credentials, final)
            except CodedError as error:
                failure = error
            finally:
                odd = await asyncio.shield(look)
        changed = await self.mend_cache(odd) if odd else []
        if not changed:
            if failure is not None:
                raise failure
            return records, []
        progress.log(f"{', '.join(changed)} in the package cache was changed: fetched anew")
        await finish_thread_despite_cancel(empty, prefix)
        async with self._gate.shared():
            records, missing = await asyncio.to_thread(self._prepare, packages)
            await self._install(records, missing, prefix, progress, credentials, final)
        return records, changed

    async def _install(
        self,
        records: list[RepoDataRecord],
        missing: Sequence[CondaPackage],
        prefix: str,
        progress: Progress,
        credentials: Mapping[str, str],
        final: str | None,
    ) -> None:
        client = await self._client(credentials, None)
        sizes = {package.url: package.size for package in missing}
        if missing:
            progress.start("download", sum(sizes.values()))
        reporter = LinkReporter(progress, sizes, len(records))
        await install(
            records,
            prefix,
            cache_dir=self.packages_dir,
            client=client,
            reporter=reporter,
            idle=self.config.idle_timeout,
            final=final,
            fetching=bool(missing),
        )
        if missing:
            progress.finish("download")

    def _prepare(self, packages: Sequence[CondaPackage]) -> tuple[list[RepoDataRecord], list[CondaPackage]]:
        missing = [package for package in packages if not cache.is_cached(self.packages_dir, package)]
        check_local((package, self._routes.fetch_url(package.url)) for package in missing)
        with translated("reading the lock"):
            return to_records(packages, self._routes.fetch_url), missing

    def _complete(self, packages: Sequence[CondaPackage], prefix: str) -> None:
        fetched = ((package, self._routes.fetch_url(package.url)) for package in packages)
        name_canonical(prefix, ((package, url) for package, url in fetched if url != package.url))
        mark(prefix, packages)

    async def mend_cache(self, packages: Sequence[CondaPackage]) -> list[str]:
        """Read every cached file of ``packages`` and drop the packages with a wrong one; their names."""
        bad = await asyncio.to_thread(cache.bad_packages, self.packages_dir, packages)
        if bad:
            async with self._gate.exclusive():
                for package in bad:
                    await finish_thread_despite_cancel(cache.drop, self.packages_dir, package)
        return [package.name for package in bad]

    async def _fetch_url(self, url: str) -> str:
        return await asyncio.to_thread(self._routes.fetch_url, url)

    async def _client(self, credentials: Mapping[str, str], timeout: float | None) -> Client:
        return await asyncio.to_thread(self._make_client, credentials, timeout)

    def _make_client(self, credentials: Mapping[str, str], timeout: float | None) -> Client:
        secrets = ChannelCredentials(self.config.auth_file, credentials)
        return make_client(self._routes.http_mirrors(), secrets, retries=self.config.retries, timeout=timeout)


def _parse(spec: str, text: str) -> MatchSpec:
    try:
        return MatchSpec(text)
    except Exception as error:
        raise MatchSpecError(f"Match spec {spec!r} can't be read: {error}") from error


def _with_names(specs: list[MatchSpec]) -> list[MatchSpec]:
    """``specs`` and, for each that names no channel, its bare name.

    rattler's gateway hands the solver only what matches a root spec, so that a channel without a match would not
    count as one that has the package, and priority would not be strict.
    """
    names = dict.fromkeys(spec.name.normalized for spec in specs if spec.channel is None)
    return specs + [MatchSpec(name) for name in names]


def _virtual(name: str, value: str) -> GenericVirtualPackage:
    version, build = ("1", value) if name == "__archspec" else (value, "0")
    return GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))


def _virtual_value(package: GenericVirtualPackage) -> str:
    return str(package.build_string) if package.name.normalized == "__archspec" else str(package.version)


def _canonical(record: RepoDataRecord, fetch: Mapping[str, str]) -> str:
    """Where the record canonically lies: what was fetched from led back to what was asked for."""
    for fetched, canonical in sorted(fetch.items(), key=lambda pair: -len(pair[0])):
        if record.url.startswith(fetched + "/"):
            return canonical + record.url[len(fetched) :]
    return record.url


def _ordered(packages: Sequence[CondaPackage], records: list[RepoDataRecord]) -> list[CondaPackage]:
    by_name = {package.name: package for package in packages}
    ordered = PackageRecord.sort_topologically(list(records))
    return [by_name[record.name.normalized] for record in ordered]


__all__ = ["CondaConfig", "CondaEngine"]
