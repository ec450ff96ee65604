"""What differs between two locks, in words that people use: up, down, rebuilt."""

from __future__ import annotations

import pytest

from roost.model.locks.differences import compare_locks, compare_pip_versions, compare_versions_naturally
from roost.model.locks.lock import CondaPackage, CondaPython, HostPython, Lock, Wheel


def conda(name: str, version: str, build: str = "0", size: int = 10, **more: str) -> CondaPackage:
    fields = {"sha256": (name + version + build).encode().hex(), **more}
    file_name = f"{name}-{version}-{build}.conda"
    return CondaPackage(
        name=name, version=version, build=build, subdir="noarch", file_name=file_name, url="u", size=size, **fields
    )


def wheel(name: str, version: str, size: int = 5, **more: str) -> Wheel:
    fields = {"sha256": (name + version).encode().hex(), **more}
    return Wheel(name=name, version=version, file_name=f"{name}-{version}.whl", size=size, **fields)


def lock(*packages: CondaPackage | Wheel, host: str | None = None) -> Lock:
    return Lock(
        platform="linux-64",
        provider=HostPython(version=host, executable="/p") if host else CondaPython(),
        conda=tuple(p for p in packages if isinstance(p, CondaPackage)),
        wheels=tuple(p for p in packages if isinstance(p, Wheel)),
    )


def said(before: Lock, after: Lock) -> dict[tuple[str, str], str]:
    return {(c.kind, c.name): c.change for c in compare_locks(before, after, compare_versions_naturally).packages}


def test_each_kind_of_change_is_named() -> None:
    before = lock(conda("a", "1.9"), conda("b", "2"), conda("c", "1"), conda("gone", "1"), wheel("w", "1.0rc1"))
    after = lock(conda("a", "1.10"), conda("b", "1"), conda("c", "1", "1"), conda("new", "1"), wheel("w", "1.0"))
    assert said(before, after) == {
        ("conda", "a"): "up",
        ("conda", "b"): "down",
        ("conda", "c"): "rebuilt",
        ("conda", "gone"): "removed",
        ("conda", "new"): "added",
        ("pip", "w"): "up",
    }


def test_a_name_of_conda_and_of_pip_are_two_packages() -> None:
    assert said(lock(conda("six", "1")), lock(wheel("six", "1"))) == {
        ("conda", "six"): "removed",
        ("pip", "six"): "added",
    }


def test_other_bytes_under_the_same_name_are_a_rebuild_and_another_place_is_none() -> None:
    assert said(lock(conda("a", "1", sha256="aa")), lock(conda("a", "1", sha256="bb"))) == {("conda", "a"): "rebuilt"}
    moved = lock(conda("a", "1", size=0))
    assert said(lock(conda("a", "1")), moved) == {}
    folders = [lock(wheel("mine", "1", kind="editable", path=path)) for path in ("/one", "/two")]
    assert said(*folders) == {("pip", "mine"): "rebuilt"}


def test_bytes_to_fetch_where_all_are_known() -> None:
    before = lock(conda("a", "1"), wheel("w", "1"))
    found = compare_locks(
        before, lock(conda("a", "2", size=7), wheel("w", "1"), wheel("x", "1")), compare_versions_naturally
    )
    assert (found.bytes, found.unchanged) == (12, 1)
    assert compare_locks(before, lock(conda("a", "2", size=0)), compare_versions_naturally).bytes is None


def test_another_python_of_this_machine_is_told() -> None:
    found = compare_locks(lock(host="3.11.7"), lock(host="3.12.1"), compare_versions_naturally)
    assert found.provider is not None
    assert (found.provider.before, found.provider.after) == ("3.11.7 (/p)", "3.12.1 (/p)")
    assert compare_locks(lock(host="3.11.7"), lock(host="3.11.7"), compare_versions_naturally).provider is None


@pytest.mark.parametrize(
    ("earlier", "later"),
    [("1.9", "1.10"), ("1.0rc1", "1.0"), ("1.0", "1.0.post1"), ("2024.9", "1!1"), ("not-1-version", "not-2-version")],
)
def test_pip_versions_by_pep_440(earlier: str, later: str) -> None:
    assert compare_pip_versions(earlier, later) < 0 < compare_pip_versions(later, earlier)
    assert compare_pip_versions(earlier, earlier) == 0
