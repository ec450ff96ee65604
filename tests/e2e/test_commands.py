"""The command line against a real daemon."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time

import msgspec
import pytest
from tests.support.installed import Installed
from tests.support.trees import find_holding

from roost.wire.plans import PlanResponse
from roost.wire.protocol import ErrorBody
from roost.wire.runs import RunView

PREFIX = "import sys; print(sys.prefix)"


@pytest.fixture(scope="module")
def roost():
    made = Installed(forks_daemon=True)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def prefix(roost):
    done = roost("build", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["build"]["artifacts"][0]["path"]


def test_exec_builds_first_and_the_second_time_the_launcher_starts_it(roost, prefix):
    assert roost("exec", "--", "python", "-c", PREFIX).stdout.strip() == prefix
    assert roost.plans() != []
    (roost.bin / "roost-client").rename(roost.bin / "aside")
    try:
        done = roost("exec", "--", "python", "-c", PREFIX)
    finally:
        (roost.bin / "aside").rename(roost.bin / "roost-client")
    assert done.stdout.strip() == prefix
    assert done.stderr == ""


def test_the_python_client_alone_starts_it_as_well(roost, prefix):
    done = roost("exec", "--", "python", "-c", PREFIX, program="roost-client")
    assert (done.stdout.strip(), done.stderr) == (prefix, "")


def test_exec_replaces_itself(roost, prefix):
    for program in ("roost", "roost-client"):
        with roost.start("exec", "--", "python", "-c", "import os; print(os.getpid())", program=program) as process:
            assert int(process.stdout.read()) == process.pid


def test_a_new_generation_ends_the_plans(roost, prefix):
    roost("exec", "--", "python", "-c", "pass")
    assert roost.plans() != []
    done = roost("build", "--rebuild", "--json")
    assert json.loads(done.stdout.splitlines()[-1])["build"]["generation"] >= 2
    assert roost.plans() == []


def test_a_stopped_daemon_is_started_again(roost, prefix):
    assert roost("daemon", "stop").returncode == 0
    status = roost("daemon", "status", "--json")
    assert status.returncode == 5
    assert json.loads(status.stdout)["running"] is False
    assert roost("daemon", "stop").returncode == 0
    assert roost("exec", "--", "python", "-c", PREFIX, program="roost-client").stdout.strip() == prefix
    running = roost.json("daemon", "status")
    assert running["root"] == str(roost.root)
    assert running["socket"] == str(roost.root / "roost.sock")


def test_many_clients_start_one_daemon(roost, prefix):
    roost("daemon", "stop")
    clients = [roost.start("daemon", "status" if n < 0 else "start", "--json") for n in range(6)]
    answers = [json.loads(client.communicate(timeout=60)[0]) for client in clients]
    assert len({answer["pid"] for answer in answers}) == 1


def test_a_root_that_the_daemon_refuses_is_told_with_its_own_words(roost):
    bad = roost.base / "bad"
    bad.mkdir()
    (bad / "format").write_text("roost store 999\n")
    (bad / "FORMAT").write_text("999\n")
    deep = roost.base / ("x" * 200)
    done = roost("plan", environ={"ROOST_HOME": str(deep)})
    assert done.returncode == 5
    told = [line for line in done.stderr.splitlines() if not line.startswith("roost: waiting for the daemon")]
    assert len(told) == 2
    body = json.loads(roost("plan", "--json", environ={"ROOST_HOME": str(deep)}).stdout)
    assert body["code"] == "root-too-long"


def test_run_records_the_run_and_ends_with_the_commands_status(roost, prefix):
    done = roost(
        "run", "--var", "A=b", "--experiment", "x", "--", "python", "-c", "import os; exit(int(os.environ['A']=='b')*7)"
    )
    assert done.returncode == 7
    assert "using requirements.txt" in done.stderr
    run = roost.json("runs", "list")["runs"][0]
    view = msgspec.convert(roost.json("runs", "show", run["id"]), RunView)
    assert (view.state, view.exit_status, view.variables, view.experiment) == ("failed", 7, {"A": "b"}, "x")
    assert view.lock_digest.startswith("sha256:")
    assert run["id"] in roost("runs", "list").stdout


def test_a_script_means_python_and_its_arguments_stay_its_own(roost, prefix):
    (roost.work / "say.py").write_text("import sys; print(sys.prefix, sys.argv[1:])\n")
    for command in ("run", "exec"):
        assert roost(command, "say.py", "-f", "--json", "--").stdout.strip() == f"{prefix} ['-f', '--json', '--']"


def test_standard_input_and_output_pass_through(roost, prefix):
    words = ["python", "-c", "import sys; print(sys.stdin.read().upper()); print('e', file=sys.stderr)"]
    for command in ("run", "exec"):
        done = roost(command, "-q", "--", *words, input="hello")
        assert (done.stdout, done.stderr, done.returncode) == ("HELLO\n", "e\n", 0)


@pytest.mark.parametrize("command", ["run", "exec"])
@pytest.mark.parametrize(("program", "status"), [("nosuchprogram", 127), ("./plain", 126), ("./missing", 127)])
def test_commands_that_cannot_start(roost, prefix, command, program, status):
    (roost.work / "plain").write_text("x")
    done = roost(command, "-q", "--", program)
    assert done.returncode == status
    assert program in done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGUSR1, 138)])
def test_run_passes_signals_on(roost, prefix, number, status):
    words = [
        "python",
        "-c",
        "import sys, signal; signal.signal(2, signal.SIG_DFL); print('up', flush=True); sys.stdin.read()",
    ]
    with roost.start("run", "-q", "--", *words, stdin=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.wait(30) == status
        process.stdin.close()
    assert roost.json("runs", "list")["runs"][0]["exit_status"] == status


def test_an_interrupt_from_the_terminal_reaches_the_command_once(roost, prefix):
    text = (
        "import signal, sys, time\nseen = []\nsignal.signal(2, lambda *_: seen.append(1))\nprint('up', flush=True)\n"
        "while not seen: time.sleep(0.01)\ntime.sleep(0.2)\nprint('seen', len(seen), flush=True)"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(roost.work)
        os.execve(roost.bin / "roost", ["roost", "run", "-q", "--", "python", "-c", text], roost.environ)
    shown = b""
    while b"up" not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    while b"seen" not in shown:
        shown += os.read(terminal, 1024)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert b"seen 1" in shown


def test_a_secret_is_recorded_by_name_only(roost, prefix):
    words = ["python", "-c", "import os; print(os.environ['TOKEN'])"]
    done = roost("run", "-q", "--secret", "TOKEN", "--", *words, environ={"TOKEN": "s3cr3t-value"})
    assert done.stdout == "s3cr3t-value\n"
    detached = roost("run", "-q", "--detach", "--secret", "TOKEN", "--", *words, environ={"TOKEN": "s3cr3t-value"})
    run = detached.stdout.strip()
    assert roost("runs", "logs", "-f", run).stdout == "s3cr3t-value\n"
    shown = roost.json("runs", "show", run)
    assert shown["secrets"] == ["TOKEN"]
    assert [path for path in find_holding("s3cr3t-value", roost.root) if path.name != "output"] == []


def test_a_missing_secret_is_refused_before_anything_is_asked(roost):
    done = roost("run", "--secret", "NO_SUCH", "--", "true")
    assert done.returncode == 125
    assert done.stderr.startswith("roost: --secret NO_SUCH: ")


def test_a_detached_run_has_its_output_kept(roost, prefix):
    run = roost("run", "-q", "--detach", "--", "python", "-c", PREFIX).stdout.strip()
    assert roost("runs", "logs", "-f", run).stdout.strip() == prefix
    assert roost.json("runs", "show", run)["detached"] is True


def test_a_run_is_run_again_in_its_own_generation(roost, prefix):
    run = roost("run", "-q", "--detach", "--", "python", "-c", PREFIX).stdout.strip()
    roost("runs", "logs", "-f", run)
    again = roost("runs", "rerun", "--detach", run).stdout.strip()
    assert again != run
    assert roost("runs", "logs", "-f", again).stdout.strip() == prefix
    first, second = (roost.json("runs", "show", each) for each in (run, again))
    assert first["lock_digest"] == second["lock_digest"]
    assert (first["rerun_of"], second["rerun_of"]) == (None, run)


@pytest.mark.parametrize(("family", "make"), [("runs", ("run", "--", "true")), ("builds", ("build", "--rebuild"))])
def test_a_long_history_comes_in_pages(roost, prefix, family, make):
    for _ in range(2):
        roost(*make)
    whole = [row["id"] for row in roost.json(family, "list")[family]]
    first = roost(family, "list", "--limit", "1")
    assert whole[0] in first.stdout
    assert whole[1] not in first.stdout
    assert f"roost {family} list --before {whole[0]}" in first.stderr
    rest = [row["id"] for row in roost.json(family, "list", "--before", whole[0])[family]]
    assert rest == whole[1:]
    assert "older" not in roost(family, "list").stderr
    assert roost(family, "list", "--limit", "0").returncode == 2


def test_a_detached_run_is_cancelled(roost, prefix):
    run = roost(
        "run", "-q", "--detach", "--", "python", "-c", "print('up', flush=True); input(); import time; time.sleep(99)"
    )
    run = run.stdout.strip()
    words = ["python", "-c", "import signal; print('up', flush=True); signal.pause()"]
    run = roost("run", "-q", "--detach", "--", *words).stdout.strip()
    with roost.start("runs", "logs", "-f", run) as logs:
        assert logs.stdout.readline() == "up\n"
        assert roost("runs", "cancel", run).returncode == 0
        logs.wait(30)
    assert roost.json("runs", "show", run)["state"] == "cancelled"


def test_the_shell_stays_in_the_environment_whatever_its_start_files_do(roost, prefix):
    (roost.base / ".bashrc").write_text("export PATH=/usr/bin:/bin; export VIRTUAL_ENV=elsewhere; PS1='mine> '\n")
    script = 'python -c "import sys; print(sys.prefix)"\necho "$VIRTUAL_ENV $PS1"\nexit 5\n'
    done = roost("shell", "-q", input=script, environ={"SHELL": "/bin/bash", "TMPDIR": str(roost.base)})
    assert done.stdout.splitlines() == [prefix, f"{prefix} (work) mine> "]
    assert done.returncode == 5
    assert list(roost.base.glob("roost-*")) == []


def test_plan_fits_the_wire_and_is_told_to_people(roost, prefix):
    plan = msgspec.convert(roost.json("plan", "-t", "local", "-t", "auto"), PlanResponse)
    assert [each.action for each in plan.plans] == ["reuse-prefix", "reuse-prefix"]
    shown = roost("plan")
    assert f"reuse-prefix {prefix}" in shown.stdout
    assert plan.definition_digest in shown.stdout
    assert shown.stderr == "roost: using requirements.txt (requirements)\n"


def test_a_plan_of_something_new_names_the_nearest_and_changes_nothing(roost, prefix):
    (roost.work / "near.txt").write_text("six\n")
    shown = roost("plan", "-f", "near.txt").stdout
    assert "build-prefix" in shown
    assert re.search(r"near +sha256:[0-9a-f]{64}.*which differs in\n +pip", shown)
    assert len(roost.json("cache", "df")["artifacts"]) == 1


def test_digest_and_its_canonical_form(roost, prefix):
    answer = roost.json("digest")
    assert roost("digest").stdout.splitlines()[0] == answer["definition_digest"]
    text = roost("digest", "--canonical").stdout.rstrip("\n")
    from hashlib import sha256

    assert "sha256:" + sha256(text.encode()).hexdigest() == answer["definition_digest"]


def test_lock_is_written_and_printed(roost, prefix):
    assert roost("lock").stdout.startswith("version: 1")
    done = roost("lock", "-o", "conda-lock.yml")
    assert (roost.work / "conda-lock.yml").read_text().startswith("version: 1")
    assert "wrote conda-lock.yml" in done.stderr
    (roost.work / "conda-lock.yml").unlink()
    assert roost("lock", "-o", "no/such/folder.yml").returncode == 2


def test_builds_are_listed_shown_and_logged(roost, prefix):
    build = roost.json("builds", "list")["builds"][-1]
    assert build["id"] in roost("builds", "list").stdout
    assert roost.json("builds", "show", build["id"])["build"]["state"] == "succeeded"
    assert "state" in roost("builds", "show", build["id"]).stdout
    assert "-- bytecode finished" in roost("builds", "logs", build["id"]).stdout


def test_events_up_to_now(roost, prefix):
    lines = roost("events", "--json").stdout.splitlines()
    numbers = [json.loads(line)["seq"] for line in lines]
    assert numbers == sorted(numbers)
    assert numbers[0] == 1
    assert roost("events", "--since", str(numbers[-1])).stdout == ""


def test_following_events_ends_with_an_interrupt(roost, prefix):
    with roost.start("events", "-f") as process:
        assert process.stdout.readline().startswith("1 ")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_tables_of_nothing_and_of_something(roost, prefix):
    assert roost("env", "list").stdout.startswith("NAME")
    rows = roost("cache", "df").stdout.splitlines()
    assert rows[0].split()[:3] == ["KIND", "ID", "SIZE"]
    assert rows[1].startswith("prefix")


def test_doctor_and_the_daemons_log(roost, prefix):
    done = roost("doctor")
    assert done.returncode == 0, done.stdout
    assert "ok  root-writable" in done.stdout
    assert {"checks", "settings"} <= set(roost.json("doctor"))
    assert "Serving on" in roost("daemon", "logs").stdout


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["build", "-f", "broken.txt"], 3, "requirement-invalid"),
        (["runs", "show", "nosuch"], 7, "not-found"),
        (["builds", "show", "nosuch"], 7, None),
        (["plan", "-e", "nosuch"], 7, "environment-unknown"),
        (["plan", "-e", "a", "-f", "b"], 2, "usage"),
        (["nosuch"], 2, "usage"),
        (["run", "--var", "x", "--", "true"], 125, "usage"),
        (["run"], 125, "usage"),
        (["exec", "-f", "broken.txt", "--", "true"], 125, None),
        (["shell", "--nosuch"], 125, "usage"),
    ],
)
def test_errors_are_two_lines_or_the_wires_body(roost, prefix, words, status, code):
    (roost.work / "broken.txt").write_text("six\nsix ==\n")
    done = roost(*words)
    assert (done.returncode, done.stdout) == (status, "")
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("roost: ")
    assert lines[1].startswith("  ")
    where = words.index("--") if "--" in words else len(words)
    body = json.loads(roost(*words[:where], "--json", *words[where:]).stdout)
    assert msgspec.convert(body, ErrorBody).hint
    assert code is None or body["code"] == code


def test_a_broken_file_is_named_with_line_and_column(roost, prefix):
    (roost.work / "broken.txt").write_text("six\nsix ==\n")
    assert roost("build", "-f", "broken.txt").stderr.startswith("roost: broken.txt:2:")


def test_a_folder_stands_for_its_environment_file(roost, prefix):
    below = roost.work / "below"
    below.mkdir()
    (below / "requirements.txt").write_text((roost.work / "requirements.txt").read_text())
    for _ in range(2):
        done = roost("exec", "-f", "below", "--", "python", "-c", PREFIX)
        assert done.stdout.strip() == prefix
    (below / "environment.yml").write_text("dependencies: [python]\n")
    assert roost.json("digest", "-f", "below")["source"]["path"] == str(below / "environment.yml")
    (below / "environment.yaml").write_text("dependencies: [python]\n")
    assert roost("digest", "-f", "below").returncode == 3
    done = roost("digest", "-f", "/dev")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        3, "roost: /dev contains no environment file, no Dockerfile and no azureml_environment.json",
    )  # fmt: skip
    done = roost("digest", "-f", "/dev/zero")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        3, "roost: /dev/zero can't be read: it is not a regular file",
    )  # fmt: skip


def test_a_lock_for_no_known_platform_is_refused(roost, prefix):
    done = roost("lock", "--platform", "foo-1")
    assert done.returncode == 3
    assert "'foo-1' is not a supported platform" in done.stderr


def test_progress_is_plain_elsewhere_and_drawn_on_a_terminal(roost, prefix):
    plain = roost("build", "--rebuild").stderr
    assert "\033" not in plain
    assert "\r" not in plain
    assert "roost: done locking pip packages (" in plain
    drawn = roost.on_terminal("build", "--rebuild")
    assert "\033[K" in drawn
    assert "\033[32mdone\033[0m" in drawn
    assert "\033[32m" not in roost.on_terminal("build", "--rebuild", environ={"NO_COLOR": "1"})
    assert roost("build", "--rebuild", "-q").stderr == ""


def test_a_file_edited_between_two_starts_is_noticed(roost, prefix):
    folder = roost.work / "edited"
    folder.mkdir()
    (folder / "requirements.txt").write_text("# nothing\n")
    words = ["exec", "-q", "--", "python", "-c", PREFIX]
    deadline = time.monotonic() + 10
    while not any("/edited/" in str(path) for path in roost.plans()) and time.monotonic() < deadline:
        assert roost(*words, cwd=folder).stdout.strip() == prefix
    assert any("/edited/" in str(path) for path in roost.plans())
    (folder / "requirements.txt").write_text("this is no requirement\n")
    assert roost(*words, cwd=folder).returncode == 125


def test_interrupting_the_only_waiting_client_cancels_the_build(roost, prefix):
    """The index never answers: a socket that accepts and says nothing."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        (roost.work / "hanging.txt").write_text(f"--index-url {url}\nnosuchpackage\n")
        with roost.start("build", "-f", "hanging.txt") as process:
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                assert process.wait(30) == 130
        with roost.start("events", "-f", "--json") as events:
            states = (json.loads(line) for line in events.stdout)
            ended = next(e for e in states if e["kind"].startswith("build") and "cancelled" in json.dumps(e))
            events.send_signal(signal.SIGINT)
        assert ended["fields"]


def test_a_run_can_be_completed_soon_after_it_has_ended(roost, prefix):
    words = ("run", "-q", "--experiment", "first", "--", "python", "-c", "")
    assert roost(*words).returncode == 0
    run = roost.json("runs", "list")["runs"][0]
    values = roost.root / "completions" / "1"
    expected = f"{run['id']}\tsucceeded python -c ''\n"
    for name, wanted in (("runs", expected), ("experiments", "first\n")):
        while not (values / name).exists() or wanted not in (values / name).read_text():
            time.sleep(0.02)
    script = roost("completion", "bash").stdout
    line = "roost runs show r"
    check = f'{script}\nCOMP_LINE="{line}"; COMP_POINT={len(line)}; COMP_WORDS=({line}); COMP_CWORD=3; _roost_complete'
    done = subprocess.run(
        ["bash", "-c", f'{check}; echo "${{COMPREPLY[@]}}"'],
        env={"ROOST_HOME": str(roost.root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run["id"] in done.stdout.split()


def test_the_lease_is_held_while_the_command_runs(roost, prefix):
    words = ["exec", "-q", "--", "python", "-c", "print('up', flush=True); input()"]
    for program in ("roost", "roost-client"):
        with roost.start(*words, program=program, stdin=subprocess.PIPE) as process:
            assert process.stdout.readline() == "up\n"
            held = roost.json("cache", "df")["artifacts"][0]["protected_by"]
            process.communicate("\n", timeout=30)
        assert f"process:{process.pid}" in held
    assert os.path.exists(prefix)
