"""Progress of a build on a terminal and elsewhere."""

from __future__ import annotations

import io

from roost.client.terminal.progress import ProgressDisplay


class Terminal(io.StringIO):
    def isatty(self):
        return True


def messages():
    steps = [{"kind": "download", "seconds": 4.0}, {"kind": "link", "seconds": 2.0}]
    yield {"event": "plan", "plan": {"steps": steps, "seconds": 6.0}}
    yield {"event": "step", "step": "download", "state": "started", "total": 2_000_000}
    yield {"event": "progress", "step": "download", "done": 1_000_000, "total": 2_000_000}
    yield {"event": "log", "line": "a line"}
    yield {"event": "log", "line": "", "source": {"path": "a.yml", "format": "conda", "name": "a"}}
    yield {"event": "heartbeat"}
    yield {"event": "something-new"}
    yield {"event": "step", "step": "download", "state": "finished"}


def test_progress_elsewhere_is_plain_lines():
    stream = io.StringIO()
    display = ProgressDisplay(stream)
    for message in messages():
        display.show(message)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "roost: downloading …"
    assert lines[1].startswith("roost: done downloading (1.0 MB, ")


def test_progress_on_a_terminal_has_bytes_rate_and_time_left(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("roost.client.terminal.progress.REDRAW_SECONDS", -1)
    stream = Terminal()
    display = ProgressDisplay(stream)
    for message in messages():
        display.show(message)
    display.close()
    shown = stream.getvalue()
    assert "downloading 0 B of 2.0 MB" in shown
    assert "downloading 1.0 MB of 2.0 MB, " in shown
    assert "/s · about 6 s left" in shown
    assert shown.index("about") < shown.index("done")


def test_quiet_shows_nothing():
    stream = Terminal()
    for message in messages():
        ProgressDisplay(stream, quiet=True).show(message)
    assert stream.getvalue() == ""


def test_waiting_says_how_many_are_ahead():
    stream = io.StringIO()
    display = ProgressDisplay(stream)
    display.show({"event": "step", "step": "wait", "state": "started", "total": 12})
    display.show({"event": "progress", "step": "wait", "done": 11, "total": 12})
    assert stream.getvalue() == "roost: waiting: 12 others are being solved or built …\n"
    assert display._steps["wait"].format_line() == "waiting: 1 other is being solved or built"
    display.show({"event": "step", "step": "wait", "state": "finished"})
    assert stream.getvalue().splitlines()[1].startswith("roost: done waiting for other builds (")


def test_the_log_of_a_step_that_has_succeeded_says_nothing_about_a_failure() -> None:
    display = ProgressDisplay(io.StringIO())
    for event in ({"step": "solve", "state": "started"}, {"line": "solving"}, {"step": "solve", "state": "finished"}):
        display.show({"event": "step" if "step" in event else "log", **event})
    assert list(display.log) == []
    display.show({"event": "step", "step": "lock-pip", "state": "started"})
    display.show({"event": "log", "line": "asking an index"})
    assert list(display.log) == ["asking an index"]
