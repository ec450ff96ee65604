"""The supervisor of a run: outlives the daemon, forwards signals, and writes the exit status to disk.

    roost.client.launch.supervise FOLDER     a detached run, started by ``wire.installation``

A detached run has its specification as JSON on standard input. It has ``command``, ``cwd``, ``launch`` (a
``wire.Launch``), ``environ`` (the caller's variables), ``variables`` (those of the run), ``socket``, ``run_id`` and
``output_bytes``, the bound of the output (``wire.run_output``). ``watched``: the daemon watches this process and needs
no reports. ``kept_bytes``: the output of a run in the foreground is stored up to this bound (``kept_output``).
``FOLDER/lock`` is held by the supervisor and by the command, so that the kernel releases it when the last of them ends;
``FOLDER/pid`` names the supervisor; ``FOLDER/exit`` is written atomically, before the daemon is notified or this
process ends. Nobody waits for the daemon's answer to that: it reads the file when it is asked for the run.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

from roost.client.launch import activate, hot

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing itself costs as much as a request does
    from _socket import socket
    from collections.abc import Mapping, Sequence
    from typing import IO, Any

TERMINAL_SIGNALS = ("SIGINT", "SIGQUIT")
"""The terminal sends these to every process of its foreground group, the command included."""
FORWARDED_SIGNALS = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", *TERMINAL_SIGNALS)


class Supervisor:
    """Runs one command: forwards signals, waits, records the end."""

    def __init__(self, folder: str, spec: Mapping[str, Any]) -> None:
        self._folder = folder
        self._spec = spec
        self._pid = 0
        """Of the command while it runs; 0 before and after, so that no other process of that number is signalled."""
        self._early_signals: list[int] = []
        self._terminal_signals: tuple[int, ...] = ()

    def run(self, output: IO[bytes] | None = None) -> int:
        """Run the command to its end and return its status as a shell reports it.

        ``output``: the run is detached, writes there and has no input.
        Raises: LeaseGoneError if the prefix was removed.
        """
        lock = _lock_file(os.path.join(self._folder, "lock"))
        lease = activate.hold_lease(self._spec["launch"]["lease"])
        # Not synced: no process outlives a power loss.
        _replace_file(os.path.join(self._folder, "pid"), f"{os.getpid()} {_start_ticks()}", durably=False)
        # The daemon writes this while the command starts, and nobody waits for its answer: if the end is recorded
        # first, that has the start as well.
        started, began, is_watched = _current_time(), None, self._spec.get("watched", False)
        if not is_watched:
            began = self._send_report(f'{{"state":"running","pid":{os.getpid()},"started":"{started}"}}')
        os.set_inheritable(lock, True)
        try:
            status = self._run_bounded(output)
        finally:
            if lease is not None:
                os.close(lease)
        end = f'{{"exit_status":{status},"started":"{started}","ended":"{_current_time()}"}}'
        path = os.path.join(self._folder, "exit")
        _replace_file(path, end, durably=output is not None)  # synced if nobody waits for this process
        os.close(lock)
        if is_watched:
            return status
        ended = self._send_report(_end_report(status))
        for connection in (began, ended):
            if connection is not None:
                connection.close()
        return status

    def report_failure(self, status: int) -> None:
        """Report that the command never started, and wait until that is recorded: another run takes its place."""
        connection = self._send_report(_end_report(status))
        if connection is None:
            return
        try:
            while connection.recv(65536):
                pass
        except OSError:  # silent for too long, or away: it finds out by itself
            pass
        connection.close()

    def _run_bounded(self, output: IO[bytes] | None) -> int:
        """Run the command; the output of a detached run stays below its bound meanwhile."""
        limit = self._spec.get("output_bytes")
        if output is None or not limit:
            return self._run_forwarding(output)
        from roost.wire.run_output import OutputWatch  # commands in the foreground have no use for it

        with OutputWatch(self._folder, limit):
            return self._run_forwarding(output)

    def _run_forwarding(self, output: IO[bytes] | None) -> int:
        """Run the command and forward signals. One that this process ignores stays ignored, for the command too."""
        import _signal  # type: ignore[import-not-found]  # the C module: `signal` costs its enums

        self._terminal_signals = tuple(getattr(_signal, name) for name in TERMINAL_SIGNALS)
        former = {}
        for name in FORWARDED_SIGNALS:
            number = getattr(_signal, name)
            if _signal.getsignal(number) != _signal.SIG_IGN:
                former[number] = _signal.signal(number, self._forward)
        try:
            # Python ignores these; the command gets what the system begins with.
            return self._run_command(output, [_signal.SIGPIPE, _signal.SIGXFSZ])
        finally:
            for number, handler in former.items():
                _signal.signal(number, handler if handler is not None else _signal.SIG_DFL)

    def _run_command(self, output: IO[bytes] | None, default_signals: list[int]) -> int:
        try:
            if kept_bytes := self._spec.get("kept_bytes"):
                return self._run_kept(kept_bytes, default_signals)
            self._pid = self._start_process(output, default_signals)
        except activate.CommandError as error:
            _write_note(error.format(), output)
            return error.status
        for number in self._early_signals:
            os.kill(self._pid, number)
        pid = self._pid
        if hasattr(os, "waitid"):  # its number is its own until it is reaped below
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        self._pid = 0
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status if status >= 0 else 128 - status

    def _run_kept(self, limit: int, default_signals: list[int]) -> int:
        """Run the command with its output stored. Signals are forwarded there."""
        from roost.client.kept_output.relay import KeptRun

        command, environ = self._prepare_command(None)
        _enter_folder(self._spec["cwd"])
        try:
            status = KeptRun(self._folder, limit).run(command, environ, default_signals)
        except OSError as error:
            raise activate.command_error(command[0], error) from error
        return status if status >= 0 else 128 - status

    def _start_process(self, output: IO[bytes] | None, default_signals: list[int]) -> int:
        command, environ = self._prepare_command(output)
        actions: list[Any] = []
        if output is not None:
            descriptor = output.fileno()
            actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)]
            actions += [(os.POSIX_SPAWN_DUP2, descriptor, stream) for stream in (1, 2)]
        _enter_folder(self._spec["cwd"])
        try:
            # Descriptors of the caller (`<(…)` of a shell, the jobserver of make) reach the command; those of this
            # process close at exec, all but lock and lease.
            return os.posix_spawn(command[0], command, environ, file_actions=actions, setsigdef=default_signals)
        except OSError as error:
            raise activate.command_error(command[0], error) from error

    def _prepare_command(self, output: IO[bytes] | None) -> tuple[list[str], dict[str, str]]:
        """Return the words and the variables of the command. Raises: CommandError."""
        spec = self._spec
        if not os.path.isdir(spec["cwd"]):
            raise activate.CommandError(f"the folder {spec['cwd']} does not exist", 125, "Create it, or run elsewhere.")
        launch = spec["launch"]
        environ = activate.activated_environment(launch, spec["environ"], spec["variables"])
        command = activate.resolve_command(spec["command"], launch.get("python"), environ, spec["cwd"])
        if command[0] != launch.get("python"):
            note = activate.foreign_program_note(spec["command"][0], command[0], launch["prefix"])
            _write_note(note, output)
        return command, environ

    def _forward(self, number: int, frame: object) -> None:
        if number in self._terminal_signals and _is_foreground():
            return
        if self._pid:
            os.kill(self._pid, number)
        else:
            self._early_signals.append(number)

    def _send_report(self, body: str) -> socket | None:
        """Send the run's state; return the connection that the answer comes over, ``None`` if the daemon is away."""
        return hot.send("PATCH", f"/v1/runs/{self._spec['run_id']}", body, report_to=self._spec["socket"])


def _end_report(status: int) -> str:
    return f'{{"state":"{"failed" if status else "succeeded"}","exit_status":{status}}}'


def _current_time() -> str:
    """Return the time in UTC (RFC 3339), as ``store.clock`` formats it."""
    now = time.time()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1_000_000):06}Z"


def _enter_folder(path: str) -> None:
    """Make ``path`` the working folder: posix_spawn(3) has no portable way, and this process needs none of its own.
    Raises: CommandError if that is not allowed."""
    try:
        if path == os.getcwd():
            return
    except OSError:  # the present one no longer exists
        pass
    try:
        os.chdir(path)
    except OSError as error:
        message = f"the folder {path} can't be entered: {error.strerror}"
        raise activate.CommandError(message, 125, "Check its permissions, or run elsewhere.") from error


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


def _replace_file(path: str, text: str, *, durably: bool) -> None:
    """Write the file atomically; ``durably``: it is on disk when this returns."""
    temporary = f"{path}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, text.encode())
        if durably:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    if not durably:
        return
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Supervise a detached run, with its output in ``FOLDER/output``, and return its exit status."""
    import json

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
