"""Convert between rattler's types and those of a lock."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping

import msgspec
from rattler import BuildString, GenericVirtualPackage, PackageName, PackageRecord, RepoDataRecord, Version

from roost.model.locks.lock import CondaPackage

_LOCATION_FIELDS = ("url", "channel", "fn")
"""Where the record was found; ``CondaPackage`` has fields of its own for it."""
_DIGESTS = ("sha256", "md5")


def to_package(record: RepoDataRecord, url: str) -> CondaPackage:
    """Return the lock's form of a solved record whose canonical URL is ``url``."""
    content = json.loads(record.to_json())
    for key in _LOCATION_FIELDS:
        content.pop(key, None)
    return CondaPackage(
        name=record.name.normalized,
        version=str(record.version),
        build=str(content["build"]),
        subdir=record.subdir,
        file_name=record.file_name,
        url=url,
        sha256=record.sha256.hex() if record.sha256 else "",
        size=record.size or 0,
        record=content,
    )


def to_records(packages: Iterable[CondaPackage], fetch_url: Callable[[str], str]) -> list[RepoDataRecord]:
    """Return rattler's form of locked packages, each to be fetched from ``fetch_url(package.url)``.

    Blocks: rattler reads a record with all its fields only from a file, so each is written to one.
    """
    with tempfile.TemporaryDirectory(prefix="roost-records-") as folder:
        path = os.path.join(folder, "index.json")
        return [_to_record(package, path, fetch_url(package.url)) for package in packages]


def _to_record(package: CondaPackage, path: str, url: str) -> RepoDataRecord:
    required = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": 0,
        "subdir": package.subdir,
        "depends": [],
    }
    record = {**required, **package.record}
    with open(path, "wb") as stream:
        stream.write(msgspec.json.encode({k: v for k, v in record.items() if k not in _DIGESTS}))
    digests = {key: str(record[key]) for key in _DIGESTS if record.get(key)}
    if package.sha256:
        digests["sha256"] = package.sha256
    parsed = PackageRecord.from_index_json(path, size=package.size or None, **digests)  # type: ignore[arg-type]
    channel = url.rsplit("/", 2)[0] + "/"
    return RepoDataRecord(parsed, package.file_name, url, channel)


def canonical_url(record: RepoDataRecord, sources: Mapping[str, str]) -> str:
    """Return the canonical URL of a record; ``sources`` are the URLs fetched from to the canonical ones."""
    for source, canonical in sorted(sources.items(), key=lambda pair: -len(pair[0])):
        if record.url.startswith(source + "/"):
            return canonical + record.url[len(source) :]
    return record.url


def to_virtual_package(name: str, value: str) -> GenericVirtualPackage:
    """Return rattler's form of a virtual package; ``__archspec`` has its value in the build string."""
    version, build = ("1", value) if name == "__archspec" else (value, "0")
    return GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))


def virtual_version(package: GenericVirtualPackage) -> str:
    """Return the value of a virtual package, the opposite of :func:`to_virtual_package`."""
    return str(package.build_string) if package.name.normalized == "__archspec" else str(package.version)
