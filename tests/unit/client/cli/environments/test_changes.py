"""Differences as people see them: short in a table, one a line in a diff, in colour on a terminal."""

from __future__ import annotations

import io

import pytest

from roost.client.cli.environments.changes import change_lines, lock_lines, summarize_changes
from roost.client.terminal.text import render

CHANGES = [
    {"field": "conda.dependencies[1]", "before": "numpy=1.26", "after": "numpy=2.1"},
    {"field": "conda.dependencies[2]", "before": "six", "after": "toy"},
    {"field": "base.image", "before": None, "after": "debian:12"},
    {"field": "variables.A", "before": "1", "after": "2"},
]
PACKAGES = {
    "platform": "linux-64",
    "unchanged": 1,
    "bytes": 2_000_000,
    "provider": None,
    "packages": [
        {"kind": "conda", "name": "a", "change": "up", "before": {"version": "1"},
         "after": {"version": "2", "size": 2_000_000}},
        {"kind": "conda", "name": "b", "change": "rebuilt",
         "before": {"version": "1", "build": "0", "sha256": "a" * 64},
         "after": {"version": "1", "build": "1", "sha256": "b" * 64}},
        {"kind": "pip", "name": "long-name", "change": "removed", "before": {"version": "3"}, "after": None},
    ],
}  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_stands_in_the_place_of_another_thing_came_and_that_went() -> None:
    assert list(change_lines(CHANGES, io.StringIO())) == [
        "~ conda.dependencies: numpy=1.26 -> numpy=2.1",
        "- conda.dependencies: six",
        "+ conda.dependencies: toy",
        "+ base.image: debian:12",
        "~ variables.A: 1 -> 2",
    ]


def test_a_summary_is_short_and_keeps_the_values_of_settings_to_itself() -> None:
    assert summarize_changes(CHANGES[:1] + CHANGES[3:]) == "conda.dependencies: numpy=1.26 -> numpy=2.1; variables.A"
    assert summarize_changes(CHANGES).endswith("; and 1 more")
    assert summarize_changes([]) == "nothing"
    assert summarize_changes(None) == " "


def test_packages_in_columns_below_their_counts() -> None:
    assert list(lock_lines(PACKAGES, io.StringIO())) == [
        "packages (linux-64): 1 gone, 1 up, 1 rebuilt, 1 package unchanged; 2.0 MB to fetch",
        "  ~ a          up       1 -> 2                             2.0 MB",
        "  ~ b          rebuilt  1 0 aaaaaaaa -> 1 1 bbbbbbbb",
        "  - long-name  gone     3                             pip",
    ]


def test_colours_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    lines = [*map(render, [*change_lines(CHANGES, Terminal()), *lock_lines(PACKAGES, Terminal())])]
    assert lines[1].startswith("\033[31m- ")
    assert lines[2].startswith("\033[32m+ ")
    assert sum(line.startswith("\033[") for line in lines) == 8
    monkeypatch.setenv("NO_COLOR", "1")
    assert not any("\033" in line for line in map(render, change_lines(CHANGES, Terminal())))
