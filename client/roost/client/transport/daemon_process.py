"""The process of a daemon that is being started, and its error if it fails.

Apart from ``autostart``, because it imports ``subprocess`` and ``tempfile``, and most commands find a daemon.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tempfile
from typing import IO, Any

from roost.client import paths
from roost.client.errors import unreachable_error
from roost.wire.installation import isolated_command


def spawn(output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a detached daemon that writes to ``output``. Its working folder is ``/``, so that it keeps none in use."""
    _started[:] = [process for process in _started if process.poll() is None]  # a notebook may outlive many daemons
    process = _DaemonProcess(
        isolated_command("roost.daemon.main", "--start"),
        cwd="/",
        env=daemon_environ(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    _started.append(process)
    return process


class _DaemonProcess(subprocess.Popen[bytes]):
    """A process that outlives this one: Popen's warning about a child that was not waited for is suppressed."""

    def __del__(self) -> None:
        """Do nothing."""


_started: list[_DaemonProcess] = []
"""Processes that may still run; ``spawn`` reaps those that ended."""


def daemon_environ() -> dict[str, str]:
    """Return this process's variables with absolute paths, since the daemon has another working folder.

    Python 3.11 and later follow two of them in spite of ``-I``; this process may be a user's own.
    """
    followed = ("PYTHONEXECUTABLE", "__PYVENV_LAUNCHER__")
    environ = {name: value for name, value in os.environ.items() if name not in followed}
    for name in ("ROOST_HOME", "ROOST_SOCKET", "ROOST_CONFIG"):
        if environ.get(name):
            environ[name] = os.path.abspath(environ[name])
    return environ


def open_output() -> IO[bytes]:
    """Open the daemon's log for appending, or a temporary file if its folder does not exist or others can write there.

    No folder is created: the daemon does that, after it has examined whose root it is.
    """
    folder = os.path.join(paths.root(), "logs")
    try:
        state = os.lstat(folder)
        if state.st_uid == os.geteuid() and stat.S_ISDIR(state.st_mode) and not state.st_mode & 0o022:
            return open(os.path.join(folder, "daemon.log"), "a+b")
    except OSError:
        pass
    return tempfile.TemporaryFile()


def start_failure(output: IO[bytes], began: int, status: int) -> dict[str, Any]:
    """Return the error body that the daemon printed after the offset ``began``, or one with its last line."""
    output.seek(began)
    text = output.read().decode(errors="replace")
    body = find_error_line(text)
    if body is not None:
        return {**body, "exit_status": 5}
    lines = text.split("\n")
    last_line = next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
    message = f"The daemon did not start (exit status {status}): {last_line}"
    return unreachable_error(message, f"See {os.path.join(paths.root(), 'logs', 'daemon.log')}.").body


def find_error_line(text: str) -> dict[str, Any] | None:
    """Return the last error body in ``text``, of which it is one line of JSON."""
    return next((body for line in reversed(text.split("\n")) if (body := _parse_error_line(line)) is not None), None)


def _parse_error_line(line: str) -> dict[str, Any] | None:
    try:
        body = json.loads(line)
    except ValueError:
        return None
    return body if isinstance(body, dict) and "code" in body and "message" in body else None
