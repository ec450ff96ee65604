"""What the hot path of ``run`` accepts, and what it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from roost.client.launch import activate, supervise
from roost.client.launch.hot_run import _is_text, _parse_run

HEAVY = ("argparse", "contextlib", "enum", "json", "re", "selectors", "signal", "socket", "subprocess", "typing")


def parsed(words: list[str]) -> tuple[object, ...] | None:
    found = _parse_run(words)
    if found is None:
        return None
    return (found.field, found.value, found.target, found.command, found.quiet, found.experiment, found.variables)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--", "python", "-V"], ("", "", "auto", ["python", "-V"], False, "", {})),
        (["train.py", "--epochs", "3"], ("", "", "auto", ["train.py", "--epochs", "3"], False, "", {})),
        (["-q", "-t", "local", "-f", "a.yml", "x"], ("file", "a.yml", "local", ["x"], True, "", {})),
        (["-n", "torch:2", "x", "-q"], ("environment", "torch:2", "auto", ["x", "-q"], False, "", {})),
        (["--image", "python:3.11", "x"], ("image", "python:3.11", "auto", ["x"], False, "", {})),
        (
            ["--experiment", "e", "--var", "A=1=2", "--var", "B=", "--var", "A=3", "--", "--var"],
            ("", "", "auto", ["--var"], False, "e", {"A": "3", "B": ""}),
        ),
    ],
)
def test_common_command_lines_are_parsed(words: list[str], expected: object) -> None:
    assert parsed(words) == expected


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--"],
        [""],
        ["-f"],
        ["-t"],
        ["-f", "a", "-n", "b", "x"],
        ["-t", "cluster", "x"],
        ["--detach", "x"],
        ["--var", "A", "x"],
        ["--var", "=1", "x"],
        ["--var"],
        ["--var=A=1", "x"],
        ["--experiment"],
        ["--secret", "A", "x"],
        ["--json", "x"],
        ["-h"],
    ],
)
def test_anything_else_is_left_to_the_command_line(words: list[str]) -> None:
    assert _parse_run(words) is None


def test_bytes_that_are_not_utf8_are_left_to_the_command_line() -> None:
    assert _is_text("a", "ä")
    assert not _is_text("a", "\udcff")


def test_nothing_heavy_is_imported() -> None:
    script = (
        "import sys; before = set(sys.modules)\n"
        "from roost.client import main\nfrom roost.client.launch import hot_run, supervise\n"
        f"print(*sorted((set(sys.modules) - before) & set({HEAVY!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []


def test_a_folder_that_cannot_be_entered_is_named_and_not_the_command(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(activate.CommandError, match=r"the folder .*/file can't be entered: Not a directory"):
        supervise._enter_folder(str(tmp_path / "file"))
