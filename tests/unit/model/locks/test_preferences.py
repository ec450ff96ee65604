"""What is preferred of a former lock, and which record of a channel that is."""

from __future__ import annotations

import pytest

from roost.model.locks.lock import CondaPackage, CondaPython, Lock, Wheel
from roost.model.locks.preferences import (
    ListedPackage,
    PreferredPackage,
    choose_listed,
    prefer_conda_packages,
    prefer_wheel_versions,
)


def package(name: str, version: str) -> CondaPackage:
    return CondaPackage(
        name=name, version=version, build="b", subdir="noarch", file_name=f"{name}.conda", url="u", sha256=name
    )


def listed(version: str, build: str, number: int = 0, sha256: str = "") -> ListedPackage:
    return ListedPackage(version=version, build=build, build_number=number, sha256=sha256)


LOCK = Lock(
    platform="linux-64",
    provider=CondaPython(),
    conda=(package("typing_extensions", "4.0"), package("odd", "1!x_y")),
    wheels=(Wheel(name="six", version="1.16.0", kind="index"),),
)
NUMPY = PreferredPackage(name="numpy", version="1.26", build="py311_0", sha256="a")


def test_both_parts_are_preferred_of_conda_and_of_pip() -> None:
    assert [(each.name, each.version, each.sha256) for each in prefer_conda_packages(LOCK)] == [
        ("odd", "1!x_y", "odd"),
        ("six", "1.16.0", ""),
        ("typing_extensions", "4.0", "typing_extensions"),
    ]
    assert prefer_wheel_versions(LOCK) == {"typing-extensions": "4.0", "six": "1.16.0"}


@pytest.mark.parametrize(
    ("python", "build"), [("3.11", "py311_0"), ("3.12", "py312_1"), ("3.14", "py311_0"), (None, "py311_0")]
)
def test_the_very_file_comes_before_others_unless_it_is_for_another_python(python: str | None, build: str) -> None:
    records = [
        listed("1.26", "py311_1", 1),
        listed("1.26", "py311_0", sha256="a"),
        listed("1.26", "py312_0"),
        listed("1.26", "py312_1", 1),
        listed("2.0", "py312_0"),
    ]
    chosen = choose_listed(NUMPY, records, python)
    assert chosen is not None
    assert records[chosen].build == build


def test_a_build_for_no_python_fits_every_python() -> None:
    assert choose_listed(NUMPY, [listed("1.26", "py310_0"), listed("1.26", "h1234_0")], "3.12") == 1
    assert choose_listed(NUMPY, [listed("1.26", "py39_0"), listed("1.26", "pyhd8ed1ab_0")], "3.12") == 1


def test_a_version_that_is_not_listed_is_not_preferred() -> None:
    assert choose_listed(NUMPY, [listed("2.0", "py311_0", sha256="a")], "3.11") is None
