"""The line below ``roost list``."""

from __future__ import annotations

from typing import Any

from roost.client.cli.inspection.packages import _summarize

ROWS = [{"bytes": 2_000_000, "asked": True}, {"bytes": 1_000_000, "asked": False}]
ANSWER: dict[str, Any] = {
    "generation": 1,
    "lock_digest": "sha256:" + "a" * 64,
    "platform": "linux-64",
    "python": None,
    "project": None,
    "base": None,
}


def test_only_what_is_not_built_has_to_be_fetched() -> None:
    ready, locked = (_summarize({**ANSWER, "prefix": prefix}, ROWS) for prefix in ("/p", None))
    assert ready == f"2 packages, 1 asked for; 3.0 MB packed; lock {'a' * 12}, generation 1 for linux-64"
    assert locked.replace("to fetch", "packed") == f"{ready}; not built"
