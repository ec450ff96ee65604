"""README's tour, played: each command that it shows prints what README says, but for times, sizes, ids and paths."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import ROOST, Roost

pytestmark = pytest.mark.starts_daemon

README = Path(__file__).parents[2] / "README.md"
NEEDS_MORE = ("cat environment.yml", "cat roost.toml")
"""First commands of blocks that need conda packages or an engine."""
TRAIN = """\
import sys, scikit_learn
print(f"Python {sys.version.split()[0]}, scikit-learn {scikit_learn.value}, in {sys.prefix}")
print("accuracy over 5 folds: 0.973 (worst 0.933)")
"""
MASKS = (
    (r"r\d{8}-\d{6}-[0-9a-f]{6}", "RUN"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"\d{4}-\d\d-\d\d", "DATE"),
    (r"(~|/)[^\s(]*/prefixes/\S+", "PREFIX"),
    (r"\((~|/)[^\s)]*\)", "(FILE)"),
    (r"sha256:[0-9a-f]+…?", "DIGEST"),
    (r"\b[0-9a-f]{12}\b", "DIGEST"),
    (r"\d+\.\d s\b", "SECONDS"),
    (r"\d+(\.\d)? (B|kB|MB|GB)\b", "SIZE"),
    (r"Python \d+\.\d+\.\d+", "Python VERSION"),
    (r"\((linux|osx)-[a-z0-9]+\)", "(PLATFORM)"),
    (r" {2,}", "  "),
)


@dataclass
class Step:
    """A command and the lines that README shows below it; a line ``…`` stands for any lines."""

    command: str
    lines: list[str]


def blocks() -> Iterator[list[Step]]:
    """The blocks of README's tour that begin with a command."""
    tour = README.read_text(encoding="utf-8").partition("\n## A tour\n")[2].partition("\n### From Python\n")[0]
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", tour, re.MULTILINE):
        steps: list[Step] = []
        for line in block.splitlines():
            text = line.removeprefix("    ")
            if text.startswith("$ "):
                steps.append(Step(text.removeprefix("$ "), []))
            elif steps:
                steps[-1].lines.append(text)
        if steps and not steps[0].command.startswith(NEEDS_MORE):
            yield steps


def masked(line: str) -> str:
    for pattern, name in MASKS:
        line = re.sub(pattern, name, line)
    return line.strip() if line.strip() == "…" else line.rstrip()


def matches(printed: list[str], lines: list[str]) -> bool:
    """Whether the output has these lines; ``…`` stands for any number of lines."""
    pattern = "".join(r"(.*\n)*?" if line == "…" else re.escape(line) + r"\n" for line in lines)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


@pytest.fixture
def tour(roost: Roost, pip_index: PipIndex) -> Roost:
    """README's folders, with small packages in place of the real ones, and an environment that is known already. No
    file is watched because it was used: what its plan says would depend on whether a prebuild has tried it yet."""
    roost.config.write_text(f"{roost.config.read_text()}[watch]\nfiles = 0\n")
    for name in ("joblib", "numpy", "scipy", "threadpoolctl", "setuptools"):
        pip_index.wheel(name, "1.0")
    pip_index.wheel("narwhals", "2.29.0")
    pip_index.wheel("tomli", "2.4.0")
    needed = ("joblib", "numpy", "scipy", "threadpoolctl", "setuptools")
    pip_index.wheel("scikit-learn", "1.9.1", *needed, "narwhals")
    pip_index.wheel("scikit-learn", "1.5.2", *needed)
    roost.write("examples/iris/requirements.txt", "scikit-learn>=1.4\n")
    roost.write("examples/iris/train.py", TRAIN)
    roost.write("proj/requirements.txt", "tomli\n")
    roost.ok("build", cwd=roost.folder / "proj")
    roost.write("proj/requirements.txt", "tomlx==9\n")
    return roost


def play(tour: Roost, step: Step, folder: Path, run_id: str | None) -> list[str]:
    """Run a command in a shell; the masked lines of its output, with the progress if README shows it."""
    command = re.sub(r"r\d{8}-\d{6}-[0-9a-f]{6}", str(run_id), step.command.removeprefix("time "))
    environ = {**tour.environ, "PATH": os.pathsep.join([os.path.dirname(ROOST), os.environ["PATH"]])}
    with_progress = any(line.startswith("roost: ") for line in step.lines)
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if with_progress else subprocess.PIPE,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return [masked(line) for line in done.stdout.splitlines()]


def test_the_tour_prints_what_readme_shows(tour: Roost) -> None:
    folder, run_id, played = tour.folder, None, []
    for steps in blocks():
        for step in steps:
            if step.command.startswith("cd "):
                folder = tour.folder / step.command.removeprefix("cd ")
                continue
            elsewhere = tour.folder / "proj" if step.command == "roost plan" else folder
            printed = play(tour, step, elsewhere, run_id)
            run_id = run_id or next((run["id"] for run in tour.json("runs", "list")["runs"]), None)
            played.append(step.command.partition(" #")[0].split("roost ")[-1].split()[:2])
            expected = [masked(line) for line in step.lines]
            if expected and not step.command.startswith("time "):
                shown = "\n".join(printed)
                assert matches(printed, expected), f"README shows another output of `{step.command}`:\n{shown}"
    assert [" ".join(words) for words in played] == [
        "run train.py", "exec --", "plan", "list --sort", "tree", "why threadpoolctl", "which python", "runs list",
        "init --pip", "add -f", "build --rebuild",
        "exec --generation", "runs rerun", "run train.py", "env versions", "env diff", "env label", "exec -e",
        "env who", "env export",
        "cache bundle", "cache bundle",
    ]  # fmt: skip
