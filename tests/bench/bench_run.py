"""What `roost run -- python -c pass` of a known environment costs against the bare interpreter of its prefix, in pairs.

    python -m tests.bench.bench_run [PAIRS] [--git]

Prints medians in milliseconds and the median of the pairs' ratios: `exec`, which records nothing; `run` by the hot path
with `--` and with a script; `run` by the whole command line (`--ignore-image` is an option that only it knows); and
`uv run` of the same requirements, if uv is installed, which records nothing either. The goals: `exec` 1.2, `run` 3.0.
With `--git` the working folder is a git repository, whose state is recorded with each run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial

from tests.bench.measuring import milliseconds, print_against_bare
from tests.support.installed import BIN, Installed

COMMAND = ("python", "-c", "pass")


def commands(roost: Installed, python: str) -> dict[str, list[str]]:
    """Return the command lines that are compared, by name. ``python``: the interpreter of the prefix."""
    (roost.work / "script.py").write_text("pass\n")
    program = str(roost.bin / "roost")
    found = {
        "exec": [program, "exec", "--", *COMMAND],
        "run": [program, "run", "--", *COMMAND],
        "run script.py": [program, "run", "script.py"],
        "run (all)": [program, "run", "--ignore-image", "--", *COMMAND],
    }
    uv = shutil.which("uv", path=f"{sys.prefix}/bin:{roost.environ['PATH']}")
    if uv is not None:
        isolated = ["--no-project", "--no-config", "--offline", "--python", python]
        with_lines = ["--with-requirements", "requirements.txt"]
        found["uv run"] = [uv, "run", *isolated, *with_lines, "--", *COMMAND]
    return {**found, "bare": [python, "-c", "pass"]}


def measure(roost: Installed, pairs: int, *, in_git: bool) -> None:
    run = partial(milliseconds, folder=roost.work, environ=roost.environ)
    if in_git:
        for words in (["init", "-q"], ["add", "."], ["-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "x"]):
            subprocess.run(["git", *words], cwd=roost.work, check=True)
    built = json.loads(roost("build", "--json").stdout.splitlines()[-1])["build"]
    asked = commands(roost, f"{built['artifacts'][0]['path']}/bin/python")
    for words in (*asked.values(), asked["exec"]):  # a plan needs files that have settled
        run(words)
    assert roost.plans(), "no launch plan was left: exec would be measured with the client behind it"
    print_against_bare(asked, pairs, run)


def main() -> None:
    numbers = [word for word in sys.argv[1:] if word != "--git"]
    pairs = int(numbers[0]) if numbers else 40
    print(f"the launcher and the client of {BIN}")
    roost = Installed()
    try:
        measure(roost, pairs, in_git="--git" in sys.argv)
    finally:
        roost.remove()


if __name__ == "__main__":
    main()
