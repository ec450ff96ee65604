"""How many examples a property is tried with: few and always the same, or a hundred times as many while soaking."""

from __future__ import annotations

import os

import hypothesis

IS_SOAKING = bool(os.environ.get("ROOST_TEST_SOAK"))


def examples(count: int) -> hypothesis.settings:
    """Return the settings of a property that ``count`` examples are usually enough for."""
    return hypothesis.settings(max_examples=count * 100 if IS_SOAKING else count)
