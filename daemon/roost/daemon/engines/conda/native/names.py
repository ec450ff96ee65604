"""What channels have of some names: versions, near names, other platforms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cmp_to_key

from rattler import Channel, Gateway, Subdir
from rattler.repo_data.gateway import SourceConfig

from roost.daemon.engines.conda.jobs import NameFacts, NamesRequest
from roost.daemon.engines.conda.native.client import open_client
from roost.daemon.engines.conda.native.solving import channel_routes
from roost.daemon.engines.conda.native.versions import compare_versions
from roost.daemon.workers.context import JobContext

_PLATFORMS = ("linux-64", "linux-aarch64", "osx-arm64", "osx-64", "win-64")
_MOST_NEAR = 3
_CLOSENESS = 0.75


async def find_names(request: NamesRequest, context: JobContext) -> dict[str, NameFacts]:
    """Return what the channels have of each name. What can't be read counts as nothing: this only makes hints.

    The channels of other platforms are read from the cache alone.
    """
    routes = channel_routes(request.access)
    client = open_client(request.access, routes)
    cached = Gateway(
        cache_dir=request.index_dir,  # type: ignore[arg-type]
        default_config=SourceConfig(cache_action="force-cache-only"),
        client=client,
    )
    gateway = cached if request.cached_only else Gateway(cache_dir=request.index_dir, client=client)  # type: ignore[arg-type]
    channels = [Channel(routes.fetch_url(url)) for url in request.channels]
    own = [Subdir(request.subdir), Subdir("noarch")]
    facts = {}
    names: list[str] | None = None
    for name in request.names:
        versions = await _list_versions(gateway, channels, own, name)
        near: list[str] = []
        if not versions:
            names = names if names is not None else await _list_names(gateway, channels, own)
            near = find_near(name, names)
        others = [each for each in _PLATFORMS if each != request.subdir] if not versions and not near else []
        platforms = [each for each in others if await _list_versions(cached, channels, [Subdir(each)], name)]
        facts[name] = NameFacts(versions=versions, near=near, platforms=platforms)
    return facts


def find_near(name: str, names: Iterable[str]) -> list[str]:
    """Return the names that ``name`` may be a misspelling of, the nearest first."""
    similar = [each for each in names if abs(len(each) - len(name)) <= 2]
    return get_close_matches(name.lower(), similar, n=_MOST_NEAR, cutoff=_CLOSENESS)


async def _list_versions(
    gateway: Gateway, channels: Sequence[Channel], subdirs: Sequence[Subdir], name: str
) -> list[str]:
    """Return the versions of a package, the oldest first."""
    try:
        found = await gateway.query(channels, subdirs, [name], recursive=False, channel_relations="disabled")
    except Exception:  # the channel, or the name
        return []
    versions = {str(record.version) for records in found for record in records}
    return sorted(versions, key=cmp_to_key(compare_versions))


async def _list_names(gateway: Gateway, channels: Sequence[Channel], subdirs: Sequence[Subdir]) -> list[str]:
    try:
        return [each.normalized for each in await gateway.names(channels, subdirs, channel_relations="disabled")]
    except Exception:
        return []
