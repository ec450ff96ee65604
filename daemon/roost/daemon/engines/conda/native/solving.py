"""Choose packages: a solve, or the records of packages that are listed by URL."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import timezone

from rattler import Channel, ChannelPriority, Client, Gateway, MatchSpec, RepoDataRecord, Subdir
from rattler import solve as rattler_solve

from roost.daemon.engines.conda.channels import ChannelRoutes
from roost.daemon.engines.conda.explicit import ExplicitUrl
from roost.daemon.engines.conda.jobs import ChannelAccess, ExplicitRequest, SolveRequest
from roost.daemon.engines.conda.native.client import open_client
from roost.daemon.engines.conda.native.preferences import choose_preferred, find_python, list_preferred
from roost.daemon.engines.conda.native.records import canonical_url, to_package, to_virtual_package
from roost.daemon.engines.conda.native.specs import read_specs
from roost.daemon.engines.conda.native.unlisted import match_records, read_unlisted
from roost.daemon.engines.conda.translation import translate_errors
from roost.daemon.workers.context import JobContext
from roost.model.locks.lock import CondaPackage


def channel_routes(access: ChannelAccess) -> ChannelRoutes:
    """Return where the channels are fetched from."""
    return ChannelRoutes(access.mirrors, os.path.isdir, access.alias)


async def solve(request: SolveRequest, context: JobContext) -> list[CondaPackage]:
    """Return the packages that satisfy the specs, by strict channel priority, sorted by name.

    The gateway is a new one for every solve: one that is kept would not see what a channel has got since.

    Raises SolveError, MatchSpecError, AuthFileError and the errors of channels.
    """
    routes = channel_routes(request.access)
    parsed, sources = read_specs(request.specs, request.channels, routes, request.access.alias)
    virtual = [to_virtual_package(name, value) for name, value in request.virtual.items()]
    gateway = _open_gateway(request.index_dir, open_client(request.access, routes))

    async def choose(preferred: Sequence[RepoDataRecord]) -> list[RepoDataRecord]:
        return await rattler_solve(
            [Channel(url) for url in sources],
            parsed,
            gateway=gateway,
            locked_packages=preferred,
            platforms=[Subdir(request.subdir), Subdir("noarch")],
            virtual_packages=virtual,
            channel_priority=ChannelPriority.Strict,
            # rattler ignores the time zone and reads the wall clock as UTC.
            exclude_newer=request.as_of.astimezone(timezone.utc) if request.as_of else None,
            channel_relations="disabled",
        )

    with translate_errors("solving"):
        records = await _solve_with_preferences(request, parsed, gateway, list(sources), choose)
    return sorted((to_package(r, canonical_url(r, sources)) for r in records), key=lambda package: package.name)


async def _solve_with_preferences(
    request: SolveRequest,
    specs: Sequence[MatchSpec],
    gateway: Gateway,
    channels: Sequence[str],
    choose: Callable[[Sequence[RepoDataRecord]], Awaitable[list[RepoDataRecord]]],
) -> list[RepoDataRecord]:
    """Solve with what is preferred. If another Python is chosen than before, solve once more, with the builds of the
    same versions for that Python."""
    if not request.preferred:
        return await choose([])
    listed = await list_preferred(request.preferred, gateway, channels, request.subdir, specs)
    former = next((".".join(each.version.split(".")[:2]) for each in request.preferred if each.name == "python"), None)
    records = await choose(choose_preferred(request.preferred, listed, former))
    python = find_python(records)
    if python in (None, former):
        return records
    return await choose(choose_preferred(request.preferred, listed, python))


async def resolve_explicit(request: ExplicitRequest, context: JobContext) -> list[CondaPackage]:
    """Return the packages at the URLs of ``request``, in their order; what no index lists is fetched and read."""
    routes = channel_routes(request.access)
    client = open_client(request.access, routes)
    gateway = _open_gateway(request.index_dir, client)
    packages = match_records(request.items, await _query_indexes(request.items, gateway, routes))
    for item in [item for item in request.items if item.url not in packages]:
        context.begin(f"reading {item.file_name}")
        packages[item.url] = await read_unlisted(item, routes.fetch_url(item.url), client)
        context.end(f"reading {item.file_name}")
    return [packages[item.url] for item in request.items]


async def _query_indexes(
    items: Sequence[ExplicitUrl], gateway: Gateway, routes: ChannelRoutes
) -> dict[str, RepoDataRecord]:
    """Return the records of ``items`` by canonical URL, from the channels that have an index."""
    found: dict[str, RepoDataRecord] = {}
    for channel, subdir in sorted({(item.channel, item.subdir) for item in items}):
        names = [item.name for item in items if (item.channel, item.subdir) == (channel, subdir)]
        source = routes.fetch_url(channel)
        try:
            result = await gateway.query(
                [Channel(source)], [Subdir(subdir)], names, recursive=False, channel_relations="disabled"
            )
        except Exception:
            continue  # a channel without an index: its files are requested one by one, and their errors reported
        found |= {canonical_url(record, {source: channel}): record for records in result for record in records}
    return found


def _open_gateway(index_dir: str, client: Client) -> Gateway:
    return Gateway(cache_dir=index_dir, client=client)  # type: ignore[arg-type]
