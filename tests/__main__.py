"""Run the tests by tiers: ``python -m tests [TIER…]``.

    quick    checks (ruff, mypy, import rules, spelling), and tests without a daemon           1.5 minutes
    core     tests with real daemons: api, crash, e2e; some of them also as another account    6 minutes
    images   tests with a real Docker engine and real registries                               5 minutes

Without arguments every tier runs whose parts are installed; with ROOST_TEST_REQUIRE_ALL=1 a missing part is an error.
What later tiers need and takes long to make (conda packages, base images) is made in the background meanwhile. As root,
``/tmp`` lies in memory for the tests, in a mount namespace of their own: this takes a third off the whole. A tier over
its budget is reported and fails nothing. Arguments after ``--`` go to pytest.

A few tests that fail get a second go, one at a time. The tests share two cores with engines, registries and whatever
else the machine does, and a failure that the load alone made must not hide what a change broke. Those that pass then
are named in the last lines: each is a fault, of the test or of roost, that wants mending. More than a few failures are
no accident, and get none.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import kept_bytecode

REPOSITORY = Path(__file__).parents[1]
FAILED = 1
"""pytest's status if tests failed; others tell of an interrupt, of arguments or of pytest itself."""
ACCOUNT = "roost-test"
"""An unprivileged account for the tests that are marked ``unprivileged``; made by the CI if it is root."""
IN_MEMORY = 'mount -t tmpfs -o mode=1777,size=80% tmpfs /tmp && exec "$@"'
RESULTS = "ROOST_TEST_RESULTS"
"""Names a file that a run of pytest writes (``tests.conftest``): which tests failed, and the seconds of each file."""
WHOLE_SECONDS = 840
"""How long all tiers should take together, on two cores, with the installation of what they need."""
SLOWEST = 8
"""How many files of each tier are named with their times."""
MOST_SECOND_GOES = 5
EACH = str(os.cpu_count() or 1)
"""A worker for each processor."""
PROGRAMS = ("docker-registry", "dockerd", "debootstrap", "skopeo", "ip")


@dataclass(frozen=True)
class Tier:
    """Commands that are run at the same time, and how many seconds they should take on two cores.

    ``checks`` run beside them, one after the other: most of them use one processor only, and wait for the disk at
    first. What they print is shown at the end.
    """

    seconds: int
    commands: tuple[tuple[str, ...], ...]
    checks: tuple[tuple[str, ...], ...] = ()


def pytest(*arguments: str, workers: str = "auto") -> tuple[str, ...]:
    """The command that runs tests on all processors."""
    words = ("-p", kept_bytecode.__name__, "-n", workers, "--durations=10")
    return (sys.executable, "-m", "pytest", "-q", *words, *arguments)


def tiers(more: Sequence[str]) -> dict[str, Tier]:
    """All tiers, in the order in which they run; ``more`` goes to pytest."""
    checks = (
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy",),
        ("lint-imports",),
        ("codespell",),
    )
    core = [pytest("tests/api", "tests/crash", "tests/e2e", *more)]
    if other := as_other_account(
        # Beside the others, one for each processor: it takes what these leave while they wait.
        pytest("-p", "no:cacheprovider", "-m", "unprivileged", "tests/unit", "tests/api", "tests/e2e", workers=EACH)
    ):
        core.append(other)
    return {
        # These hardly wait for anything, and each worker imports all of them at first: one for each processor.
        "quick": Tier(
            90,
            (pytest("tests/unit", "tests/property", "tests/golden", *more, workers=EACH),),
            checks,
        ),
        "core": Tier(360, tuple(core)),
        "images": Tier(300, (pytest("tests/images", *more),)),
    }


def lacking(tier: str) -> str | None:
    """The part that ``tier`` needs and this machine lacks, or ``None``."""
    if tier == "quick":
        return None
    if not sys.platform.startswith("linux") or shutil.which("flock") is None:
        return "Linux with flock(1)"
    if tier == "images":
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        if missing:
            return ", ".join(missing)
        if os.geteuid() != 0:
            return "root, who can start an engine"
    return None


def as_other_account(command: Sequence[str]) -> tuple[str, ...] | None:
    """``command`` as the unprivileged account, if there is one and this is root.

    The interpreter may lie in a folder that only root enters (a pyenv in root's home), so the account sees a folder
    with only the interpreter, the cache of the tests and nothing else in its place, in a mount namespace of its own.
    """
    if os.geteuid() != 0 or subprocess.run(["id", ACCOUNT], capture_output=True, check=False).returncode != 0:
        return None
    return (sys.executable, "-m", "tests.support.other_account", ACCOUNT, *command)


def in_memory(command: Sequence[str]) -> list[str]:
    """``command`` with an empty ``/tmp`` in memory, if a mount namespace can be had."""
    probe = ["unshare", "--mount", "--propagation", "private", "true"]
    if os.geteuid() != 0 or shutil.which("unshare") is None or subprocess.run(probe, check=False).returncode != 0:
        return list(command)
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", IN_MEMORY, "sh", *command]


@dataclass
class Outcome:
    """What came of a tier: the first status that is not 0, the tests that failed at first and passed then, and the
    seconds of the whole and of each file, which several workers run at the same time."""

    status: int = 0
    seconds: float = 0.0
    unsteady: list[str] = field(default_factory=list)
    files: Counter[str] = field(default_factory=Counter)

    def describe(self, name: str, budget: int) -> list[str]:
        """The lines of the report."""
        over = "" if self.seconds <= budget else ", OVER BUDGET"
        result = "passed" if self.status == 0 else "FAILED"
        lines = [f"{name:8} {result} in {self.seconds:.0f} s (budget {budget} s{over})"]
        lines += [f"{'':8} only at the second go: {test}" for test in self.unsteady]
        return lines + [f"{'':8} {seconds:4.0f} s  {file}" for file, seconds in self.files.most_common(SLOWEST)]


def run_tier(name: str, tier: Tier) -> Outcome:
    """Run all commands of a tier, whatever each ends with."""
    started, outcome = time.monotonic(), Outcome()
    with beside(name, tier.checks) as checked:
        run_commands(name, tier.commands, outcome)
    outcome.status = outcome.status or max(checked, default=0)
    outcome.seconds = time.monotonic() - started
    return outcome


def run_commands(name: str, commands: Sequence[Sequence[str]], outcome: Outcome) -> None:
    """Run ``commands`` at the same time, and the tests of which few failed once more. What others than the first print
    is shown at their end."""
    with ThreadPoolExecutor() as pool:
        others = [pool.submit(run_command, name, command, is_shown_late=True) for command in commands[1:]]
        ended = [run_command(name, commands[0]), *(other.result() for other in others)]
    for command, (status, results) in zip(commands, ended, strict=True):
        outcome.files.update(results.seconds)
        if status == FAILED and 0 < len(failed := results.failed) <= MOST_SECOND_GOES:
            status, results = run_command(f"{name}, second go", again(command, failed))
            outcome.unsteady += failed if status == 0 else [test for test in failed if test not in results.failed]
        outcome.status = outcome.status or status


@contextlib.contextmanager
def beside(name: str, checks: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """Run ``checks`` in the background, and show at the end what they printed. The list has their statuses then."""
    results: list[subprocess.CompletedProcess[str]] = []
    statuses: list[int] = []

    def run_checks() -> None:
        for check in checks:
            done = subprocess.run(
                check, cwd=REPOSITORY, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            results.append(done)

    thread = threading.Thread(target=run_checks)
    thread.start()
    try:
        yield statuses
    finally:
        thread.join()
        for done in results:
            print(f"=== {name}: {' '.join(done.args)}", done.stdout.strip(), sep="\n", flush=True)
            statuses.append(abs(done.returncode))


@dataclass(frozen=True)
class Results:
    """What a run of pytest wrote: the ids of the tests that failed, each once, and the seconds of each file."""

    failed: list[str]
    seconds: dict[str, float]


def run_command(name: str, command: Sequence[str], *, is_shown_late: bool = False) -> tuple[int, Results]:
    """Return the status of ``command``, which is pytest's, and its results. What it prints is shown meanwhile, or when
    it has ended."""
    words = " ".join(Path(word).name if word == sys.executable else word for word in command)
    with tempfile.NamedTemporaryFile(mode="r", prefix=".results-", dir=REPOSITORY) as file:
        os.chmod(file.name, 0o666)  # another account writes it, too
        environ = {**os.environ, RESULTS: file.name}
        if not is_shown_late:
            print(f"=== {name}: {words}", flush=True)
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} if is_shown_late else {}
        done = subprocess.run(in_memory(command), cwd=REPOSITORY, check=False, env=environ, **output)
        if is_shown_late:
            print(f"=== {name}: {words}", done.stdout, sep="\n", end="", flush=True)
        found = json.loads(file.read() or "{}")  # nothing, if it ended before its tests
        return done.returncode, Results(list(dict.fromkeys(found.get("failed", []))), found.get("seconds", {}))


def again(command: Sequence[str], failures: Sequence[str]) -> list[str]:
    """The command that runs ``failures`` only, one after the other, and otherwise what ``command`` runs."""
    words = [word for word in command if not word.startswith("tests/")]
    words[words.index("-n") + 1] = "0"
    return [*words, *failures]


def main(arguments: Sequence[str]) -> int:
    """Run the tiers that are named, or all; return 1 if any failed."""
    at = list(arguments).index("--") if "--" in arguments else len(arguments)
    known = tiers(arguments[at + 1 :])
    names = list(arguments[:at]) or list(known)
    if unknown := [name for name in names if name not in known]:
        print(f"There is no tier {unknown[0]!r}. The tiers: {', '.join(known)}.", file=sys.stderr)
        return 2
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    with tempfile.TemporaryDirectory(prefix=".bytecode-", dir=REPOSITORY) as bytecode:
        os.chmod(bytecode, 0o755)  # another account reads it, too
        os.environ[kept_bytecode.FOLDER] = bytecode
        report, failed = run_tiers(names, known)
    print("=== tiers", *report, sep="\n", flush=True)
    return int(failed)


def run_tiers(names: Sequence[str], known: Mapping[str, Tier]) -> tuple[list[str], bool]:
    """Run the tiers ``names``; return the lines of the report, and whether any failed."""
    preparing = subprocess.Popen([sys.executable, "-m", "tests.support.prepare", *names], cwd=REPOSITORY)
    started, report, failed = time.monotonic(), [], False
    for name in names:
        if name != "quick":
            failed |= preparing.wait() != 0
        if part := lacking(name):
            needed = bool(os.environ.get("ROOST_TEST_REQUIRE_ALL"))
            failed |= needed
            report.append(f"{name:8} {'FAILED' if needed else 'left out'}: this machine lacks {part}")
            continue
        outcome = run_tier(name, known[name])
        failed |= outcome.status != 0
        report += outcome.describe(name, known[name].seconds)
    preparing.wait()
    if len(names) == len(known):
        report.append(f"whole    {time.monotonic() - started:.0f} s (budget {WHOLE_SECONDS} s, with the installation)")
    return report, failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
