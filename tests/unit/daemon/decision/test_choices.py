"""What a plan says of the extras and groups that were read."""

from __future__ import annotations

import pytest

from roost.daemon.decision.choices import describe_selection
from roost.model.definition import Selection


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(groups=("dev",)), "With group dev"),
        (Selection(other_extras=("gpu",)), "Without extra gpu (--extra)"),
        (
            Selection(groups=("dev", "docs"), extras=("gpu",), other_groups=("test",), other_extras=("a", "b")),
            "With groups dev, docs and extra gpu; without group test (--group) and extras a, b (--extra)",
        ),
        (
            Selection(other_groups=tuple(f"g{number}" for number in range(12))),
            "Without groups g0, g1, g2, g3, g4, g5, g6, g7, g8, g9 and 2 more (--group)",
        ),
    ],
)
def test_what_was_read_and_left_out_is_named(selection: Selection, message: str) -> None:
    reason = describe_selection(selection)
    assert reason is not None
    assert (reason.code, reason.message) == ("choices-read", message)
    assert describe_selection(None) is None
