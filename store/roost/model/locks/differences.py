"""What differs between two locks: packages added, removed, up, down, rebuilt. Pure.

What a version is, and which of two is the later one, differs between conda and pip: pip's are compared by PEP 440, and
how conda's are is for the caller to give (the conda engine knows; ``compare_versions_naturally`` where there is none).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec
from packaging.version import InvalidVersion, Version

from roost.model.locks.lock import CondaPackage, HostPython, Lock, Wheel

VersionComparison = Callable[[str, str], int]
"""Below 0 where the first version is the earlier one, above 0 where it is the later, 0 where they are equal."""
PackageKind = Literal["conda", "pip"]
ChangeKind = Literal["added", "removed", "up", "down", "rebuilt"]
_OPPOSITE: dict[ChangeKind, ChangeKind] = {
    "added": "removed",
    "removed": "added",
    "up": "down",
    "down": "up",
    "rebuilt": "rebuilt",
}


class PackageView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A package of a lock, as far as it can differ."""

    version: str
    build: str = ""
    """Of a conda package: its build string."""
    file_name: str = ""
    sha256: str = ""
    size: int | None = None
    """Bytes to fetch, where that is known."""
    place: str | None = None
    """Of an editable install: the folder."""


class PackageChange(msgspec.Struct, frozen=True, kw_only=True):
    """One package that differs. ``rebuilt``: the same version, made of something else."""

    kind: PackageKind
    name: str
    change: ChangeKind
    before: PackageView | None
    after: PackageView | None


class ProviderChange(msgspec.Struct, frozen=True, kw_only=True):
    """Who provides Python, where that differs: ``conda``, or the version of this machine's Python and its path."""

    before: str
    after: str


class LockDifferences(msgspec.Struct, frozen=True, kw_only=True):
    """All that differs between two locks; ``bytes`` is what one fetches who has the first and wants the second."""

    packages: tuple[PackageChange, ...]
    unchanged: int
    bytes: int | None
    """``None`` where a size is not known."""
    provider: ProviderChange | None = None


PackageIndex = Mapping[tuple[PackageKind, str], PackageView]


def compare_locks(before: Lock, after: Lock, conda_order: VersionComparison) -> LockDifferences:
    """What leads from ``before`` to ``after``, by kind and name."""
    old, new = index_packages(before), index_packages(after)
    orders: dict[PackageKind, VersionComparison] = {"conda": conda_order, "pip": compare_pip_versions}
    changes = tuple(
        change
        for key in sorted({*old, *new})
        if (change := _change(key, old.get(key), new.get(key), orders[key[0]])) is not None
    )
    return LockDifferences(
        packages=changes,
        unchanged=len({*old, *new}) - len(changes),
        bytes=_bytes(change.after for change in changes),
        provider=_provider(before, after),
    )


def index_packages(lock: Lock) -> PackageIndex:
    """The packages of a lock by kind and name."""
    conda: dict[tuple[PackageKind, str], PackageView] = {("conda", p.name): _of_conda(p) for p in lock.conda}
    return {**conda, **{("pip", wheel.name): _of_pip(wheel) for wheel in lock.wheels}}


def applied(packages: PackageIndex, changes: Iterable[PackageChange]) -> PackageIndex:
    """``packages`` after ``changes``."""
    result = dict(packages)
    for change in changes:
        if change.after is None:
            del result[change.kind, change.name]
        else:
            result[change.kind, change.name] = change.after
    return result


def reversed_change(change: PackageChange) -> PackageChange:
    """The way back."""
    return PackageChange(
        kind=change.kind,
        name=change.name,
        change=_OPPOSITE[change.change],
        before=change.after,
        after=change.before,
    )


def compare_pip_versions(first: str, second: str) -> int:
    """By PEP 440; versions that are none by ``compare_versions_naturally``."""
    try:
        left, right = Version(first), Version(second)
    except InvalidVersion:
        return compare_versions_naturally(first, second)
    return (left > right) - (left < right)


def compare_versions_naturally(first: str, second: str) -> int:
    """Numbers by their value, everything else as text."""
    left, right = _parts(first), _parts(second)
    return (left > right) - (left < right)


def _parts(version: str) -> list[tuple[int, int, str]]:
    found = re.findall(r"\d+|[^\W\d]+", version)
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part.lower()) for part in found]


def _of_conda(package: CondaPackage) -> PackageView:
    return PackageView(
        version=package.version,
        build=package.build,
        file_name=package.file_name,
        sha256=package.sha256,
        size=package.size or None,
    )


def _of_pip(wheel: Wheel) -> PackageView:
    return PackageView(
        version=wheel.version,
        file_name=wheel.file_name,
        sha256=wheel.sha256,
        size=wheel.size or None,
        place=wheel.path,
    )


def _change(
    key: tuple[PackageKind, str], before: PackageView | None, after: PackageView | None, order: VersionComparison
) -> PackageChange | None:
    found = _change_of(before, after, order)
    if found is None:
        return None
    return PackageChange(kind=key[0], name=key[1], change=found, before=before, after=after)


def _change_of(before: PackageView | None, after: PackageView | None, order: VersionComparison) -> ChangeKind | None:
    if before is None or after is None:
        return "added" if after is not None else "removed"
    if _content(before) == _content(after):
        return None
    compared = order(before.version, after.version)
    return "up" if compared < 0 else "down" if compared > 0 else "rebuilt"


def _content(package: PackageView) -> tuple[str, ...]:
    """What the lock digest covers of it; a size may be known to one lock and not to the other."""
    return package.version, package.build, package.file_name, package.sha256, package.place or ""


def _bytes(packages: Iterable[PackageView | None]) -> int | None:
    sizes = [package.size for package in packages if package is not None and package.place is None]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _provider(before: Lock, after: Lock) -> ProviderChange | None:
    if before.provider == after.provider:
        return None
    return ProviderChange(before=_provider_text(before), after=_provider_text(after))


def _provider_text(lock: Lock) -> str:
    provider = lock.provider
    return f"{provider.version} ({provider.executable})" if isinstance(provider, HostPython) else "conda"
