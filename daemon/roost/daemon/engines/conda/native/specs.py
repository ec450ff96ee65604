"""Read match specs for rattler, with the channels that they name, and match packages that another machine locked."""

from __future__ import annotations

from collections.abc import Sequence

from rattler import MatchSpec, RepoDataRecord

from roost.daemon.engines.conda.channels import (
    ChannelRoutes,
    canonical_urls,
    expand_variables,
    split_channel,
)
from roost.daemon.engines.conda.jobs import MatchRequest, SpecRequest
from roost.daemon.engines.conda.native.records import to_records
from roost.daemon.engines.conda.translation import translate_errors
from roost.daemon.workers.context import JobContext
from roost.model.locks.lock import CondaPackage
from roost.model.syntax.match_specs import MatchSpecError, is_package_file, spec_name, to_rattler


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


def check_specs(request: SpecRequest, context: JobContext) -> None:
    """Raise ``MatchSpecError`` for the first that is not a match spec; conda's own spellings are translated.

    Its field ``spec`` is the spec.
    """
    for spec in request.specs:
        try:
            parse_spec(spec, to_rattler(spec))
        except MatchSpecError as error:
            error.fields["spec"] = spec
            raise


def find_matches(request: MatchRequest, context: JobContext) -> list[tuple[str, str]]:
    """Return the pairs of a spec and the name of a package that satisfies it, as rattler judges.

    If a spec names a channel, the package must come from it. Raises an error of roost's tree if a record can't be
    read.
    """
    packages = request.packages
    with translate_errors("reading the lock"):
        records = dict(zip((p.name for p in packages), to_records(packages, lambda url: url), strict=True))
    by_name = {package.name: package for package in packages}
    found = []
    for spec in request.specs:
        name = spec_name(spec)
        if name in by_name and _satisfies(expand_variables(spec, request.variables), by_name[name], records[name]):
            found.append((spec, name))
    return found


def _satisfies(spec: str, package: CondaPackage, record: RepoDataRecord) -> bool:
    text = to_rattler(spec)
    if is_package_file(text):
        return package.url == text
    channel, rest = split_channel(text)
    if channel and not any(package.url.startswith(f"{url}/") for url in canonical_urls(channel)):
        return False
    with translate_errors(f"reading {spec!r}"):
        return MatchSpec(rest).matches(record)
