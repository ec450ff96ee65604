"""The state of a git repository in ``roost runs show``."""

from __future__ import annotations

from roost.client.cli.history.listing import describe_code


def test_changed_and_untracked_files_are_counted() -> None:
    code = {"commit": "a" * 40, "branch": "main", "root": "/w", "dirty": True}
    texts = [describe_code({**code, "changed": c, "untracked": u}) for c, u in ((1, 6), (2, 0), (0, 3))]
    states = ("changed: 1 file, 6 untracked", "changed: 2 files", "changed: 3 untracked")
    assert texts == [f"{'a' * 12} on main, {state}, in /w" for state in states]
