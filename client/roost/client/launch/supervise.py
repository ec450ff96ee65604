"""The supervisor of a run: it outlives the daemon, passes signals on, and leaves the truth about the end on disk.

    python -m roost.client.launch.supervise FOLDER     a detached run; the specification is JSON on standard input

``FOLDER/lock`` is held by the supervisor and by the command, so that the kernel lets go when the last of them ends;
``FOLDER/pid`` names the supervisor; ``FOLDER/exit`` is written whole or not at all, before the daemon is told.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from roost.client.errors import ClientError
from roost.client.launch import activate
from roost.client.transport.connection import Daemon

FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""The terminal sends these to every process in front, the command too."""
PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, *FROM_TERMINAL)


class Supervised:
    """One command that runs: pass signals on, wait, tell."""

    def __init__(self, folder: str, spec: Mapping[str, Any]) -> None:
        self._folder = folder
        self._spec = spec
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def run(self, output: IO[bytes] | None = None) -> int:
        """Until the command ends; its status as a shell tells it. ``output``: detached, with nothing to read."""
        lock = _locked(os.path.join(self._folder, "lock"))
        lease = activate.hold(self._spec["lease"])
        _write(os.path.join(self._folder, "pid"), f"{os.getpid()} {_birth()}")
        self._tell({"state": "running", "pid": os.getpid()})
        kept = [descriptor for descriptor in (lock, lease) if descriptor is not None]
        try:
            with self._passing_on():
                status = self._command(kept, output)
        finally:
            for descriptor in kept[1:]:
                os.close(descriptor)
        self._finish(status)
        os.close(lock)
        return status

    def _command(self, kept: Sequence[int], output: IO[bytes] | None) -> int:
        try:
            self._process = self._start(kept, output)
        except activate.CommandError as error:
            (output or sys.stderr.buffer).write(f"roost: {error}\n  {error.hint}\n".encode())
            return error.status
        for number in self._early:
            self._process.send_signal(number)
        status = self._process.wait()
        return status if status >= 0 else 128 - status

    def _start(self, kept: Sequence[int], output: IO[bytes] | None) -> subprocess.Popen[bytes]:
        spec = self._spec
        if not os.path.isdir(spec["cwd"]):  # or the system says of the command that it is not there
            raise activate.CommandError(f"the folder {spec['cwd']} is not there", 125, "Make it, or run elsewhere.")
        command = activate.resolve(spec["command"], spec.get("python"), spec["environ"], spec["cwd"])
        streams: dict[str, Any] = {}
        if output is not None:
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        try:
            return subprocess.Popen(command, cwd=spec["cwd"], env=spec["environ"], pass_fds=kept, **streams)
        except OSError as error:
            raise activate.start_error(command[0], error) from error

    @contextlib.contextmanager
    def _passing_on(self) -> Iterator[None]:
        """A signal that this process was told to ignore stays ignored, for the command too."""
        before = {number: signal.getsignal(number) for number in PASSED_ON}
        caught = [number for number in PASSED_ON if before[number] is not signal.SIG_IGN]
        for number in caught:
            signal.signal(number, self._pass_on)
        try:
            yield
        finally:
            for number in caught:
                signal.signal(number, before[number])

    def _pass_on(self, number: int, frame: object) -> None:
        if number in FROM_TERMINAL and _in_front():
            return
        if self._process is None:
            self._early.append(number)
        elif self._process.returncode is None:
            self._process.send_signal(number)

    def _finish(self, status: int) -> None:
        ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        _write(os.path.join(self._folder, "exit"), json.dumps({"exit_status": status, "ended": ended}))
        self._tell({"state": "succeeded" if status == 0 else "failed", "exit_status": status})

    def _tell(self, update: dict[str, Any]) -> None:
        """A daemon that is away learns it from the folder when it is back."""
        with contextlib.suppress(OSError, ClientError):
            Daemon(self._spec["socket"]).request("PATCH", f"/v1/runs/{self._spec['run_id']}", update)


def _birth() -> str:
    """When this process began, in clock ticks since the system did (field 22 of stat, proc(5)): with it, a later
    process of the same pid is not taken for this one. Empty where there is no /proc."""
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _in_front() -> bool:
    """Whether the terminal counts this process's group as the one in front."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _locked(path: str) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _write(path: str, text: str) -> None:
    """Whole or not at all, and on the disk when this returns."""
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Supervise a detached run: its output goes to ``FOLDER/output``."""
    folder = (sys.argv[1:] if arguments is None else list(arguments))[0]
    spec = json.load(sys.stdin)
    with open(os.path.join(folder, "output"), "ab", buffering=0) as output:
        try:
            return Supervised(folder, spec).run(output)
        except activate.LeaseGoneError:
            output.write(b"roost: the prefix was removed before the command could start\n")
            return 125


if __name__ == "__main__":
    sys.exit(main())
