"""Differences between two locks: packages added, removed, upgraded, downgraded, rebuilt.

conda and pip order versions differently: pip's are compared by PEP 440, and the caller passes the comparison of conda's
(the conda engine has one; ``compare_versions_naturally`` is a substitute).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec
from packaging.version import InvalidVersion, Version

from roost.model.locks.lock import HostPython, Jar, Lock, PackageKind, RPackage, WheelSource

VersionComparison = Callable[[str, str], int]
"""Negative if the first version is earlier, positive if it is later, 0 if they are equal."""
ChangeKind = Literal["added", "removed", "up", "down", "rebuilt"]


class PackageView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The properties of a package in a lock that can differ."""

    version: str
    build: str = ""
    """Build string of a conda package."""
    file_name: str = ""
    sha256: str = ""
    size: int | None = None
    """Bytes to fetch, if known."""
    place: str | None = None
    """Folder of an editable installation."""
    source: WheelSource | None = None
    """Of a wheel that has yet to be built: what it will be built from."""


class PackageChange(msgspec.Struct, frozen=True, kw_only=True):
    """A package that differs. ``rebuilt``: the same version with other content."""

    kind: PackageKind
    name: str
    change: ChangeKind
    before: PackageView | None
    after: PackageView | None


class ProviderChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the provider of Python: ``conda``, or implementation, X.Y and threading of a machine's Python (in
    locks of format 1: its version and its path)."""

    before: str
    after: str


class LockDifferences(msgspec.Struct, frozen=True, kw_only=True):
    """All differences between two locks."""

    packages: tuple[PackageChange, ...]
    unchanged: int
    """Number of packages that do not differ."""
    bytes: int | None
    """Bytes to fetch to get from the first lock to the second; ``None`` if a size is not known."""
    provider: ProviderChange | None = None


PackageIndex = Mapping[tuple[PackageKind, str], PackageView]


def compare_locks(before: Lock, after: Lock, conda_order: VersionComparison) -> LockDifferences:
    """Return the changes from ``before`` to ``after``, sorted by kind and name."""
    old, new = index_packages(before), index_packages(after)
    orders: dict[PackageKind, VersionComparison] = {
        "conda": conda_order,
        "pip": compare_pip_versions,
        "jar": compare_versions_naturally,
        "r": compare_versions_naturally,
    }
    changes: list[PackageChange] = []
    for kind, name in sorted({*old, *new}):
        views = old.get((kind, name)), new.get((kind, name))
        if (change := _find_change(*views, orders[kind])) is not None:
            changes.append(PackageChange(kind=kind, name=name, change=change, before=views[0], after=views[1]))
    provider = None
    if before.provider != after.provider:
        provider = ProviderChange(before=_format_provider(before), after=_format_provider(after))
    return LockDifferences(
        packages=tuple(changes),
        unchanged=len({*old, *new}) - len(changes),
        bytes=_sum_fetched_bytes(change.after for change in changes),
        provider=provider,
    )


def index_packages(lock: Lock) -> PackageIndex:
    """Return the packages of ``lock`` by kind and name."""
    packages: dict[tuple[PackageKind, str], PackageView] = {}
    for package in lock.conda:
        packages["conda", package.name] = PackageView(
            version=package.version,
            build=package.build,
            file_name=package.file_name,
            sha256=package.sha256,
            size=package.size or None,
        )
    for wheel in lock.wheels:
        packages["pip", wheel.name] = PackageView(
            version=wheel.version,
            file_name=wheel.file_name,
            sha256=wheel.sha256,
            size=wheel.size or None,
            place=wheel.path,
            source=None if wheel.sha256 else wheel.source,
        )
    for jar in lock.jars:
        name = ":".join([jar.group, jar.name, *([jar.classifier] if jar.classifier else [])])
        packages["jar", name] = _view_file(jar)
    packages.update({("r", package.name): _view_file(package) for package in lock.r})
    return packages


def _view_file(package: Jar | RPackage) -> PackageView:
    return PackageView(
        version=package.version, file_name=package.file_name, sha256=package.sha256, size=package.size or None
    )


def compare_pip_versions(first: str, second: str) -> int:
    """Compare by PEP 440; if one is not a valid version, with ``compare_versions_naturally``."""
    try:
        left, right = Version(first), Version(second)
    except InvalidVersion:
        return compare_versions_naturally(first, second)
    return (left > right) - (left < right)


def compare_versions_naturally(first: str, second: str) -> int:
    """Compare numbers by value and everything else as text."""
    left, right = _split_version(first), _split_version(second)
    return (left > right) - (left < right)


def _split_version(version: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|[^\W\d]+", version)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part.lower()) for part in parts]


def _find_change(before: PackageView | None, after: PackageView | None, order: VersionComparison) -> ChangeKind | None:
    if before is None or after is None:
        return "added" if after is not None else "removed"
    if _content_key(before) == _content_key(after):
        return None
    result = order(before.version, after.version)
    return "up" if result < 0 else "down" if result > 0 else "rebuilt"


def _content_key(package: PackageView) -> tuple[str, ...]:
    """Return what the lock digest covers. The size is left out: only one of the locks may know it."""
    source = package.source
    origin = (source.sha256, source.commit, source.subdirectory) if source else ()
    pins = tuple(f"{each.name}=={each.version} {each.sha256}" for each in source.requires) if source else ()
    return package.version, package.build, package.file_name, package.sha256, package.place or "", *origin, *pins


def _sum_fetched_bytes(packages: Iterable[PackageView | None]) -> int | None:
    sizes = [package.size for package in packages if package is not None and package.place is None]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _format_provider(lock: Lock) -> str:
    provider = lock.provider
    if not isinstance(provider, HostPython):
        return "conda"
    if provider.is_bound:
        return f"{provider.version} ({provider.executable})"
    return f"{provider.implementation} {provider.version}{' free-threaded' if provider.threading != 'gil' else ''}"
