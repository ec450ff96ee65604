"""Frames of uv's progress bars, as uv 0.13 draws them."""

from __future__ import annotations

import pytest

from roost.daemon.engines.uv.install import InstallProgress
from roost.daemon.engines.uv.terminal import TerminalLines, is_drawing, parse_bars
from roost.model.locks.lock import Wheel


class Steps:
    def __init__(self) -> None:
        self.seen: list[tuple[object, ...]] = []

    def start(self, step: str, total: int | None = None) -> None:
        self.seen.append(("start", step, total))

    def advance(self, step: str, done: int, total: int | None = None) -> None:
        self.seen.append(("advance", step, done, total))

    def finish(self, step: str) -> None:
        self.seen.append(("finish", step))

    def log(self, line: str) -> None: ...


def test_lines_are_cut_wherever_the_chunks_end() -> None:
    data = "Using \x1b[1mx\x1b[0m\r\n\x1b[2mnumpy ---- 1.00 MiB/2.00 MiB\x1b[0m\r\x1b[2Kerror: é".encode()
    for size in (1, 3, len(data)):
        frames = TerminalLines()
        lines = [line for at in range(0, len(data), size) for line in frames.feed(data[at : at + size])]
        assert [*lines, frames.flush()] == ["Using x", "numpy ---- 1.00 MiB/2.00 MiB", "error: é"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "⠙ Preparing packages... (0/2)    numpy   ------- 1.50 KiB/16.13 MiB     scikit-learn  --- 0 B/512 B",
            [("numpy", 1536, int(16.13 * (1 << 20))), ("scikit-learn", 0, 512)],
        ),
        ("Downloading numpy (16.1MiB)", []),
        ("error: Failed to fetch", []),
    ],
)
def test_bars_are_numbers(line: str, expected: list[tuple[str, int, int]]) -> None:
    assert parse_bars(line) == expected
    assert is_drawing(line) == bool(expected)


def test_decoration_is_no_line() -> None:
    assert is_drawing("⠋ Resolving dependencies...")
    assert is_drawing("██░░ [1/2] Installing wheels...")
    assert is_drawing("")


def test_downloads_add_up_and_never_go_back() -> None:
    wheels = [Wheel(name="a", version="1", size=2048), Wheel(name="b", version="1", size=1024)]
    steps = Steps()
    installation = InstallProgress(steps, wheels)
    installation.start()
    for frame in ("a --- 1.00 KiB/2.00 KiB", "a --- 1.50 KiB/2.00 KiB b --- 512 B/1.00 KiB", "b --- 600 B/1.00 KiB"):
        installation.add_frame(frame)
    installation.add_line("Prepared 2 packages in 1s")
    installation.add_line("Installed 2 packages in 7ms")
    installation.finish()
    downloads = [step for step in steps.seen if step[1] == "download"]
    assert downloads[0] == ("start", "download", 2048)
    assert downloads[-1] == ("finish", "download")
    done = [step[2] for step in downloads[1:-1]]
    assert done == sorted(done)  # type: ignore[type-var]
    assert downloads[-2] == ("advance", "download", 3072, 3072)
    assert steps.seen[-3] == ("advance", "pip", 2, 2)
