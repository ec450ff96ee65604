"""The main job with the installed command: from an environment file to a running script, and everything around it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

pytestmark = pytest.mark.unprivileged

WHERE = "import greet, sys; print(greet.value, sys.prefix)"


def offer(index: PipIndex, *versions: str) -> None:
    for version in versions:
        index.wheel("greet", version)


def prefixes(roost: Roost) -> list[str]:
    return sorted(p.name for p in (roost.root / "prefixes").iterdir() if p.is_dir())


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below, with size and time."""
    found = [p for p in folder.rglob("*") if not p.is_dir() and p.name not in ("daemon.log",)]
    return {str(p.relative_to(folder)): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in found}


def test_a_requirements_file_runs_and_the_second_time_builds_nothing(roost: Roost, pip_index: PipIndex) -> None:
    offer(pip_index, "1.0")
    roost.write("requirements.txt", "greet\n")
    value, prefix = roost.ok("run", "--", "python", "-c", WHERE).split()
    assert value == "1.0"
    assert prefix.startswith(f"{roost.root}/prefixes/")
    assert roost.json("build")["build"]["state"] == "not-needed"
    assert roost.ok("exec", "--", "python", "-c", WHERE).split() == [value, prefix]
    assert len(roost.json("builds", "list")["builds"]) == 1


def test_an_unpinned_package_keeps_its_version_until_a_rebuild_and_older_generations_stay(
    roost: Roost, pip_index: PipIndex
) -> None:
    offer(pip_index, "1.0")
    roost.write("requirements.txt", "greet\n")
    first = roost.json("build")["build"]
    offer(pip_index, "2.0")
    other = roost.write("elsewhere/requirements.txt", "# said differently\n  Greet \n").parent
    assert roost.ok("exec", "--", "python", "-c", WHERE, cwd=other).split()[0] == "1.0"
    second = roost.json("build", "--rebuild")["build"]
    assert (second["state"], second["generation"]) == ("succeeded", 2)
    assert second["definition_digest"] == first["definition_digest"]
    assert roost.ok("exec", "--", "python", "-c", WHERE).split()[0] == "2.0"
    assert roost.ok("exec", "--", "python", "-c", WHERE, cwd=other).split()[0] == "2.0"
    assert roost.ok("exec", "--generation", "1", "--", "python", "-c", WHERE).split()[0] == "1.0"
    assert roost.ok("exec", "--lock", first["lock_digest"], "--", "python", "-c", WHERE).split()[0] == "1.0"
    gone = roost.failed(125, "exec", "--generation", "3", "--", "true")
    assert gone["code"] == "not-found"


def test_two_definitions_with_one_lock_share_a_prefix_and_the_second_builds_nothing(
    roost: Roost, pip_index: PipIndex
) -> None:
    offer(pip_index, "1.0")
    pip_index.wheel("needs-greet", "1.0", "greet")
    one = roost.write("one/requirements.txt", "greet\nneeds-greet\n").parent
    two = roost.write("two/requirements.txt", "needs-greet\ngreet\n").parent
    first = roost.json("build", cwd=one)["build"]
    second = roost.json("build", cwd=two)["build"]
    assert first["definition_digest"] != second["definition_digest"]
    assert first["lock_digest"] == second["lock_digest"]
    assert (first["state"], second["state"], second["generation"]) == ("succeeded", "not-needed", 1)
    assert "lock-shared" in [reason["code"] for reason in second["reasons"]]
    assert len(prefixes(roost)) == 1


def test_plan_and_digest_change_nothing_at_all(roost: Roost, pip_index: PipIndex) -> None:
    offer(pip_index, "1.0")
    roost.write("requirements.txt", "greet\n")
    roost.ok("daemon", "start")
    before = tree(roost.root)
    plan = roost.json("plan")
    assert plan["plans"][0]["action"] == "build-prefix"
    assert plan["lock_digest"] is None
    assert roost.json("digest")["definition_digest"] == plan["definition_digest"]
    solved = roost.json("plan", "--solve")
    after = {k: v for k, v in tree(roost.root).items() if not k.startswith(("packages/", "wheels/"))}
    assert {k: v for k, v in before.items() if not k.startswith(("packages/", "wheels/"))} == after
    assert solved["lock_digest"] == roost.json("build")["build"]["lock_digest"]


def test_a_miss_names_the_nearest_definition_and_what_differs(roost: Roost, pip_index: PipIndex) -> None:
    offer(pip_index, "1.0", "2.0")
    roost.write("requirements.txt", "greet==1.0\n")
    known = roost.json("build")["build"]["definition_digest"]
    roost.write("requirements.txt", "greet==2.0\n")
    nearest = roost.json("plan")["plans"][0]["nearest"]
    assert nearest["definition_digest"] == known
    assert [(d["before"], d["after"]) for d in nearest["differences"]] == [("greet==1.0", "greet==2.0")]
    assert "greet==1.0" in roost.ok("plan")


def test_a_pep723_script_brings_its_own_environment(roost: Roost, pip_index: PipIndex) -> None:
    offer(pip_index, "1.0")
    block = '# /// script\n# requires-python = ">=3.10"\n# dependencies = ["greet"]\n# ///\n'
    roost.write("task.py", block + "import greet, sys; print(greet.value, *sys.argv[1:])\n")
    assert roost.ok("run", "task.py", "a", "b").strip() == "1.0 a b"
    assert roost.ok("exec", "--", "python", "task.py", "c").strip() == "1.0 c"


def test_conda_with_pip_is_solved_together_and_activated(conda_roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("uses-numpy", "1.0", "numpy>=1.20")
    conda_roost.write(
        "environment.yml",
        "name: both\nchannels: [conda-forge]\ndependencies:\n  - python=3.11\n  - numpy=1.26\n  - activated\n"
        "  - pip\n  - pip:\n      - uses-numpy\nvariables:\n  FROM_FILE: yes it is\n",
    )
    code = "import numpy, uses_numpy, os; print(numpy.__version__, os.environ['FROM_FILE'], os.environ['CONDA_PREFIX'])"
    said = conda_roost.ok("run", "--var", "EXTRA=1", "--", "python", "-c", code).strip()
    assert re.fullmatch(rf"1\.26\.4 yes it is {conda_roost.root}/prefixes/\S+", said)
    lock = conda_roost.ok("lock")
    assert "numpy-1.26.4" in lock
    assert "/simple/numpy/" not in pip_index.asked, "what conda provides is not looked for in the index"


def test_a_conflict_between_conda_and_pip_names_both(conda_roost: Roost, pip_index: PipIndex) -> None:
    pip_index.wheel("wants-new", "1.0", "numpy>=2")
    conda_roost.write(
        "environment.yml",
        "dependencies:\n  - python=3.11\n  - numpy=1.26\n  - pip\n  - pip: [wants-new]\n",
    )
    body = conda_roost.failed(4, "build")
    assert body["code"] == "pip-conda-conflict"
    assert "1.26.4" in body["message"]
    assert "wants-new" in body["message"]
    assert conda_roost.json("builds", "list")["builds"][0]["state"] == "failed"


def test_a_run_is_recorded_with_everything_but_secrets(roost: Roost, pip_index: PipIndex) -> None:
    offer(pip_index, "1.0")
    roost.write("roost.toml", 'name = "r"\n[pip]\nrequirements = ["greet"]\n[variables]\nA = "from file"\n')
    code = "import os, sys; print(os.environ['A'], os.environ['B'], os.environ['TOKEN']); sys.exit(3)"
    done = roost.run(
        "run", "--var", "B=two", "--secret", "TOKEN", "--experiment", "e", "--", "python", "-c", code,
        variables={"TOKEN": "s3cr3t-value"},
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (3, "from file two s3cr3t-value")
    run = roost.json("runs", "show", roost.json("runs", "list")["runs"][0]["id"])
    assert (run["state"], run["exit_status"], run["generation"]) == ("failed", 3, 1)
    assert run["variables"] == {"A": "from file", "B": "two"}
    assert run["secrets"] == ["TOKEN"]
    assert run["command"] == ["python", "-c", code]
    assert run["experiment"] == "e"
    assert run["started"] <= run["ended"]
    roost.ok("daemon", "stop")
    for path in roost.root.rglob("*"):
        if path.is_file():
            assert b"s3cr3t-value" not in path.read_bytes(), path


def test_a_detached_run_survives_the_daemon_and_keeps_its_output(roost: Roost, pip_index: PipIndex) -> None:
    offer(pip_index, "1.0")
    roost.write("requirements.txt", "greet\n")
    roost.write("slow.py", "import time, pathlib\nprint('begun', flush=True)\n"
                "while not pathlib.Path('go').exists(): time.sleep(0.05)\nprint('done')\n")  # fmt: skip
    run = roost.json("run", "--detach", "--", "python", "slow.py")
    run_id = run.get("run", run)["id"]
    output = roost.root / "runs" / run_id / "output"
    wait_for(lambda: output.exists() and "begun" in output.read_text())
    pid = roost.daemon_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    roost.write("go", "")
    wait_for(lambda: (roost.root / "runs" / run_id / "exit").exists())
    shown = roost.json("runs", "show", run_id)
    assert (shown["state"], shown["exit_status"]) == ("succeeded", 0)
    assert roost.ok("runs", "logs", run_id) == "begun\ndone\n"


def test_a_run_whose_processes_are_gone_without_a_word_is_lost(roost: Roost, pip_index: PipIndex) -> None:
    offer(pip_index, "1.0")
    roost.write("requirements.txt", "greet\n")
    roost.write("wait.py", "import os, time\nprint(os.getpid(), os.getppid(), flush=True)\ntime.sleep(60)\n")
    run = roost.json("run", "--detach", "--", "python", "wait.py")
    run_id = run.get("run", run)["id"]
    output = roost.root / "runs" / run_id / "output"
    wait_for(lambda: output.exists() and output.read_text().endswith("\n"))
    command, supervisor = map(int, output.read_text().split())
    daemon = roost.daemon_pid()
    for pid in (daemon, supervisor, command):
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{command}").exists() or "Z" in Path(f"/proc/{command}/stat").read_text())
    shown = roost.json("runs", "show", run_id)
    assert (shown["state"], shown["exit_status"]) == ("lost", None)


def test_a_run_is_run_again_in_the_generation_that_it_used(roost: Roost, pip_index: PipIndex) -> None:
    offer(pip_index, "1.0")
    roost.write("requirements.txt", "greet\n")
    assert roost.ok("run", "--", "python", "-c", WHERE).split()[0] == "1.0"
    old = roost.json("runs", "list")["runs"][0]["id"]
    offer(pip_index, "2.0")
    roost.json("build", "--rebuild")
    roost.write("requirements.txt", "greet==2.0\n")
    assert roost.ok("runs", "rerun", old).split()[0] == "1.0"


def test_user_managed_uses_the_interpreter_and_installs_nothing(roost: Roost) -> None:
    python = subprocess.run(["python3", "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
    interpreter = python.stdout.strip()
    roost.write("roost.toml", f'[python]\nuser_managed = true\ninterpreter = "{interpreter}"\n')
    assert roost.json("plan")["plans"][0]["action"] == "use-interpreter"
    assert roost.ok("run", "--", "python", "-c", "import sys; print(sys.executable)").strip() == interpreter
    run = roost.json("runs", "list")["runs"][0]
    assert run["interpreter"]["path"] == interpreter
    assert run["interpreter"]["version"]
    roost.write("roost.toml", '[python]\nuser_managed = true\ninterpreter = "/nowhere/python"\n')
    body = roost.failed(125, "run", "--", "python", "-c", "pass")
    assert body["code"] == "interpreter-missing"


def test_what_docker_steps_would_give_is_never_dropped_in_silence(roost: Roost) -> None:
    roost.write("roost.toml", '[base]\nimage = "debian:12"\nsteps = ["RUN true"]\n[pip]\nrequirements = []\n')
    assert roost.failed(3, "build", "-t", "local")["code"] == "image-needed"
    assert roost.json("build", "-t", "local", "--ignore-image")["build"]["state"] == "succeeded"


def test_a_wrong_file_says_where_and_what(roost: Roost) -> None:
    roost.write("environment.yml", "name: x\ndependencies:\n  - numpy\n  - [nested]\n")
    body = roost.failed(3, "plan")
    assert body["location"]["path"].endswith("environment.yml")
    assert body["location"]["line"] == 4
    done = roost.run("plan")
    assert "environment.yml:4" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2


def wait_for(condition: object, seconds: float = 30.0) -> None:
    """Until ``condition()`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_json_is_one_document_and_the_error_body_is_the_wires(roost: Roost) -> None:
    done = roost.run("plan", "--json")
    assert done.returncode == 7
    body = json.loads(done.stdout.strip() or done.stderr.strip())
    assert {"code", "message", "hint", "retryable", "fields", "location"} <= set(body)


def test_a_sibling_that_is_linked_later_is_no_drift(conda_roost: Roost) -> None:
    conda_roost.write("a/environment.yml", "dependencies: [python=3.11, numpy]\n")
    conda_roost.write("b/environment.yml", "dependencies: [python=3.11, numpy, six]\n")
    a, b = conda_roost.folder / "a", conda_roost.folder / "b"
    first = conda_roost.json("build", cwd=a)["build"]
    conda_roost.ok("build", cwd=b)
    again = conda_roost.json("build", cwd=a)["build"]
    assert again["state"] == "not-needed"
    assert again["artifacts"] == first["artifacts"]


def test_a_match_spec_that_is_none_is_refused_before_it_is_digested(conda_roost: Roost) -> None:
    conda_roost.write("environment.yml", "dependencies:\n  - six\n  - numpy >=\n")
    for command in ("plan", "digest", "build"):
        body = conda_roost.failed(3, command)
        assert body["code"] == "match-spec-invalid"
        assert (body["location"]["line"], body["location"]["column"]) == (3, 5)


def test_a_file_that_is_not_there_is_not_found(roost: Roost) -> None:
    body = roost.failed(7, "plan", "-f", "nothere.yml")
    assert "nothere.yml does not exist" in body["message"]


def test_an_index_that_needs_a_variable_gets_it_from_the_client_and_it_is_kept_nowhere(
    roost: Roost, pip_index: PipIndex
) -> None:
    offer(pip_index, "1.0")
    pip_index.password = "p4ssw0rd-of-somebody"
    url = pip_index.url.replace("http://", "http://somebody:${INDEX_PASSWORD}@")
    roost.write("requirements.txt", f"--index-url {url}\ngreet\n")
    assert roost.failed(3, "build")["code"] == "variable-missing"
    assert roost.failed(3, "build", "--detach")["code"] == "variable-missing"
    assert roost.failed(125, "run", "--detach", "--", "true")["code"] == "variable-missing"
    assert roost.json("runs", "list")["runs"] == [], "who goes by itself can't be asked later"
    roost.variables["INDEX_PASSWORD"] = pip_index.password
    assert roost.ok("run", "--", "python", "-c", "import greet; print(greet.value)").strip() == "1.0"
    roost.ok("daemon", "stop")
    for path in roost.root.rglob("*"):
        if path.is_file():
            assert pip_index.password.encode() not in path.read_bytes(), path


def test_a_detached_run_that_is_cancelled_while_it_is_made_ready_never_starts(
    roost: Roost, pip_index: PipIndex
) -> None:
    offer(pip_index, "1.0")
    pip_index.hanging.add("greet-1.0-py3-none-any.whl")
    roost.write("requirements.txt", "greet\n")
    run = roost.json("run", "--detach", "--", "python", "-c", "open('started', 'w')")
    wait_for(lambda: any(path.endswith(".whl") for path in pip_index.asked))
    roost.ok("runs", "cancel", run["id"])
    assert roost.json("runs", "show", run["id"])["state"] == "cancelled"
    wait_for(lambda: roost.json("builds", "list")["builds"][0]["state"] == "cancelled")
    assert not (roost.folder / "started").exists()
