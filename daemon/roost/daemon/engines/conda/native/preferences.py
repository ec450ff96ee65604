"""Prefer the packages of a former lock: find them in the channels as these are now.

rattler makes a candidate of every record that it is told to prefer, whether or not a channel lists it. So only records
that the channels list are passed on, and of each package only those of the channel that strict priority would choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rattler import Channel, Gateway, MatchSpec, RepoDataRecord, Subdir

from roost.model.locks.preferences import ListedPackage, PreferredPackage, choose_listed

Listed = Mapping[str, Sequence[RepoDataRecord]]
"""By name, the records of the preferred version in the first channel that has the package at all."""


async def list_preferred(
    preferred: Sequence[PreferredPackage],
    gateway: Gateway,
    channels: Sequence[str],
    subdir: str,
    specs: Sequence[MatchSpec],
) -> Listed:
    """Return what ``channels`` list under the names and versions of ``preferred``.

    A package for which a spec names a channel has the records of all channels: the spec decides among them.
    """
    versions = {package.name: package.version for package in preferred}
    by_channel = await gateway.query(
        [Channel(url) for url in channels],
        [Subdir(subdir), Subdir("noarch")],
        list(versions),
        recursive=False,
        channel_relations="disabled",
    )
    assigned = {spec.name.normalized for spec in specs if spec.channel is not None and spec.name is not None}
    listed: dict[str, list[RepoDataRecord]] = {}
    for records in by_channel:
        found: dict[str, list[RepoDataRecord]] = {}
        for record in records:  # tens of thousands in a large channel: the name of the file is all that is looked at
            name, version, _ = record.file_name.rsplit("-", 2)
            same_version = found.setdefault(name, [])
            if versions.get(name) == version:
                same_version.append(record)
        for name, fitting in found.items():
            if name in assigned:
                listed.setdefault(name, []).extend(fitting)
            else:
                listed.setdefault(name, fitting)
    return listed


def choose_preferred(preferred: Sequence[PreferredPackage], listed: Listed, python: str | None) -> list[RepoDataRecord]:
    """Return the records to prefer, in builds for ``python`` (``X.Y``) where there are any."""
    chosen = []
    for package in preferred:
        records = listed.get(package.name, ())
        number = choose_listed(package, [_describe(record) for record in records], python)
        if number is not None:
            chosen.append(records[number])
    return chosen


def find_python(records: Sequence[RepoDataRecord]) -> str | None:
    """Return the minor version (``X.Y``) of the Python among ``records``."""
    versions = (str(record.version) for record in records if record.name.normalized == "python")
    return next((".".join(version.split(".")[:2]) for version in versions), None)


def _describe(record: RepoDataRecord) -> ListedPackage:
    return ListedPackage(
        version=str(record.version),
        build=str(record.build),
        build_number=record.build_number,
        sha256=record.sha256.hex() if record.sha256 else "",
    )
