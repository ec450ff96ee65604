"""Conda's order of versions (https://docs.conda.io, VersionOrder), which is not that of PEP 440."""

from __future__ import annotations

from itertools import pairwise

import pytest

from roost.daemon.engines.conda.native.versions import compare_versions

ORDERED = ["0.4", "0.4.1.rc", "0.4.1", "0.5a1", "0.5b3", "0.5", "0.9.6", "1.0.4a3", "1.0.4b1", "1.0.4", "1996.07.12"]


@pytest.mark.parametrize(("earlier", "later"), list(pairwise(ORDERED)))
def test_earlier_and_later(earlier: str, later: str) -> None:
    assert compare_versions(earlier, later) < 0 < compare_versions(later, earlier)


def test_equal_though_written_otherwise_and_what_is_no_version() -> None:
    assert compare_versions("2021.09", "2021.9.0") == 0
    assert compare_versions("", "1") < 0 < compare_versions("1", "")
