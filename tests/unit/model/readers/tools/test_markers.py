"""Markers have no ``not``, so that their opposite is written out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.markers import Marker

from roost.model.readers.tools.markers import join_markers, negate_marker

ATOMS = st.sampled_from(
    [
        'sys_platform == "linux"',
        'sys_platform != "win32"',
        'python_version < "3.10"',
        'python_version >= "3.9"',
        '"64" in platform_machine',
        '"arm" not in platform_machine',
    ]
)
MARKERS = st.recursive(
    ATOMS,
    lambda inner: (
        st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("{} and {} or {}".format, ATOMS, ATOMS, ATOMS)
    ),
    max_leaves=6,
)
ENVIRONMENTS = st.fixed_dictionaries(
    {
        "sys_platform": st.sampled_from(["linux", "win32", "darwin"]),
        "python_version": st.sampled_from(["3.8", "3.9", "3.10"]),
        "platform_machine": st.sampled_from(["x86_64", "arm64"]),
    }
)


@given(MARKERS, ENVIRONMENTS)
def test_a_marker_or_its_opposite_applies_and_never_both(marker: str, environment: dict[str, str]) -> None:
    opposite = negate_marker(marker)
    assert opposite is not None
    assert Marker(marker).evaluate(environment) != Marker(opposite).evaluate(environment)


@given(MARKERS, MARKERS, ENVIRONMENTS)
def test_joined_markers_apply_where_both_do(one: str, other: str, environment: dict[str, str]) -> None:
    joined = Marker(join_markers(one, other)).evaluate(environment)
    assert joined == (Marker(one).evaluate(environment) and Marker(other).evaluate(environment))


def test_empty_markers_apply_everywhere() -> None:
    assert join_markers("", "a", "") == "a"
    assert join_markers() == ""


@pytest.mark.parametrize("marker", ['python_version ~= "3.8"', 'python_full_version === "3.8.1"'])
def test_some_operators_have_no_opposite(marker: str) -> None:
    assert negate_marker(marker) is None


def test_what_is_no_marker_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        negate_marker("nonsense")
