"""The supervisor of a run: outlives the daemon, forwards signals, and writes the exit status to disk.

    roost.client.launch.supervise FOLDER     a detached run, started by ``wire.installation``

A detached run has its specification as JSON on standard input. It has ``command``, ``cwd``, ``launch`` (a
``wire.Launch``), ``environ`` (the caller's variables), ``variables`` (those of the run), ``socket``, ``run_id`` and
``output_bytes``, the bound of the output (``wire.run_output``).
``FOLDER/lock`` is held by the supervisor and by the command, so that the kernel releases it when the last of them ends;
``FOLDER/pid`` names the supervisor; ``FOLDER/exit`` is written atomically, before the daemon is notified.
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

TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGQUIT)
"""The terminal sends these to every process of its foreground group, the command included."""
FORWARDED_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, *TERMINAL_SIGNALS)


class Supervisor:
    """Runs one command: forwards signals, waits, records the end."""

    def __init__(self, folder: str, spec: Mapping[str, Any]) -> None:
        self._folder = folder
        self._spec = spec
        self._process: subprocess.Popen[bytes] | None = None
        self._early_signals: list[int] = []

    def run(self, output: IO[bytes] | None = None) -> int:
        """Run the command to its end and return its status as a shell reports it.

        ``output``: the run is detached, writes there and has no input.
        Raises: LeaseGoneError if the prefix was removed.
        """
        lock = _lock_file(os.path.join(self._folder, "lock"))
        lease = activate.hold_lease(self._spec["launch"]["lease"])
        _write_durably(os.path.join(self._folder, "pid"), f"{os.getpid()} {_start_ticks()}")
        self._notify_daemon({"state": "running", "pid": os.getpid()})
        inherited = [descriptor for descriptor in (lock, lease) if descriptor is not None]
        os.set_inheritable(lock, True)
        try:
            with self._forward_signals(), self._bound_output(output):
                status = self._run_command(output)
        finally:
            for descriptor in inherited[1:]:
                os.close(descriptor)
        ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        _write_durably(os.path.join(self._folder, "exit"), json.dumps({"exit_status": status, "ended": ended}))
        self._notify_daemon({"state": "succeeded" if status == 0 else "failed", "exit_status": status})
        os.close(lock)
        return status

    def _bound_output(self, output: IO[bytes] | None) -> contextlib.AbstractContextManager[object]:
        """Return what keeps the output of a detached run below its bound while the command runs."""
        limit = self._spec.get("output_bytes")
        if output is None or not limit:
            return contextlib.nullcontext()
        from roost.wire.run_output import OutputWatch  # commands in the foreground have no use for it

        return OutputWatch(self._folder, limit)

    def _run_command(self, output: IO[bytes] | None) -> int:
        try:
            self._process = self._start_process(output)
        except activate.CommandError as error:
            (output or sys.stderr.buffer).write(error.format().encode())
            return error.status
        for number in self._early_signals:
            self._process.send_signal(number)
        status = self._process.wait()
        return status if status >= 0 else 128 - status

    def _start_process(self, output: IO[bytes] | None) -> subprocess.Popen[bytes]:
        spec = self._spec
        if not os.path.isdir(spec["cwd"]):  # Popen would report the command as missing
            raise activate.CommandError(f"the folder {spec['cwd']} does not exist", 125, "Create it, or run elsewhere.")
        launch = spec["launch"]
        environ = activate.activated_environment(launch, spec["environ"], spec["variables"])
        command = activate.resolve_command(spec["command"], launch.get("python"), environ, spec["cwd"])
        if command[0] != launch.get("python"):
            note = activate.foreign_program_note(spec["command"][0], command[0], launch["prefix"])
            _write_note(note, output)
        streams: dict[str, Any] = {}
        if output is not None:
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        try:
            # Descriptors of the caller (`<(…)` of a shell, the jobserver of make) reach the command; those of this
            # process close at exec, all but lock and lease.
            return subprocess.Popen(command, cwd=spec["cwd"], env=environ, close_fds=False, **streams)
        except OSError as error:
            raise activate.command_error(command[0], error) from error

    @contextlib.contextmanager
    def _forward_signals(self) -> Iterator[None]:
        """Forward signals to the command. One that this process ignores stays ignored, for the command too."""
        former = {number: signal.getsignal(number) for number in FORWARDED_SIGNALS}
        caught = [number for number in FORWARDED_SIGNALS if former[number] is not signal.SIG_IGN]
        for number in caught:
            signal.signal(number, self._forward)
        try:
            yield
        finally:
            for number in caught:
                signal.signal(number, former[number])

    def _forward(self, number: int, frame: object) -> None:
        if number in TERMINAL_SIGNALS and _is_foreground():
            return
        if self._process is None:
            self._early_signals.append(number)
        elif self._process.returncode is None:
            self._process.send_signal(number)

    def _notify_daemon(self, update: dict[str, Any]) -> None:
        """Send the run's state. A daemon that is away, or does not answer, reads it from the folder when it is back."""
        with contextlib.suppress(OSError, ClientError):
            Daemon(self._spec["socket"], _give_up).request("PATCH", f"/v1/runs/{self._spec['run_id']}", update)


def _give_up() -> None:
    raise ClientError({"code": "daemon-unreachable"})


def _start_ticks() -> str:
    """Return when this process began, in clock ticks since the system started (field 22 of stat, proc(5)).

    It distinguishes this process from a later one with the same pid. Empty if there is no /proc.
    """
    try:
        with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _write_note(note: str, output: IO[bytes] | None) -> None:
    stream = output or sys.stderr.buffer
    stream.write(note.encode(errors="surrogateescape"))
    stream.flush()


def _is_foreground() -> bool:
    """Return whether this process's group is the foreground group of its terminal."""
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


def _lock_file(path: str) -> int:
    """Lock the file exclusively and return its descriptor."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _write_durably(path: str, text: str) -> None:
    """Write the file atomically; it is on disk when this returns."""
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
    """Supervise a detached run, with its output in ``FOLDER/output``, and return its exit status."""
    folder = (sys.argv[1:] if arguments is None else list(arguments))[0]
    spec = json.load(sys.stdin)
    with open(os.path.join(folder, "output"), "ab", buffering=0) as output:
        try:
            return Supervisor(folder, spec).run(output)
        except activate.LeaseGoneError:
            output.write(b"roost: the prefix was removed before the command could start\n")
            return 125


if __name__ == "__main__":
    sys.exit(main())
