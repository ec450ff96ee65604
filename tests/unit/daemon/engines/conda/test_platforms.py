"""The baseline of virtual packages, and the refusal of a machine that has less."""

from __future__ import annotations

import pytest

from roost.daemon.engines.conda.errors import MachineLacksError, PlatformUnknownError, SystemInvalidError
from roost.daemon.engines.conda.platforms import baseline_packages, check_machine

LINUX = {"__unix": "0", "__linux": "4.18", "__glibc": "2.28", "__archspec": "x86_64"}


def test_baseline_is_fixed() -> None:
    assert baseline_packages("linux-64", {}) == LINUX
    assert baseline_packages("osx-arm64", {})["__osx"] == "11.0"
    assert "__cuda" not in baseline_packages("linux-aarch64", {})


def test_only_suffix_and_system_add_to_it() -> None:
    assert baseline_packages("linux-64+cuda12", {}) == {**LINUX, "__cuda": "12"}
    assert baseline_packages("linux-64+cuda12", {"cuda": "12.4", "glibc": "2.36"}) == {
        **LINUX,
        "__cuda": "12.4",
        "__glibc": "2.36",
    }


def test_unknown_platform_and_system_are_refused() -> None:
    with pytest.raises(PlatformUnknownError, match="linux-65"):
        baseline_packages("linux-65", {})
    with pytest.raises(SystemInvalidError, match="musl"):
        baseline_packages("linux-64", {"musl": "1"})
    with pytest.raises(SystemInvalidError, match="twelve"):
        baseline_packages("linux-64", {"cuda": "twelve"})


@pytest.mark.parametrize(
    ("detected", "words"),
    [
        ({**LINUX, "__glibc": "2.17"}, "__glibc 2.28 is needed and it has 2.17"),
        ({k: v for k, v in LINUX.items() if k != "__glibc"}, "__glibc 2.28 is needed and there is none"),
        ({**LINUX, "__linux": "3.10.0"}, "__linux 4.18"),
    ],
)
def test_a_machine_with_less_is_refused(detected: dict[str, str], words: str) -> None:
    with pytest.raises(MachineLacksError, match=words) as caught:
        check_machine(LINUX, detected)
    assert caught.value.hint


def test_levels_of_processors_are_compared() -> None:
    check_machine({"__archspec": "x86_64"}, {"__archspec": "zen4"})
    check_machine({"__archspec": "x86_64_v3"}, {"__archspec": "of-next-year"})
    with pytest.raises(MachineLacksError, match="x86_64_v4"):
        check_machine({"__archspec": "x86_64_v4"}, {"__archspec": "haswell"})


def test_a_newer_machine_is_fine() -> None:
    check_machine(LINUX, {**LINUX, "__glibc": "2.36", "__linux": "6.18.44", "__cuda": "12.2"})
    check_machine({"__glibc": "2.28"}, {"__glibc": "2.28.0"})
