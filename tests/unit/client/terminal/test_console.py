"""What is printed of a failure."""

from __future__ import annotations

from roost.client.terminal.console import without_repeated


def test_lines_of_the_log_that_the_error_has_are_printed_once() -> None:
    log = [
        "Building demo",
        "error: Failed to build",
        "  cause: backend",
        "",
        "         [stderr]",
        "no module",
        "warned",
    ]
    message = "The project can't be installed: Failed to build\nbackend\n       [stderr]\nno module"
    assert without_repeated(log, message) == ["Building demo", "warned"]
    assert without_repeated(["x"], "") == ["x"]
