"""Differences of locks: none of a lock with itself, applying them leads from one to the other, and back."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from roost.model.locks.differences import (
    ChangeKind,
    PackageChange,
    PackageIndex,
    compare_locks,
    compare_versions_naturally,
    index_packages,
)
from roost.model.locks.lock import CondaPackage, CondaPython, HostPython, Lock, Wheel, digest_lock

NAMES = st.sampled_from(["a", "b", "numpy", "python", "six", "x-y"])
VERSIONS = st.sampled_from(["1", "1.0", "1.9", "1.10", "2.0rc1", "2.0", "2021.09", "odd-version", "1!3"])
DIGESTS = st.sampled_from(["a" * 64, "b" * 64])
PROVIDERS = st.just(CondaPython()) | st.builds(
    HostPython, version=st.sampled_from(["3.11.7", "3.12.1"]), executable=st.just("/usr/bin/python3")
)


OPPOSITES: dict[ChangeKind, ChangeKind] = {
    "added": "removed",
    "removed": "added",
    "up": "down",
    "down": "up",
    "rebuilt": "rebuilt",
}


def apply_changes(packages: PackageIndex, changes: Iterable[PackageChange]) -> PackageIndex:
    result = dict(packages)
    for change in changes:
        if change.after is None:
            del result[change.kind, change.name]
        else:
            result[change.kind, change.name] = change.after
    return result


def reverse_change(change: PackageChange) -> PackageChange:
    return PackageChange(
        kind=change.kind,
        name=change.name,
        change=OPPOSITES[change.change],
        before=change.after,
        after=change.before,
    )


@st.composite
def condas(draw: st.DrawFn) -> CondaPackage:
    name, version, build = draw(NAMES), draw(VERSIONS), draw(st.sampled_from(["0", "py311_1"]))
    return CondaPackage(
        name=name,
        version=version,
        build=build,
        subdir="noarch",
        file_name=f"{name}-{version}-{build}.conda",
        url="https://example.org/x",
        sha256=draw(DIGESTS),
        size=draw(st.integers(0, 3)),
    )


@st.composite
def wheels(draw: st.DrawFn) -> Wheel:
    name, version = draw(NAMES), draw(VERSIONS)
    folder = draw(st.none() | st.sampled_from(["/one", "/two"]))
    kind = "editable" if folder else "index"
    return Wheel(name=name, version=version, kind=kind, file_name=f"{name}.whl", sha256=draw(DIGESTS), path=folder)


LOCKS = st.builds(
    Lock,
    platform=st.just("linux-64"),
    provider=PROVIDERS,
    conda=st.lists(condas(), unique_by=lambda p: p.name).map(tuple),
    wheels=st.lists(wheels(), unique_by=lambda w: w.name).map(tuple),
)


@given(LOCKS)
def test_nothing_differs_from_itself(lock: Lock) -> None:
    found = compare_locks(lock, lock, compare_versions_naturally)
    assert (found.packages, found.provider, found.bytes) == ((), None, 0)
    assert found.unchanged == len(index_packages(lock))


@given(LOCKS, LOCKS)
def test_applying_the_changes_leads_from_one_to_the_other(before: Lock, after: Lock) -> None:
    found = compare_locks(before, after, compare_versions_naturally)
    reached, wanted = apply_changes(index_packages(before), found.packages), index_packages(after)
    assert {key: _content(view) for key, view in reached.items()} == {k: _content(v) for k, v in wanted.items()}
    counts = [sum(c.change == kind for c in found.packages) for kind in ("added", "removed")]
    assert len(index_packages(before)) + counts[0] - counts[1] == len(wanted)


def _content(view: object) -> tuple[object, ...]:
    return tuple(getattr(view, name) for name in ("version", "build", "file_name", "sha256", "place"))


@given(LOCKS, LOCKS)
def test_the_way_back_is_the_same_way_reversed(before: Lock, after: Lock) -> None:
    there = compare_locks(before, after, compare_versions_naturally).packages
    back = compare_locks(after, before, compare_versions_naturally).packages
    assert back == tuple(map(reverse_change, there))


@given(LOCKS, LOCKS)
def test_equal_digests_differ_in_nothing_and_other_digests_in_something(before: Lock, after: Lock) -> None:
    found = compare_locks(before, after, compare_versions_naturally)
    assert (digest_lock(before) == digest_lock(after)) == (not found.packages and found.provider is None)
