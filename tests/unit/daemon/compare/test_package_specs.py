"""Specs of `roost env who`: conda's packages in conda's order, pip's by PEP 440, what is no spec refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from roost.daemon.compare.package_specs import PackageSpec, PackageSpecError, match_packages, parse_package_spec
from roost.daemon.engines.conda.jobs import VersionRequest
from roost.daemon.engines.conda.native.versions import match_versions
from roost.daemon.engines.conda.rules import CondaRules
from roost.model.package_uses import PackageVersion

VERSIONS = ["1.25.2", "1.26.3", "1.26.4rc1", "1.26.4", "1.26.5", "2.0.0"]
BOTH = [
    *(PackageVersion(kind="conda", name="numpy", version=version, build="py311_0") for version in VERSIONS),
    *(PackageVersion(kind="pip", name="numpy", version=version) for version in VERSIONS),
]


class RulesHere(CondaRules):
    """conda's rules in this process: what workers are for is tested elsewhere."""

    def __init__(self) -> None:
        pass

    async def match_versions(
        self, name: str, constraint: str, versions: Sequence[tuple[str, str]]
    ) -> list[bool] | None:
        request = VersionRequest(name=name, constraint=constraint, versions=list(versions))
        unused: Any = None
        return match_versions(request, unused)


def match(spec: PackageSpec, packages: Sequence[PackageVersion]) -> list[bool]:
    return asyncio.run(match_packages(RulesHere(), spec, packages))


def versions(text, packages=BOTH):
    """Those that are meant, of conda and of pip."""
    found = match(parse_package_spec(text), packages)
    return tuple(
        [each.version for each, is_meant in zip(packages, found, strict=True) if is_meant and each.kind == kind]
        for kind in ("conda", "pip")
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numpy", VERSIONS),
        ("NumPy <= 1.26.3", ["1.25.2", "1.26.3"]),
        ("numpy==1.26.4", ["1.26.4"]),
        ("numpy=1.25", ["1.25.2"]),
        ("numpy 1.26.4", ["1.26.4"]),
        ("numpy===1.26.4", ["1.26.4"]),
        ("numpy (>=1.26.4,<2)", ["1.26.4", "1.26.5"]),
        ("numpy>=1.26.5|<1.26", ["1.25.2", "1.26.5", "2.0.0"]),
        ("numpy>=3", []),
    ],
)
def test_what_both_worlds_mean_alike(text, expected):
    assert versions(text) == (expected, expected)


def test_each_world_in_its_own_order():
    # conda: 1.26.4rc1 < 1.26.4. PEP 440: `<1.26.4` leaves out its pre-releases, and `==1.26.*` has them.
    assert versions("numpy<1.26.4") == (["1.25.2", "1.26.3", "1.26.4rc1"], ["1.25.2", "1.26.3"])
    assert versions("numpy==1.26.*")[1] == ["1.26.3", "1.26.4rc1", "1.26.4", "1.26.5"]
    assert versions("numpy==1.26.*")[0] == ["1.26.3", "1.26.4rc1", "1.26.4", "1.26.5"]
    openssl = [
        PackageVersion(kind="conda", name="openssl", version=each, build="0") for each in ("1.1.1q", "1.1.1w", "3.0")
    ]
    assert versions("openssl<1.1.1w", openssl) == (["1.1.1q"], [])  # no versions at all by PEP 440


def test_builds_and_local_versions():
    builds = [PackageVersion(kind="conda", name="a", version="1.0", build=each) for each in ("py311_0", "py312_0", "")]
    assert match(parse_package_spec("a=1.0=py312*"), builds) == [False, True, False]
    local = [PackageVersion(kind="pip", name="torch", version=each) for each in ("2.1.0+cu118", "2.1.0", "2.2.0")]
    assert versions("torch==2.1.0", local)[1] == ["2.1.0+cu118", "2.1.0"]
    assert versions("torch<=2.1.0", local)[1] == ["2.1.0+cu118", "2.1.0"]


def test_a_version_that_is_none_is_meant_by_the_name_alone():
    odd = [
        PackageVersion(kind="pip", name="a", version="not a version"),
        PackageVersion(kind="conda", name="a", version="!!"),
    ]
    assert match(parse_package_spec("a"), odd) == [True, True]
    assert match(parse_package_spec("a>0"), odd) == [False, False]


@pytest.mark.parametrize(
    "text",
    ["", " ", "<1", "conda-forge::numpy", "numpy[version='1']", "uvicorn[standard]>1", "a; python_version<'3'",
     "a @ https://x/y.whl", "https://x/numpy-1-0.conda", "num/py", "nümpy", "*"],
)  # fmt: skip
def test_what_is_no_package_is_refused_with_an_example(text):
    with pytest.raises(PackageSpecError) as caught:
        parse_package_spec(text)
    assert caught.value.exit_status == 2
    assert "numpy<1.26.4" in caught.value.hint


def test_versions_that_nobody_can_read_are_refused_even_where_nothing_is_of_that_name():
    for packages in (BOTH, []):
        with pytest.raises(PackageSpecError, match="Neither conda nor pip"):
            match(parse_package_spec("numpy<<1"), packages)
