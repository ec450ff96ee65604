"""The history of runs by the command line: found again, waited for, noted, compared, with the code that they ran."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.installed import Installed

IDENTITY = ("-c", "user.name=n", "-c", "user.email=e")
WAITS = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.02)\nsys.exit(int(sys.argv[2]))\n"


@pytest.fixture(scope="module")
def roost() -> Iterator[Installed]:
    """One daemon with an environment that is ready."""
    made = Installed(forks_daemon=True)
    try:
        assert made("build").returncode == 0
        (made.work / "waits.py").write_text(WAITS)
        yield made
    finally:
        made.remove()


def run(roost: Installed, *words: str, cwd: Path | None = None) -> dict:
    """Run something in the foreground, and return its record."""
    assert roost("run", "-q", "-f", str(roost.work / "requirements.txt"), *words, cwd=cwd).returncode is not None
    return roost.json("runs", "show", "latest")


def ids(roost: Installed, *filters: str) -> list[str]:
    return [found["id"] for found in roost.json("runs", "list", *filters)["runs"]]


def kill_daemon(roost: Installed) -> None:
    pid = roost.json("daemon", "status")["pid"]
    os.kill(pid, signal.SIGKILL)


def test_runs_are_found_by_what_is_known_of_them(roost: Installed, tmp_path: Path) -> None:
    first = run(roost, "--experiment", "sweep", "python", "-c", "raise SystemExit(3)")
    (tmp_path / "sub").mkdir()
    second = run(roost, "python", "-c", "pass # --lr 0.1", cwd=tmp_path / "sub")
    assert first["id"] in ids(roost, "--experiment", "sweep", "--state", "failed", "--since", "1h")
    assert ids(roost, "--command", "--lr 0.1") == [second["id"]]
    assert ids(roost, "--cwd", str(tmp_path)) == [second["id"]]
    assert ids(roost, "--cwd", "sub", "--limit", "1") == []
    assert first["id"] in ids(roost, "--env", first["environment"]["name"])
    assert ids(roost, "--env", f"{first['environment']['name']}:999") == []
    assert roost("runs", "tag", first["id"], "best", "lr=0.1").returncode == 0
    assert ids(roost, "--tag", "best", "--tag", "lr=0.1") == [first["id"]]
    assert roost("runs", "tag", first["id"], "--remove", "best").returncode == 0
    assert ids(roost, "--tag", "best") == []
    assert roost("runs", "tag", first["id"]).stdout == "lr=0.1\n"


def test_a_run_and_a_build_are_named_by_latest_and_by_their_beginning(roost: Installed) -> None:
    latest = run(roost, "python", "-c", "pass")
    beginning = latest["id"][:-2]
    assert roost.json("runs", "show", beginning)["id"] == latest["id"]
    assert roost.json("builds", "show", "latest")["build"]["id"].startswith("b")
    assert roost("builds", "logs", "latest").returncode == 0
    assert roost("env", "diff", "latest").returncode == 0
    unknown = roost("runs", "show", "r19990101")
    assert (unknown.returncode, "runs list" in unknown.stderr) == (7, True)
    ambiguous = roost("runs", "show", "r2")
    assert (ambiguous.returncode, latest["id"] in ambiguous.stderr) == (2, True)
    body = json.loads(roost("builds", "show", "nope", "--json").stdout)
    assert (body["code"], body["exit_status"]) == ("not-found", 7)


@pytest.mark.parametrize(
    "words",
    [
        ("runs", "list", "--since", "soon"),
        ("runs", "list", "--state", "done"),
        ("runs", "list", "--env", "a b"),
        ("runs", "list", "--command", ""),
        ("runs", "tag", "latest", "two words"),
        ("runs", "tag", "latest", "a\x1b[31m"),
        ("runs", "note", "latest", "a\x1b[31m"),
        ("runs", "note", "latest", ""),
        ("runs", "logs", "latest", "--tail", "-1"),
        ("run", "--experiment", "a\x1b[31m", "python", "-c", "pass"),
    ],
)
def test_bad_input_is_refused_and_shown_as_text(roost: Installed, words: tuple[str, ...]) -> None:
    run(roost, "python", "-c", "pass")
    done = roost(*words)
    assert done.returncode in (2, 3, 125), done.stderr
    assert done.stderr.startswith("roost: ")
    assert "\x1b" not in done.stderr


def test_a_note_is_written_replaced_and_removed(roost: Installed) -> None:
    run(roost, "python", "-c", "pass")
    assert roost("runs", "note", "latest", "with the new data\nand more").returncode == 0
    assert roost("runs", "note", "latest").stdout == "with the new data\nand more\n"
    assert roost.json("runs", "show", "latest")["note"] == "with the new data\nand more"
    assert roost("runs", "note", "latest", "--remove").returncode == 0
    assert roost.json("runs", "show", "latest")["note"] is None


def test_a_wait_ends_with_the_status_even_if_the_daemon_is_killed(roost: Installed, tmp_path: Path) -> None:
    started = [
        roost("run", "-q", "--detach", "python", "waits.py", str(tmp_path / name), status).stdout.strip()
        for name, status in (("first", "0"), ("second", "5"), ("third", "6"))
    ]
    for each in started:  # what the daemon has not handed over yet would end with it
        while roost.json("runs", "show", each)["state"] != "running":
            pass
    with roost.start("runs", "wait", *started) as waiting:
        (tmp_path / "first").touch()
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == f"roost: run {started[0]} ended: succeeded, exit status 0\n"
        kill_daemon(roost)
        (tmp_path / "second").touch()
        (tmp_path / "third").touch()
        assert waiting.wait(60) == 5
    assert roost("runs", "wait", started[2]).returncode == 6
    assert roost("runs", "wait", started[0], "r19990101").returncode == 7


def test_an_interrupted_wait_ends_no_run(roost: Installed, tmp_path: Path) -> None:
    run_id = roost("run", "-q", "--detach", "python", "waits.py", str(tmp_path / "go"), "0").stdout.strip()
    while roost.json("runs", "show", run_id)["state"] != "running":
        pass
    ended = run(roost, "python", "-c", "pass")["id"]
    with roost.start("runs", "wait", ended, run_id) as waiting:
        assert waiting.stderr is not None
        assert ended in waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(60) in (130, -signal.SIGINT)
    assert roost.json("runs", "show", run_id)["state"] == "running"
    (tmp_path / "go").touch()
    assert roost("runs", "wait", run_id).returncode == 0


def test_the_tail_of_the_output(roost: Installed) -> None:
    run_id = roost("run", "-q", "--detach", "python", "-c", "for n in range(100): print(n)").stdout.strip()
    assert roost("runs", "wait", run_id).returncode == 0
    assert roost("runs", "logs", "--tail", "3", run_id).stdout == "97\n98\n99\n"
    assert roost("runs", "logs", "-f", "--tail", "0", run_id).stdout == ""
    assert len(roost("runs", "logs", "--tail", "1000", run_id).stdout.splitlines()) == 100


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *IDENTITY, *words], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_run_records_its_commit_its_machine_and_its_options(roost: Installed, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "train.py").write_text("pass\n")
    git(tree, "init", "-q", "-b", "main")
    git(tree, "add", ".")
    git(tree, "commit", "-q", "-m", "first")
    commit = git(tree, "rev-parse", "HEAD").strip()
    first = run(roost, "python", "train.py", cwd=tree)
    assert first["git"] | {"delay": 0} == {
        "root": str(tree),
        "commit": commit,
        "branch": "main",
        "dirty": False,
        "changed": 0,
        "untracked": 0,
        "delay": 0,
        "reason": None,
    }
    assert 0 < first["git"]["delay"] < 10
    assert first["host"] == os.uname().nodename
    (tree / "train.py").write_text("print()\n")
    (tree / "new").write_text("")
    second = run(roost, "--var", "A=1", "python", "train.py", "--lr", "1", cwd=tree)
    assert (second["git"]["dirty"], second["git"]["changed"], second["git"]["untracked"]) == (True, 1, 1)
    outside = run(roost, "python", str(tree / "train.py"), cwd=roost.work)
    assert outside["git"]["commit"] == commit, "the script's repository, since the folder is in none"
    detached = roost("run", "-q", "--detach", "python", "-c", "pass", cwd=roost.work).stdout.strip()
    assert roost("runs", "wait", detached).returncode == 0
    assert roost.json("runs", "show", detached)["git"] is None

    git(tree, "commit", "-q", "-am", "second")
    third = run(roost, "python", "train.py", cwd=tree)
    shown = roost("runs", "diff", second["id"], third["id"]).stdout
    assert "~ command:" in shown
    assert f"git diff {commit[:12]} " in shown
    assert "- variables.A: 1" in shown
    assert "packages (" in shown
    answer = roost.json("runs", "diff", second["id"], third["id"])
    assert {each["field"] for each in answer["runs"]} == {"command", "git.commit"}
    assert roost("runs", "diff", "--exit-code", third["id"], "latest").returncode == 0
    assert roost("runs", "diff", "--exit-code", first["id"], "latest").returncode == 1


@pytest.mark.skipif(shutil.which("git") is None or os.geteuid() != 0, reason="needs git, and files of another user")
def test_a_repository_of_another_user_is_unknown_with_a_reason(roost: Installed, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    os.chown(tmp_path, 65534, 65534)
    code = run(roost, "python", "-c", "pass", cwd=tmp_path)["git"]
    assert (code["commit"], code["dirty"]) == (None, None)
    assert f"{tmp_path} belongs to another user" in code["reason"]
