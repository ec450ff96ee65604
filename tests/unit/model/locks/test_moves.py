"""What moved between two locks, as people are told it."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from roost.model.canonical.form import canonicalise_definition
from roost.model.definition import Conda, Defaults, Definition, Pip, PipItem
from roost.model.locks.lock import CondaPackage, CondaPython, HostPython, Lock, Provider, Wheel
from roost.model.locks.moves import count_rest, find_moves


def package(name: str, version: str, *depends: str, build: str = "0") -> CondaPackage:
    return CondaPackage(
        name=name,
        version=version,
        build=build,
        subdir="noarch",
        file_name=f"{name}-{version}-{build}.conda",
        url="u",
        sha256=f"{name}{version}{build}",
        record={"depends": list(depends)},
    )


def wheel(name: str, version: str) -> Wheel:
    return Wheel(name=name, version=version, kind="index", file_name=f"{name}-{version}.whl", sha256=name + version)


def lock(*packages: CondaPackage | Wheel, provider: Provider = CondaPython()) -> Lock:  # noqa: B008 - a frozen value
    conda = tuple(each for each in packages if isinstance(each, CondaPackage))
    wheels = tuple(each for each in packages if isinstance(each, Wheel))
    return Lock(platform="linux-64", provider=provider, conda=conda, wheels=wheels)


def form(*specs: str, pip: tuple[str, ...] = ()) -> bytes:
    items = tuple(PipItem(kind="requirement", text=line) for line in pip)
    definition = Definition(conda=Conda(dependencies=specs), pip=Pip(requirements=items))
    return canonicalise_definition(definition, Defaults())


def texts(before: Lock, after: Lock, was: bytes | None, now: bytes) -> list[tuple[str, bool]]:
    return [(move.text, move.asked) for move in find_moves(before, after, was, now)]


def test_what_moved_by_itself_comes_first_with_who_needs_it() -> None:
    before = lock(package("numpy", "1.26.4"), package("old", "1"), package("six", "1.16"))
    after = lock(package("numpy", "2.1.0"), package("torch", "2.4", "numpy >=2,<3"), package("six", "1.17"))
    assert texts(before, after, form("numpy", "old", "six"), form("numpy", "torch", "six>=1.17")) == [
        ("~ numpy 1.26.4 -> 2.1.0 (torch 2.4 needs >=2,<3)", False),
        ("~ six 1.16 -> 1.17", True),
        ("+ torch 2.4", True),
        ("- old 1", True),
    ]


def test_a_need_that_the_former_version_met_is_no_reason() -> None:
    before, after = lock(package("numpy", "2.0")), lock(package("numpy", "2.1"), package("torch", "2.4", "numpy >=1.9"))
    assert texts(before, after, form("numpy"), form("numpy", "torch"))[0] == ("~ numpy 2.0 -> 2.1", False)


def test_a_package_that_pip_gave_and_conda_gives_is_one_move() -> None:
    before, after = lock(wheel("typing-extensions", "4.1")), lock(package("typing_extensions", "4.1"))
    was, now = form(pip=("typing-extensions",)), form("typing_extensions")
    assert texts(before, after, was, now) == [("~ typing-extensions 4.1 -> 4.1, from conda in place of pip", True)]
    back = find_moves(after, before, now, was)
    assert [(move.kind, move.was) for move in back] == [("pip", "conda")]


def test_a_package_of_both_kinds_in_one_lock_is_two() -> None:
    before = lock(package("tool", "1"), wheel("tool", "1"))
    after = lock(package("tool", "2"), wheel("tool", "3"))
    assert {text for text, _ in texts(before, after, form("a"), form("a"))} == {
        "~ tool 1 -> 2",
        "~ tool (pip) 1 -> 3",
    }


def test_another_build_and_another_python_are_told() -> None:
    former, later = (HostPython(version=version, implementation="cpython") for version in ("3.11", "3.12"))
    before = lock(package("numpy", "1", build="py311_0"), provider=former)
    after = lock(
        package("numpy", "1", build="py312_0"),
        provider=later,
    )
    assert texts(before, after, None, form("scipy")) == [
        ("~ numpy 1 py311_0 -> 1 py312_0", False),
        ("~ python 3.11 -> 3.12", False),
    ]


def test_other_files_of_a_version_are_another_build_and_not_told_of_another_python() -> None:
    former, later = (HostPython(version=version, implementation="cpython") for version in ("3.11", "3.12"))
    one, other = (msgspec.structs.replace(wheel("a", "1.0"), sha256=sha256) for sha256 in ("x", "y"))
    told = texts(lock(one, provider=former), lock(other, provider=former), None, form("b"))
    assert told == [("~ a 1.0: another build", False)]
    told = texts(lock(one, provider=former), lock(other, provider=later), None, form("b"))
    assert told == [("~ python 3.11 -> 3.12", False)]
    unbuilt = msgspec.structs.replace(one, kind="built", sha256="")
    assert not texts(lock(unbuilt, provider=former), lock(other, provider=former), None, form("b"))
    pypy = HostPython(version="3.11", implementation="pypy")
    assert (
        texts(lock(provider=former), lock(provider=pypy), None, form("b"))[0][0] == "~ python cpython 3.11 -> pypy 3.11"
    )


def test_the_list_is_short_and_counts_the_rest() -> None:
    lines = [str(number) for number in range(12)]
    assert count_rest(lines, 10) == [*lines[:10], "and 2 more changes"]
    assert count_rest(lines, 11)[-1] == "and 1 more change"
    assert count_rest(lines, 12) == lines


NAMES = st.sampled_from(["a", "b-c", "b_c", "d"])
PACKAGES = st.dictionaries(NAMES, st.sampled_from(["1", "2"]))


@given(PACKAGES, PACKAGES, PACKAGES, PACKAGES)
def test_every_difference_is_told_and_nothing_else(
    conda: dict[str, str], pip: dict[str, str], later_conda: dict[str, str], later_pip: dict[str, str]
) -> None:
    def make(one: dict[str, str], other: dict[str, str]) -> Lock:
        return lock(*(package(*x) for x in one.items()), *(wheel(*x) for x in other.items()))

    before, after = make(conda, pip), make(later_conda, later_pip)
    moves = find_moves(before, after, form("a"), form("a"))
    assert (moves == ()) == (before == after or not (conda != later_conda or pip != later_pip))
    assert not find_moves(before, before, form("a"), form("b"))
    differing = sum(conda.get(name) != later_conda.get(name) for name in {*conda, *later_conda})
    differing += sum(pip.get(name) != later_pip.get(name) for name in {*pip, *later_pip})
    paired = sum(move.was is not None for move in moves)
    assert len(moves) == differing - paired
