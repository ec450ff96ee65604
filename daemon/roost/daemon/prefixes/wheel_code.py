"""Which wheels run code of theirs when a prefix is made: by what they put outside of ``site-packages``.

Separate from the engines, since it judges files of wheels by conda's rules of activation.
"""

from __future__ import annotations

import csv
import os
import posixpath
from collections.abc import Iterable, Iterator, Sequence

from roost.daemon.background.code import PackageCode
from roost.daemon.engines.conda.package_code import find_kinds
from roost.daemon.engines.uv.prefix import find_site_packages
from roost.daemon.prefixes.bytecode import find_wheel_records
from roost.model.locks.lock import Wheel


def list_wheel_code(prefix: str, wheels: Sequence[Wheel]) -> list[PackageCode]:
    """Return the code of the installed ``wheels``. Blocks."""
    found = []
    for site in find_site_packages(prefix):
        records, below = find_wheel_records(site), os.path.relpath(site, prefix)
        for wheel in wheels:
            if wheel.name in records:
                paths = (posixpath.normpath(f"{below}/{path}") for path in _list_outer(records[wheel.name]))
                found += describe_code(wheel, paths)
    return found


def describe_code(wheel: Wheel, paths: Iterable[str]) -> list[PackageCode]:
    """Return the code of ``wheel``, which has files at ``paths`` (in the prefix) outside of ``site-packages``."""
    content = f"sha256:{wheel.sha256}" if wheel.sha256 and wheel.kind != "editable" else ""
    package = f"{wheel.name} {wheel.version}"
    return [PackageCode(kind=kind, package=package, content=content) for kind in find_kinds("", paths)]


def _list_outer(record: str) -> Iterator[str]:
    """Yield the paths of a RECORD that leave ``site-packages``, relative to it; uv writes what it has installed."""
    with open(record, newline="", encoding="utf-8", errors="surrogateescape") as stream:
        outer = (line for line in stream if line.startswith(("../", '"', "/")))
        for row in csv.reader(outer):
            if row:
                yield row[0]
