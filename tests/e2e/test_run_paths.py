"""`roost run` by its hot path and by the whole command line: the same command and the same record."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.installed import Installed

PATHS = {"hot": ("run",), "ordinary": ("run", "--ignore-image")}
"""The same run by both: only the command line knows the option, which means nothing for this environment."""
STATUS = {signal.SIGHUP: 41, signal.SIGTERM: 42, signal.SIGINT: 43, signal.SIGQUIT: 44}
WAITS = f"""\
import os, signal, time
for number, status in { ({number.value: status for number, status in STATUS.items()})!r}.items():
    if signal.getsignal(number) != signal.SIG_IGN:
        signal.signal(number, lambda *_, status=status: os._exit(status))
print("ready", os.getpid(), os.getppid(), flush=True)
while not os.path.exists("gone"):
    time.sleep(0.02)
"""
"""A script that says who it and its supervisor are, and ends at a signal with a status of its own."""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("roost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


@pytest.fixture(scope="module")
def roost() -> Iterator[Installed]:
    """One daemon with an environment that is ready."""
    made = Installed(forks_daemon=True)
    try:
        assert made("build").returncode == 0
        (made.work / "waits.py").write_text(WAITS)
        yield made
    finally:
        (made.work / "gone").touch()
        made.remove()


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return PATHS[request.param]


def ask(roost: Installed, route: str) -> Any:
    """What the daemon answers at this very moment: no process has to start first."""
    with contextlib.closing(UnixConnection(str(roost.root / "roost.sock"))) as connection:
        connection.request("GET", route)
        return json.loads(connection.getresponse().read())


def latest(roost: Installed) -> dict[str, Any]:
    found: dict[str, Any] = ask(roost, "/v1/runs?limit=1")["runs"][0]
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def process_state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def ready(line: str) -> tuple[int, int]:
    """The command's pid and its supervisor's, from what ``WAITS`` prints."""
    word, command, supervisor = line.split()
    assert word == "ready"
    return int(command), int(supervisor)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["true"], 0, ""),
        (["sh", "-c", "exit 1"], 1, ""),
        (["sh", "-c", "exit 125"], 125, ""),
        (["sh", "-c", "exit 255"], 255, ""),
        (["sh", "-c", "kill -KILL $$"], 137, ""),
        (["sh", "-c", "kill -SEGV $$"], 139, ""),
        (["no-such-command"], 127, "roost: no-such-command: no such command in the environment or on PATH\n"),
        (["no-such.py"], 127, "roost: no-such.py: no such file, and no such command in the environment or on PATH\n"),
        (["./requirements.txt"], 126, "roost: ./requirements.txt: Permission denied\n"),
        (["./no/such"], 127, "roost: ./no/such: No such file or directory\n"),
    ],
)
def test_the_status_is_a_shells_and_is_recorded_at_once(
    roost: Installed, path: tuple[str, ...], words: list[str], status: int, message: str
) -> None:
    done = roost(*path, "-q", "--", *words)
    run = latest(roost)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(message) if message else done.stderr == ""
    assert (run["command"], run["state"], run["exit_status"]) == (words, "failed" if status else "succeeded", status)
    assert "" < run["started"] <= run["ended"]
    assert ask(roost, f"/v1/runs/{run['id']}") == run


def test_the_command_gets_the_same_from_both(roost: Installed) -> None:
    show = "cat /proc/self/environ; grep 'Sig[BIC]' /proc/self/status; ls -l /proc/self/fd | wc -l; cat"
    outputs = {}
    for name, path in PATHS.items():
        options = ("--experiment", "e", "--var", "COLOUR=a=b", "--var", "EMPTY=")
        environ = {"ROOST_RUN_ID": "outer", "ODD.NAME": "x", "LC_CTYPE": "C"}
        done = roost(*path, *options, "--", "sh", "-c", show, input="from the pipe", environ=environ)
        run = latest(roost)
        assert (run["experiment"], run["variables"]) == ("e", {"COLOUR": "a=b", "EMPTY": ""})
        outputs[name] = done.stdout.replace(run["id"], "ID")
    assert outputs["hot"] == outputs["ordinary"]
    assert outputs["hot"].endswith("from the pipe")
    for entry in ("ROOST_RUN_ID=ID", "ROOST_ENVIRONMENT=work:1", f"ROOST_LOCK={run['lock_digest']}", "COLOUR=a=b"):
        assert f"{entry}\0" in outputs["hot"]


def test_a_word_that_is_not_utf8_arrives_as_it_is(roost: Installed, path: tuple[str, ...]) -> None:
    script = "import os, sys; print(os.fsencode(sys.argv[1]).hex())"
    words = [os.fsencode(word) for word in (roost.bin / "roost", *path, "--", "python", "-c", script)]
    done = subprocess.run([*words, b"\xff\xc3\xa4"], cwd=roost.work, env=roost.environ, capture_output=True, check=True)
    assert done.stdout == b"ffc3a4\n"


def test_closed_streams_stay_out_of_the_way(roost: Installed, path: tuple[str, ...]) -> None:
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", roost.bin / "roost", *path, "--", "sh", "-c", "exit 3"]
    assert subprocess.run(shell, cwd=roost.work, env=roost.environ, check=False).returncode == 3
    assert latest(roost)["exit_status"] == 3


@pytest.mark.parametrize(
    ("number", "status"), [(each, STATUS[each]) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
)
def test_signals_to_the_supervisor_reach_the_command(
    roost: Installed, path: tuple[str, ...], number: int, status: int
) -> None:
    with roost.start(*path, "--", "waits.py", start_new_session=True) as client:
        command, supervisor = ready(client.stdout.readline())
        assert supervisor == client.pid
        client.send_signal(number)
        assert client.wait(60) == status
    assert (latest(roost)["state"], latest(roost)["exit_status"]) == ("failed", status)
    assert not Path(f"/proc/{command}").exists()


def test_what_nohup_ignores_stays_ignored(roost: Installed, path: tuple[str, ...]) -> None:
    words = ["nohup", "setsid", "-w", roost.bin / "roost", *path, "--", "waits.py"]
    with subprocess.Popen(
        words, cwd=roost.work, env=roost.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as client:
        assert client.stdout is not None
        command, supervisor = ready(client.stdout.readline())
        for pid in (supervisor, command):
            os.kill(pid, signal.SIGHUP)
        os.kill(supervisor, signal.SIGTERM)
        assert client.wait(60) == STATUS[signal.SIGTERM]


@pytest.mark.parametrize(("key", "status"), [(b"\x03", STATUS[signal.SIGINT]), (b"\x1c", STATUS[signal.SIGQUIT])])
def test_keys_of_the_terminal_end_the_command_and_its_status_counts(
    roost: Installed, path: tuple[str, ...], key: bytes, status: int
) -> None:
    with Terminal(roost, str(roost.bin / "roost"), *path, "-q", "-t", "local", "--", "waits.py") as terminal:
        terminal.read_until(b"ready")
        os.write(terminal.master, key)
        assert terminal.wait() == status
    assert latest(roost)["exit_status"] == status


@pytest.mark.skipif(shutil.which("bash") is None, reason="job control of a real shell")
def test_a_run_is_stopped_and_continued_as_a_job(roost: Installed, path: tuple[str, ...]) -> None:
    with Terminal(roost, "bash", "--norc", "--noprofile", "-i") as terminal:
        terminal.type(f"roost {' '.join(path)} -q -t local -- waits.py\n")
        _, _, line = terminal.read_until(b"ready ", b"\n").rpartition(b"ready ")
        pids = [int(word) for word in line.split()]
        os.write(terminal.master, b"\x1a")
        wait_for(lambda: [process_state(pid) for pid in pids] == ["T", "T"])
        wait_for(lambda: latest(roost)["state"] == "running")
        terminal.type("fg\n")
        wait_for(lambda: "T" not in [process_state(pid) for pid in pids])
        os.write(terminal.master, b"\x03")
        wait_for(lambda: latest(roost)["state"] == "failed")
        terminal.type("echo status=$?; exit\n")
        terminal.read_until(b"status=%d" % STATUS[signal.SIGINT])
        terminal.wait()


class Terminal:
    """A process on a terminal of its own, in its foreground."""

    def __init__(self, roost: Installed, *words: str) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(roost.work)
            os.execvpe(words[0], list(words), {**roost.environ, "TERM": "xterm"})

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.master)
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read_until(self, *marks: bytes) -> bytes:
        """What is shown until all ``marks`` have been, each after the one before."""
        shown, place = b"", 0
        for mark in marks:
            while (found := shown.find(mark, place)) < 0:
                shown += os.read(self.master, 65536)
            place = found + len(mark)
        return shown

    def wait(self) -> int:
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        return status


def test_a_run_goes_on_without_its_supervisor_and_is_lost_at_its_end(roost: Installed, path: tuple[str, ...]) -> None:
    with roost.start(*path, "--", "waits.py") as client:
        command, _ = ready(client.stdout.readline())
        wait_for(lambda: latest(roost)["state"] == "running")
        client.kill()
        client.wait()
        run = latest(roost)
        assert (run["state"], run["ended"]) == ("running", None)
        os.kill(command, signal.SIGKILL)
        wait_for(lambda: latest(roost)["state"] != "running")
    assert (latest(roost)["id"], latest(roost)["state"]) == (run["id"], "lost")


def patched(roost: Installed, code: str, *words: str) -> subprocess.Popen[str]:
    """The client, after ``code`` has put something in the place of what the supervisor calls."""
    script = f"import os, sys\n{code}\nsys.argv[0] = 'roost'\nfrom roost.client.main import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-I", "-X", "utf8", "-c", script, *words],
        cwd=roost.work,
        env=roost.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


KILLED_AFTER_SPAWN = """
spawn = os.posix_spawn
def killed(*words, **options):
    spawn(*words, **options)
    os.kill(os.getpid(), 9)
os.posix_spawn = killed
"""
AROUND_RENAME = """
replace = os.replace
def replaced(source, target):
    if target.endswith("/exit"):
        {before}
    replace(source, target)
    if target.endswith("/exit"):
        {after}
os.replace = replaced
"""
KILL = "os.kill(os.getpid(), 9)"


LEAVES = """
import socket, sys
with socket.socket(socket.AF_UNIX) as client:
    client.connect(sys.argv[1])
    client.sendall(b"POST /v1/runs HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(sys.argv[2]))
    client.sendall(sys.argv[2].encode())
"""


def test_a_client_that_leaves_before_the_answer_leaves_a_lost_run(roost: Installed) -> None:
    assert roost("run", "-q", "--", "true").returncode == 0
    before = latest(roost)["id"]
    body = json.dumps({"what": {"cwd": str(roost.work)}, "command": ["true"]})
    subprocess.run([sys.executable, "-c", LEAVES, str(roost.root / "roost.sock"), body], check=True)
    wait_for(lambda: (run := latest(roost))["id"] != before and run["state"] == "lost")


def test_a_supervisor_that_is_killed_before_it_reports_leaves_a_run_that_runs(
    roost: Installed, path: tuple[str, ...]
) -> None:
    with patched(roost, KILLED_AFTER_SPAWN, *path, "--", "cat") as client:
        assert client.wait(60) == -signal.SIGKILL
        wait_for(lambda: latest(roost)["state"] == "running")
        assert client.stdin is not None
        client.stdin.close()  # which ends the command
        wait_for(lambda: latest(roost)["state"] == "lost")


def test_an_exit_file_that_never_came_is_a_lost_run(roost: Installed, path: tuple[str, ...]) -> None:
    before = latest(roost)["id"]
    with patched(roost, AROUND_RENAME.format(before=KILL, after="pass"), *path, "--", "true") as client:
        assert client.wait(60) == -signal.SIGKILL
    wait_for(lambda: latest(roost)["state"] == "lost")
    assert latest(roost)["id"] != before


def test_an_exit_file_is_the_end_although_nobody_reported_it(roost: Installed, path: tuple[str, ...]) -> None:
    with patched(roost, AROUND_RENAME.format(before="pass", after=KILL), *path, "--", "sh", "-c", "exit 5") as client:
        assert client.wait(60) == -signal.SIGKILL
    assert (latest(roost)["state"], latest(roost)["exit_status"]) == ("failed", 5)


def test_an_end_is_seen_before_its_report_arrives(roost: Installed, path: tuple[str, ...]) -> None:
    pause = "print('renamed', flush=True); sys.stdin.readline()"
    with patched(roost, AROUND_RENAME.format(before="pass", after=pause), *path, "--", "true") as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "renamed\n"
        run = latest(roost)
        assert (run["state"], ask(roost, f"/v1/runs/{run['id']}")["state"]) == ("succeeded", "succeeded")
        assert client.poll() is None
        assert client.communicate("\n", timeout=60) == ("", None)
        assert client.returncode == 0
    assert latest(roost) == run


REPORTS = """
from roost.client.launch import hot, supervise
send, init = hot.send, supervise.Supervisor.__init__
def sent(method, target, body, **options):
    print(method, body.partition(",")[0], flush=True)
    return send(method, target, body, **options)
def unwatched(self, folder, spec):
    init(self, folder, {{**spec, "watched": spec["watched"] and {watched}}})
hot.send, supervise.Supervisor.__init__ = sent, unwatched
"""


@pytest.mark.parametrize(("watched", "reports"), [(True, []), (False, ["running", "failed"])])
def test_only_a_client_that_is_not_watched_reports(
    roost: Installed, path: tuple[str, ...], watched: bool, reports: list[str]
) -> None:
    with patched(roost, REPORTS.format(watched=watched), *path, "--", "sh", "-c", "exit 6") as client:
        shown = client.communicate(timeout=60)[0].splitlines()
    assert [line for line in shown if line.startswith("PATCH")] == [f'PATCH {{"state":"{each}"' for each in reports]
    run = latest(roost)
    assert (run["state"], run["exit_status"]) == ("failed", 6)
    assert "" < run["started"] <= run["ended"]


def test_nobody_waits_for_a_daemon_that_is_suspended_at_the_end(roost: Installed, path: tuple[str, ...]) -> None:
    daemon = ask(roost, "/v1/version")["pid"]
    with roost.start(*path, "--", "sh", "-c", "echo ready; read -r line", stdin=subprocess.PIPE) as client:
        assert client.stdout.readline() == "ready\n"
        run = latest(roost)
        os.kill(daemon, signal.SIGSTOP)
        try:
            client.communicate("\n", timeout=60)
            assert json.loads((roost.root / "runs" / run["id"] / "exit").read_text())["exit_status"] == 0
        finally:
            os.kill(daemon, signal.SIGCONT)
    assert client.returncode == 0
    assert (latest(roost)["id"], latest(roost)["state"]) == (run["id"], "succeeded")


@pytest.mark.unprivileged
@pytest.mark.skipif(os.geteuid() == 0, reason="root passes all modes")
def test_folders_that_cannot_be_entered_are_named(roost: Installed, path: tuple[str, ...]) -> None:
    closed = roost.work / "closed"
    closed.mkdir(exist_ok=True)
    (closed / "x.py").write_text("pass\n")
    assert roost(*path, "--", "true", cwd=closed).returncode == 0
    run = latest(roost)["id"]
    closed.chmod(0)
    try:
        done = roost(*path, "-q", "--", "closed/x.py")
        assert (done.returncode, done.stderr.splitlines()[0]) == (126, "roost: closed/x.py: Permission denied")
        again = roost("runs", "rerun", run)
        assert again.returncode == 125
        assert f"the folder {closed} can't be entered: Permission denied" in again.stderr
    finally:
        closed.chmod(0o700)


REQUESTS = """
from roost.client.launch import hot
from roost.client.transport.connection import Daemon
hot_send, ordinary_send = hot.send, Daemon._send_request
def sent(method, target, body, **options):
    print("hot", method, target, flush=True)
    return hot_send(method, target, body, **options)
def sent_later(self, method, target, body):
    print("ordinary", method, target, flush=True)
    return ordinary_send(self, method, target, body)
hot.send, Daemon._send_request = sent, sent_later
"""
ORDINARY = ["ordinary GET /v1/version", "ordinary POST /v1/runs", "ordinary POST /v1/builds", "ordinary POST /v1/runs"]
FIRST = {
    ("run",): ["hot POST /v1/runs", "hot POST /v1/builds", "ordinary POST /v1/runs"],
    ("exec",): ["hot POST /v1/exec", "hot POST /v1/builds", "ordinary POST /v1/exec"],
    PATHS["ordinary"]: ORDINARY,
}
"""What a command in a new environment requests until it begins."""


def write_new(roost: Installed, name: str, number: int) -> None:
    """A definition that nobody had before, which installs nothing."""
    (roost.work / name).mkdir()
    text = f'[project]\nname = "new"\nversion = "1"\nrequires-python = ">=3.{number}"\n'
    (roost.work / name / "pyproject.toml").write_text(text)


@pytest.mark.parametrize("words", FIRST)
def test_a_hot_path_requests_the_build_that_the_command_line_waits_for(
    roost: Installed, words: tuple[str, ...]
) -> None:
    name = "new-" + "".join(words)
    write_new(roost, name, 1 + list(FIRST).index(words))
    before = len(ask(roost, "/v1/builds")["builds"])
    with patched(roost, REQUESTS, *words, "-f", name, "--", "echo", "begun") as client:
        shown = client.communicate(timeout=60)[0].splitlines()
    assert (client.returncode, shown[: shown.index("begun")]) == (0, FIRST[words])
    builds = ask(roost, "/v1/builds")["builds"]
    assert (len(builds), builds[0]["state"]) == (before + 1, "succeeded")


def test_a_build_that_fails_is_requested_once_and_reported_alike(roost: Installed) -> None:
    reports = []
    (roost.work / "failing.txt").write_text("--no-index\nnothing-there\n")
    for path in PATHS.values():
        before = len(ask(roost, "/v1/builds")["builds"])
        done = roost(*path, "-f", "failing.txt", "--", "true")
        reports.append((done.returncode, done.stdout, re.sub(r"\d\.\d s", "", done.stderr)))
        builds = ask(roost, "/v1/builds")["builds"]
        assert (len(builds), builds[0]["state"]) == (before + 1, "failed")
    assert reports[0] == reports[1]
    assert reports[0][0] == 125


def test_a_daemon_of_an_older_version_builds_nothing_before_it_is_replaced(roost: Installed) -> None:
    write_new(roost, "newer", 6)
    newer = REQUESTS + "from roost.client.launch import begun\nbegun.is_older = lambda version: True"
    with patched(roost, newer, "run", "-f", "newer", "--", "echo", "begun") as client:
        shown = client.communicate(timeout=60)[0].splitlines()
    assert (client.returncode, shown[: shown.index("begun")]) == (0, ["hot POST /v1/runs", *ORDINARY])


def test_a_client_that_ends_before_it_waits_leaves_no_build_running(roost: Installed) -> None:
    write_new(roost, "left", 7)
    leaves = "from roost.client.launch import begun\nbegun.BegunBuild = lambda *words: os.kill(os.getpid(), 9)"
    with patched(roost, leaves, "run", "-f", "left", "--", "true") as client:
        assert client.wait(60) == -signal.SIGKILL
    wait_for(lambda: bool(ask(roost, "/v1/version")["idle"]))
    ends = {build["state"] for build in ask(roost, "/v1/builds")["builds"]}
    assert ends <= {"cancelled", "succeeded", "failed"}
