"""What ``add`` and ``remove`` print."""

from __future__ import annotations

from typing import Any

import pytest

from roost.client.cli.editing.text import format_item, format_result


def result(**fields: Any) -> dict[str, Any]:
    return {"file": "/p/requirements.txt", "items": [], "changes": [], "is_written": True, "diff": "", **fields}


@pytest.mark.parametrize(
    ("item", "line"),
    [
        ({"action": "added", "after": "six>=1", "line": 3, "version": "1.16"}, "added six>=1 (1.16) at f:3"),
        ({"action": "removed", "before": "six", "name": "six", "line": 2}, "removed six at f:2"),
        (
            {"action": "changed", "before": "six<1", "after": "six", "line": 2, "version": "2"},
            "changed six<1 to six (2) at f:2",
        ),
        ({"action": "present", "before": "six", "after": "six", "line": 2}, "six is at f:2 already"),
        ({"action": "added", "after": "six"}, "added six at f"),
        (
            {"action": "present", "before": "six", "after": "six", "line": 2, "file": "/b.txt"},
            "six is at /b.txt:2 already",
        ),
        ({"action": "removed", "before": "six==1     --hash=sha256:0", "line": 1}, "removed six==1 at f:1"),
    ],
)
def test_a_line_for_each_package(item: dict[str, Any], line: str) -> None:
    assert format_item(item, "f") == line


def test_ten_changes_are_listed_and_the_rest_is_counted() -> None:
    changes = [{"text": f"+ p{number} 1"} for number in range(12)]
    lines = list(format_result(result(changes=changes, packages=20), is_trial=False))
    assert lines[10:] == ["  and 2 more", "  20 packages in all"]


def test_there_is_always_the_number_of_packages() -> None:
    assert list(format_result(result(packages=1), is_trial=False)) == ["  1 package in all"]
    assert list(format_result(result(packages=None), is_trial=False)) == []


def test_a_trial_ends_with_the_change() -> None:
    assert list(format_result(result(diff="--- f\n+six", is_written=False), is_trial=True)) == ["--- f", "+six"]
    assert list(format_result(result(is_written=False), is_trial=True)) == ["nothing to change"]
