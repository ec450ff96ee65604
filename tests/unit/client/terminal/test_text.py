"""Colours, sizes, times and tables."""

from __future__ import annotations

import io

from roost.client.terminal import text


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_colour_only_on_a_terminal_and_not_against_the_users_will(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert text.render(text.paint("x\033[5m", "red", Terminal())) == "\033[31mx\\x1b[5m\033[0m"
    assert text.paint("x", "red", io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert text.paint("x", "red", Terminal()) == "x"


def test_sizes_durations_and_tables():
    assert [text.format_size(n) for n in (0, 999, 1000, 2_500_000, 10**15, None)] == [
        "0 B", "999 B", "1.0 kB", "2.5 MB", "1000.0 TB", "?",
    ]  # fmt: skip
    assert [text.format_duration(s) for s in (0.04, 59.9, 61, 3700)] == [
        "0.0 s",
        "59.9 s",
        "1 min 1 s",
        "1 h 1 min",
    ]
    counts = [text.format_count(*pair) for pair in ((1, "prefix"), (2, "prefix"), (0, "file"))]
    assert counts == ["1 prefix", "2 prefixes", "0 files"]
    assert text.format_time("2026-11-23T08:05:36.147455Z") == "2026-11-23T08:05:36Z"
    assert text.format_time(None) is None
    assert text.format_table(("A", "BB"), [("xyz", None), ("", 1)]) == "A    BB\nxyz  -\n-    1"
    assert text.format_table("AB", [("x", "y"), ("long", "z")], longest=3) == "A  B\nx  y\nlong  z"
