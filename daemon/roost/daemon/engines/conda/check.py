"""Whether packages that somebody else locked are what specs ask for, by rattler's own judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rattler import MatchSpec, RepoDataRecord

from roost.daemon.engines.conda.channels import channel_url, expand, split_channel
from roost.daemon.engines.conda.errors import translated
from roost.daemon.engines.conda.records import to_records
from roost.model.locks.lock import CondaPackage
from roost.model.syntax.specs import is_package_file, spec_name, to_rattler


def satisfied(
    specs: Sequence[str], packages: Sequence[CondaPackage], variables: Mapping[str, str]
) -> frozenset[tuple[str, str]]:
    """The pairs of spec and package name that fit each other, its channel too where the spec names one. Blocks.

    Raises an error of roost's tree where a record can't be read.
    """
    with translated("reading the lock"):
        records = dict(zip((p.name for p in packages), to_records(packages, lambda url: url), strict=True))
    by_name = {package.name: package for package in packages}
    found = set()
    for spec in specs:
        name = spec_name(spec)
        if name in by_name and _fits(expand(spec, variables), by_name[name], records[name]):
            found.add((spec, name))
    return frozenset(found)


def _fits(spec: str, package: CondaPackage, record: RepoDataRecord) -> bool:
    text = to_rattler(spec)
    if is_package_file(text):
        return package.url == text
    channel, rest = split_channel(text)
    if channel and not any(package.url.startswith(f"{url}/") for url in channel_url(channel)):
        return False
    with translated(f"reading {spec!r}"):
        return MatchSpec(rest).matches(record)


def channels_in(specs: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """The channels that specs themselves name, as URLs."""
    texts = [to_rattler(expand(spec, variables)) for spec in specs]
    files = [text.rsplit("/", 2)[0] for text in texts if is_package_file(text)]
    named = [split_channel(text)[0] for text in texts if not is_package_file(text)]
    return [*files, *(url for name in named if name for url in channel_url(name))]
