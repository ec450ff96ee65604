"""roost as a user has it: the installed command, a root of its own, and nothing of this process's settings."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.forked_commands import run_forked
from tests.support.forked_daemons import fork_daemon, start_servers
from tests.support.prepared_interpreters import put_index, put_interpreters

from roost.store.disk.file_ops import remove_tree
from roost.store.disk.lease_files import is_held_exclusively

ROOST = os.path.join(sysconfig.get_path("scripts"), "roost")
CLIENT = f"{ROOST}-client"
LAUNCHED = (("exec",), ("run",), ("shell",))
"""Commands that start another one."""
SECONDS = 240
"""How long a command may take."""
STOP_SECONDS = 5
"""How long a test waits at its end for its daemon to follow a signal; a suspended one does not."""


@dataclass
class Roost:
    """One root and a folder to work in. ``variables`` come on top of a small environment.

    With ``forks_daemon``, the first command that may need a daemon finds one (see ``tests.support.forked_daemons``);
    the first one after ``roost daemon stop`` does so again, unless it starts a command: launch plans need no daemon.
    What the client starts by itself, after a crash for example, is such a fork too.
    """

    root: Path
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    forks_daemon: bool = True
    wants_daemon: bool = field(init=False)
    """Whether the next command that may need a daemon finds one."""
    has_stopped: bool = False
    """Whether a command has stopped a daemon of the root."""

    def __post_init__(self) -> None:
        self.wants_daemon = True

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TERM") or k.startswith("SSL_")}
        own = {"ROOST_HOME": str(self.root), "ROOST_CONFIG": str(self.config)}
        return {**kept, **own, **self.variables}

    @property
    def config(self) -> Path:
        return self.root.with_suffix(".toml")

    def write(self, name: str, text: str) -> Path:
        """A file in the working folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run(self, *arguments: str, cwd: Path | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the command to its end (see ``tests.support.forked_commands``)."""
        environ = {**self.environ, **options.pop("variables", {})}
        self.begin(arguments, environ)
        done = None
        if not options and arguments[:1] not in LAUNCHED:
            daemons = start_servers() if self.forks_daemon else ()
            done = run_forked([CLIENT, *arguments], cwd or self.folder, environ, SECONDS, daemons)
        if done is None:
            options = {"capture_output": True, "text": True, "timeout": SECONDS, **options}
            done = subprocess.run([ROOST, *arguments], cwd=cwd or self.folder, env=environ, **options)
        if arguments[:2] == ("daemon", "stop"):
            self.wants_daemon = self.has_stopped = True
        return done

    def ok(self, *arguments: str, **options: Any) -> str:
        """Run the command, which must succeed; its standard output."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, f"roost {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str, **options: Any) -> Any:
        """The JSON document that the command prints; of a stream, its last line."""
        return json.loads(self.ok(*_with_json(arguments), **options).strip().splitlines()[-1])

    def failed(self, status: int, *arguments: str, **options: Any) -> dict[str, Any]:
        """Run the command, which must end with ``status``; the error body that it prints with ``--json``."""
        done = self.run(*_with_json(arguments), **options)
        assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        body: dict[str, Any] = json.loads((done.stdout.strip() or done.stderr.strip()).splitlines()[-1])
        return body

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start the command and do not wait; what is left of it goes with ``end``."""
        self.begin(arguments, self.environ)
        process = subprocess.Popen(
            [ROOST, *arguments],
            env=self.environ,
            text=True,
            **{"cwd": self.folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        self.started.append(process)
        return process

    def begin(self, arguments: tuple[str, ...] = (), environ: dict[str, str] | None = None) -> None:
        """Fork a daemon for the root, if this command may need one and a client would start it."""
        if not (self.forks_daemon and self.wants_daemon) or (
            arguments[:1] == ("daemon",) and arguments[:2] != ("daemon", "start")
        ):
            return
        self.wants_daemon = False
        starts_command = arguments[:1] in LAUNCHED
        if arguments[:1] != ("daemon",) and not (self.has_stopped and starts_command):
            self.fork_daemon(environ)

    def fork_daemon(self, environ: dict[str, str] | None = None) -> None:
        """Fork a daemon as a client with these variables would start one, unless the root has one."""
        environ = self.environ if environ is None else environ
        if "ROOST_SOCKET" not in environ and not self._has_daemon():
            put_interpreters(self.root)
            put_index(self.root)
            fork_daemon(self.root, environ)

    def daemon_pid(self) -> int | None:
        """The process that serves the root, if any: it holds the lock file open."""
        found = self.run("daemon", "status", "--json")
        if found.returncode == 0 and found.stdout.strip():
            return json.loads(found.stdout)["pid"]
        return self._read_holder() if self._has_daemon() else None  # one that is slow to answer is no less there

    def end(self) -> None:
        """Stop the daemon and remove everything."""
        for process in self.started:
            process.kill()
            process.communicate()
        self.stop()
        remove_tree(str(self.root))
        remove_tree(str(self.folder))
        self.config.unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop the daemon by its signal, and by the command if it has not ended then."""
        if self._has_daemon():
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(self._read_holder(), signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while self._has_daemon() and time.monotonic() < deadline:
                time.sleep(0.01)
        if self._has_daemon() or (self.root / "roost.sock").exists():
            self.run("daemon", "stop")

    def _read_holder(self) -> int:
        return int((self.root / "lock").read_text().partition("\n")[0])

    def _has_daemon(self) -> bool:
        return is_held_exclusively(str(self.root / "lock"))


def new_roost(prepared: Path | None = None, *, forks_daemon: bool = True) -> Roost:
    """roost on a new root and a new working folder, at short paths; the root begins with what ``prepared`` has (see
    ``tests.support.images.prepared``)."""
    root, folder = (Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp")) for prefix in "rw")
    roost = Roost(root, folder, forks_daemon=forks_daemon)
    if prepared is not None:
        clone(prepared, roost.root)
    return roost


def clone(prepared: Path, root: Path) -> None:
    """Link what ``prepared`` has into the empty or new folder ``root``; the index is copied."""
    root.mkdir(mode=0o700, exist_ok=True)
    for source in prepared.iterdir():
        if source.is_dir():
            shutil.copytree(source, root / source.name, copy_function=os.link, symlinks=True)
        else:
            shutil.copy2(source, root / source.name)


def _with_json(arguments: tuple[str, ...]) -> tuple[str, ...]:
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return (*arguments[:at], "--json", *arguments[at:])
