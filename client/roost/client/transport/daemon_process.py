"""The process of a daemon that is being started: how it begins, and what it says if it can't."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import IO, Any

from roost.client import paths
from roost.client.errors import unreachable


def spawn(output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a daemon, detached, and in no folder of the user's: ``-m`` would look for modules there first."""
    _left[:] = [process for process in _left if process.poll() is None]  # a notebook may see many daemons go
    process = _Daemon(
        [sys.executable, "-E", "-m", "roost.daemon.main", "--start"],
        cwd="/",
        env=_environ(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    _left.append(process)
    return process


class _Daemon(subprocess.Popen[bytes]):
    """It is meant to outlive this process: no warning about an unwaited child is printed."""

    def __del__(self) -> None:
        """Nothing is to be done."""


_left: list[_Daemon] = []
"""Those that were started and may still run."""


def _environ() -> dict[str, str]:
    """Relative places are made absolute, since the daemon starts elsewhere."""
    environ = dict(os.environ)
    for name in ("ROOST_HOME", "ROOST_SOCKET", "ROOST_CONFIG"):
        if environ.get(name):
            environ[name] = os.path.abspath(environ[name])
    return environ


def output() -> IO[bytes]:
    """The daemon's log, or where the root can't be written (the daemon will say so) a file without a name."""
    folder = os.path.join(paths.root(), "logs")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return open(os.path.join(folder, "daemon.log"), "a+b")
    except OSError:
        return tempfile.TemporaryFile()


def last_words(output: IO[bytes], began: int, status: int) -> dict[str, Any]:
    """The error body that the daemon printed, or its last line."""
    output.seek(began)
    lines = output.read().decode(errors="replace").split("\n")
    for line in reversed(lines):
        body = _parsed(line)
        if body is not None:
            return {**body, "exit_status": 5}
    said = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    message = f"The daemon did not start (exit status {status}): {said}"
    return unreachable(message, f"See {os.path.join(paths.root(), 'logs', 'daemon.log')}.").body


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        body = json.loads(line)
    except ValueError:
        return None
    return body if isinstance(body, dict) and "code" in body and "message" in body else None
