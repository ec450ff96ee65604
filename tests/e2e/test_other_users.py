"""Users without a home folder or an entry in passwd(5), and roots that belong to somebody else: really as other uids.

An account without an entry is what `docker run -u 12345` and some cron daemons give. Only root can become one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.other_account import CACHE, mounts
from tests.support.pip_index import PipIndex, sdist_bytes
from tests.support.roost_process import ROOST

UID = 12345
OTHER = 12346
INTERPRETER = os.path.join(os.path.dirname(ROOST), "python")


def can_become() -> bool:
    probe = ["unshare", "--mount", "--propagation", "private", "setpriv", "--reuid=1", "true"]
    return (
        os.geteuid() == 0 and shutil.which("setpriv") is not None and subprocess.run(probe, check=False).returncode == 0
    )


pytestmark = pytest.mark.skipif(sys.platform != "linux" or not can_become(), reason="only root can become another uid")


class Place:
    """A shared folder that every uid can write in, and commands as any uid with few variables."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="u", dir="/tmp"))
        self.folder.chmod(0o1777)
        self.roots: list[tuple[int, str]] = []

    def run(self, uid: int, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command as ``uid`` in the folder. The interpreter stays reachable if it lies in root's home."""
        script = " && ".join([*mounts([Path(sys.base_prefix), CACHE]), 'exec "$@"'])
        become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--no-new-privs"]
        names = [f"{name}={value}" for name, value in {"PATH": "/usr/bin:/bin", **variables}.items()]
        words = [*become, "env", "-i", *names, *command]
        if variables.get("ROOST_HOME"):
            self.roots.append((uid, variables["ROOST_HOME"]))
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def close(self) -> None:
        for uid, root in dict.fromkeys(self.roots):
            self.run(uid, ROOST, "daemon", "stop", ROOST_HOME=root)
        subprocess.run(["chmod", "-R", "u+w", str(self.folder)], check=False)
        shutil.rmtree(self.folder)


@pytest.fixture
def place() -> Iterator[Place]:
    with contextlib.closing(Place()) as made:
        yield made


@pytest.mark.parametrize("home", [None, "", "rel", "/nonexistent"])
def test_without_a_home_folder_a_clear_error_and_nothing_created(place: Place, home: str | None) -> None:
    variables = {} if home is None else {"HOME": home}
    commands = [] if home == "/nonexistent" else [["daemon", "start"], ["daemon", "status"]]
    for command in commands:
        done = place.run(UID, ROOST, *command, **variables)
        assert (done.returncode, done.stdout) == (5, ""), done
        assert "home folder" in done.stderr or "not an absolute path" in done.stderr
        assert "Set ROOST_HOME" in done.stderr
        assert "Traceback" not in done.stderr
    launched = place.run(UID, ROOST, "exec", "--", "true", **variables)
    assert launched.returncode == 125
    assert "Set ROOST_HOME" in launched.stderr
    if home != "/nonexistent":
        script = place.run(UID, INTERPRETER, "-I", "-c", "import roost.client; roost.client.Workspace()", **variables)
        assert script.returncode == 1
        assert "DaemonUnreachableError" in script.stderr
        assert "Set ROOST_HOME" in script.stderr
    assert list(place.folder.iterdir()) == []


def test_with_roost_home_everything_works_without_a_home_folder(
    place: Place, pip_index: PipIndex, channel_url: str
) -> None:
    pip_index.wheel("greet", "1.0")
    pip_index.add("built", sdist_bytes("built", "1.0", str(place.folder / "trace")))
    config = place.folder / "config.toml"
    config.write_text(f'[pip]\nindex_url = "{pip_index.url}"\n[conda.mirrors]\n"conda-forge" = ["{channel_url}"]\n')
    (place.folder / "requirements.txt").write_text("greet\nbuilt\n")
    (place.folder / "environment.yml").write_text("dependencies: [post-linked]\n")
    known = {path.name for path in place.folder.iterdir()} | {"root", "trace"}
    root = str(place.folder / "root")
    variables = {"ROOST_HOME": root, "ROOST_CONFIG": str(config)}

    def ok(*words: str) -> str:
        done = place.run(UID, *words, **variables)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout

    code = "import greet, built; print(greet.value)"
    assert ok(ROOST, "run", "-f", "requirements.txt", "python", "-c", code) == "1.0\n"
    ok(ROOST, "exec", "-f", "environment.yml", "--", "true")
    for _ in range(2):  # by the daemon, then by a launch plan
        assert ok(ROOST, "exec", "-f", "requirements.txt", "--", "python", "-c", code) == "1.0\n"
    assert list((Path(root) / "launch").rglob("requirements.txt")) != []
    api = "from roost.client import Workspace, Environment\nprint(len(Environment.list(Workspace())) > 0)"
    assert ok(INTERPRETER, "-I", "-c", api) == "True\n"
    ok(ROOST, "doctor")
    assert {path.name for path in place.folder.iterdir()} == known
    assert list(Path(root).rglob("~*")) == []


def home_of_a_user(place: Place) -> Path:
    home = place.folder / "home"
    home.mkdir(mode=0o755)
    os.chown(home, OTHER, OTHER)
    return home


COMMANDS = (["exec", "--", "true"], ["run", "--detach", "true"], ["daemon", "start"])


def test_a_command_of_root_with_the_home_of_a_user_leaves_nothing(place: Place) -> None:
    home = home_of_a_user(place)
    for command in COMMANDS:
        done = place.run(0, ROOST, *command, HOME=str(home))
        assert done.returncode in (5, 125)
        assert f"{home} belongs to uid {OTHER}" in done.stderr
        assert "sudo -H" in done.stderr
    assert list(home.iterdir()) == []


def test_a_command_of_another_user_changes_nothing_in_a_root(place: Place, pip_index: PipIndex) -> None:
    home = home_of_a_user(place)
    root = home / ".local/share/roost"
    pip_index.wheel("greet", "1.0")
    (place.folder / "config.toml").write_text(f'[pip]\nindex_url = "{pip_index.url}"\n')
    (place.folder / "requirements.txt").write_text("greet\n")
    theirs = {"HOME": str(home), "ROOST_CONFIG": str(place.folder / "config.toml")}
    exec_ = ("exec", "-f", "requirements.txt", "--", "python", "-c", "import greet, os; print(os.getuid())")
    for _ in range(2):
        assert place.run(OTHER, ROOST, *exec_, **theirs).stdout == f"{OTHER}\n"
    assert list((root / "launch").rglob("requirements.txt")) != []

    # With a daemon of the user, and a launch plan that would fit
    for uid in (0, UID):
        done = place.run(uid, ROOST, *exec_, **theirs)
        assert (done.returncode, done.stdout) == (125, ""), done
        assert f"uid {OTHER}" in done.stderr
    assert place.run(OTHER, ROOST, "daemon", "stop", **theirs).returncode == 0

    # Without one, with folders missing and without the log
    shutil.rmtree(root / "snapshots")
    (root / "lock").unlink()
    before = sorted(str(path) for path in home.rglob("*"))
    for uid, command in [(0, command) for command in COMMANDS] + [(UID, COMMANDS[0])]:
        done = place.run(uid, ROOST, *command, **theirs)
        assert done.returncode in (5, 125)
        assert f"uid {OTHER}" in done.stderr or "no permission" in done.stderr
    assert sorted(str(path) for path in home.rglob("*")) == before
    assert {path.lstat().st_uid for path in home.rglob("*")} == {OTHER}
    assert place.run(OTHER, ROOST, *exec_, **theirs).stdout == f"{OTHER}\n"
    assert place.run(OTHER, ROOST, "daemon", "stop", **theirs).returncode == 0


def test_the_socket_is_not_made_in_a_folder_of_another_user(place: Place) -> None:
    home = home_of_a_user(place)
    root = place.folder / "root"
    done = place.run(0, ROOST, "daemon", "start", ROOST_HOME=str(root), ROOST_SOCKET=str(home / "run/roost.sock"))
    assert done.returncode == 5
    assert f"{home} belongs to uid {OTHER}" in done.stderr
    assert list(home.iterdir()) == []
    assert not root.exists()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_root_that_others_can_write_is_refused_wherever_its_socket_is(place: Place, elsewhere: bool) -> None:
    root = place.folder / "root"
    root.mkdir()
    root.chmod(0o777)
    sockets = place.folder / "sockets"
    sockets.mkdir(mode=0o700)
    variables = {"ROOST_SOCKET": str(sockets / "s")} if elsewhere else {}
    done = place.run(0, ROOST, "daemon", "start", ROOST_HOME=str(root), **variables)
    assert done.returncode == 5
    assert f"Every user can write in {root} (mode 0777)" in done.stderr
    assert f"chmod o-w {root}" in done.stderr or f"chmod go-w {root}" in done.stderr
    assert list(root.iterdir()) == []
    assert list(sockets.iterdir()) == []


FAKE_DAEMON = """
import json, os, socket, sys
path = sys.argv[1]
os.makedirs(os.path.dirname(path), exist_ok=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
os.chmod(path, 0o777)
listener.listen()
print("listening", flush=True)
launch = {"lease": None, "python": "/bin/sh", "prefix": "/x", "changes": [], "variables": {}}
while True:
    connection, _ = listener.accept()
    body = json.dumps({"launch": launch, "protocol": 1, "version": "0"}).encode()
    try:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    except OSError:
        pass
    connection.close()
"""


def test_nothing_is_run_that_the_daemon_of_another_user_answers(place: Place) -> None:
    home = home_of_a_user(place)
    path = home / ".local/share/roost/roost.sock"
    become = ["setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups"]
    command = [*become, "/usr/bin/python3", "-c", FAKE_DAEMON, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as fake:
        try:
            assert fake.stdout is not None
            assert fake.stdout.readline() == "listening\n"
            done = place.run(0, ROOST, "exec", "--", "python", "-c", "echo obeyed", HOME=str(home))
            assert (done.returncode, done.stdout) == (125, "")
            assert f"The daemon at {path} belongs to uid {OTHER}" in done.stderr
            again = place.run(0, ROOST, "runs", "list", HOME=str(home))
            assert again.returncode == 5
            # The same answer is obeyed by its own user: it is the owner that is looked at.
            own = place.run(OTHER, ROOST, "exec", "--", "python", "-c", "echo obeyed", HOME=str(home))
            assert own.stdout == "obeyed\n"
        finally:
            fake.kill()
