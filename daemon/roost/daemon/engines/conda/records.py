"""Between rattler's records and the lock's ``CondaPackage``."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable

import msgspec
from rattler import PackageRecord, RepoDataRecord

from roost.model.locks.lock import CondaPackage

_OF_THE_PLACE = ("url", "channel", "fn")  # where it was found: kept apart, or rewritten
_DIGESTS = ("sha256", "md5")


def to_package(record: RepoDataRecord, url: str) -> CondaPackage:
    """The lock's form of a solved record that canonically lies at ``url``."""
    content = json.loads(record.to_json())
    for key in _OF_THE_PLACE:
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
    """rattler's form of locked packages, each to be fetched from ``fetch_url(package.url)``. Blocks: writes a file.

    rattler reads a record with all its fields from a file only.
    """
    with tempfile.TemporaryDirectory(prefix="roost-records-") as folder:
        path = os.path.join(folder, "index.json")
        return [_to_record(package, path, fetch_url(package.url)) for package in packages]


def _to_record(package: CondaPackage, path: str, url: str) -> RepoDataRecord:
    record = {**_minimal(package), **package.record}
    with open(path, "wb") as stream:
        stream.write(msgspec.json.encode({k: v for k, v in record.items() if k not in _DIGESTS}))
    digests = {key: str(record[key]) for key in _DIGESTS if record.get(key)}
    if package.sha256:
        digests["sha256"] = package.sha256
    parsed = PackageRecord.from_index_json(path, size=package.size or None, **digests)  # type: ignore[arg-type]
    channel = url.rsplit("/", 2)[0] + "/"
    return RepoDataRecord(parsed, package.file_name, url, channel)


def _minimal(package: CondaPackage) -> dict[str, object]:
    """What a record must have at the least."""
    return {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": 0,
        "subdir": package.subdir,
        "depends": [],
    }
