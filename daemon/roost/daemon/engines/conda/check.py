"""Check packages that another machine locked against a definition: its channels, specs and explicit lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rattler import MatchSpec, RepoDataRecord

from roost.daemon.engines.conda.channels import canonical_urls, expand_variables, resolve_channels, split_channel
from roost.daemon.engines.conda.explicit import parse_explicit
from roost.daemon.engines.conda.records import to_records
from roost.daemon.engines.conda.translation import translate_errors
from roost.model.locks.lock import CondaPackage
from roost.model.syntax.match_specs import is_package_file, spec_name, to_rattler


def find_matches(
    specs: Sequence[str], packages: Sequence[CondaPackage], variables: Mapping[str, str]
) -> frozenset[tuple[str, str]]:
    """Return the pairs of a spec and the name of a package that satisfies it, as rattler judges. Blocks.

    If a spec names a channel, the package must come from it. Raises an error of roost's tree if a record can't be
    read.
    """
    with translate_errors("reading the lock"):
        records = dict(zip((p.name for p in packages), to_records(packages, lambda url: url), strict=True))
    by_name = {package.name: package for package in packages}
    found = set()
    for spec in specs:
        name = spec_name(spec)
        if name in by_name and _satisfies(expand_variables(spec, variables), by_name[name], records[name]):
            found.add((spec, name))
    return frozenset(found)


def _satisfies(spec: str, package: CondaPackage, record: RepoDataRecord) -> bool:
    text = to_rattler(spec)
    if is_package_file(text):
        return package.url == text
    channel, rest = split_channel(text)
    if channel and not any(package.url.startswith(f"{url}/") for url in canonical_urls(channel)):
        return False
    with translate_errors(f"reading {spec!r}"):
        return MatchSpec(rest).matches(record)


def allowed_channels(channels: Sequence[str], specs: Sequence[str], variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the URLs of ``channels`` and of the channels that ``specs`` name. Raises ``VariableMissingError``."""
    texts = [to_rattler(expand_variables(spec, variables)) for spec in specs]
    files = [text.rsplit("/", 2)[0] for text in texts if is_package_file(text)]
    names = [split_channel(text)[0] for text in texts if not is_package_file(text)]
    named = [url for name in names if name for url in canonical_urls(name)]
    return (*resolve_channels(channels, variables).urls, *files, *named)


def explicit_digests(lines: Sequence[str], subdir: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the URL of each package of an explicit list, and its sha256 or md5 in hex (empty if it has none).

    Raises ``ExplicitUrlError``, ``VariableMissingError``.
    """
    parsed = [parse_explicit(expand_variables(line, variables), subdir) for line in lines]
    return {item.url: item.sha256 or item.md5 for item in parsed}
