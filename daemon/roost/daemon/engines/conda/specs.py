"""Read match specs for rattler, together with the channels that they name."""

from __future__ import annotations

from collections.abc import Sequence

from rattler import MatchSpec

from roost.daemon.engines.conda.channels import ChannelRoutes, canonical_urls, split_channel
from roost.daemon.engines.conda.translation import translate_errors
from roost.model.syntax.match_specs import MatchSpecError, is_package_file, to_rattler


def parse_spec(spec: str, text: str) -> MatchSpec:
    """Parse ``text``, rattler's form of ``spec`` as written. Raises ``MatchSpecError`` if it is not a match spec."""
    try:
        return MatchSpec(text)
    except Exception as error:
        raise MatchSpecError(f"Match spec {spec!r} can't be read: {error}") from error


def read_specs(
    specs: Sequence[str], channels: Sequence[str], routes: ChannelRoutes, alias: str
) -> tuple[list[MatchSpec], dict[str, str]]:
    """Parse ``specs``; return them, and the URL to fetch from → canonical URL of every channel.

    ``channels`` are canonical URLs in order; a channel that only a spec names comes last, as in conda. Blocks: checks
    whether the folders of mirrors exist.
    """
    sources = dict.fromkeys(channels)
    parsed = [_read_spec(spec, sources, routes, alias) for spec in specs]
    return _add_bare_names(parsed), {routes.fetch_url(url): url for url in sources}


def _read_spec(spec: str, sources: dict[str, None], routes: ChannelRoutes, alias: str) -> MatchSpec:
    """Parse one spec; the channel that it names, if any, is put into it as a URL and added to ``sources``."""
    text = to_rattler(spec)
    if is_package_file(text):
        sources.setdefault(text.rsplit("/", 2)[0])
        with translate_errors(f"reading {spec!r}"):
            return MatchSpec.from_url(routes.fetch_url(text))
    channel, rest = split_channel(text)
    if not channel:
        return parse_spec(spec, text)
    url = canonical_urls(channel, alias)[0]
    sources.setdefault(url)
    return parse_spec(spec, f"{routes.fetch_url(url)}::{rest}")


def _add_bare_names(specs: list[MatchSpec]) -> list[MatchSpec]:
    """Return ``specs`` and, for each that names no channel, its bare name.

    rattler's gateway passes only what matches a root spec to the solver, so a channel without a match would not count
    as one that has the package, and channel priority would not be strict.
    """
    names = dict.fromkeys(spec.name.normalized for spec in specs if spec.channel is None)
    return specs + [MatchSpec(name) for name in names]
