"""The process that holds the root, found without asking it: it may be stopped, or its socket may be away.

``roost.store.disk.root_lock`` in the daemon writes what is read here.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import NamedTuple

MAX_LOCK_BYTES = 4096


class RootHolder(NamedTuple):
    """A daemon. ``phase``: what it does, ``starting``, ``serving`` or ``stopping``; empty if it is an older one that
    does not write it, or if the lock file was removed. ``start``: when the process began, to know it again."""

    pid: int
    phase: str
    start: str

    @property
    def is_alive(self) -> bool:
        """Whether this process still runs. A zombie does not: it holds nothing any more."""
        state, start = read_process(self.pid)
        return state not in ("", "Z", "X") and start == self.start

    @property
    def is_suspended(self) -> bool:
        """Whether it is stopped by a signal or a debugger."""
        return read_process(self.pid)[0] in ("T", "t")

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended. Raises: PermissionError."""
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def identify_process(pid: int, phase: str = "") -> RootHolder:
    """Return the process with this pid as a holder."""
    return RootHolder(pid, phase, read_process(pid)[1])


def find_holder(root: str) -> RootHolder | None:
    """Return the process that holds ``root``, ``None`` if none does or if it can't be determined."""
    pid, phase = _read_lock_file(os.path.join(root, "lock"))
    owners = _list_lock_owners()
    if owners is None:
        # Then only the file says who it is: a probe of the lock would turn away a daemon that starts.
        holder = identify_process(pid, phase) if pid else None
        return holder if holder is not None and holder.is_alive else None
    for name in ("lock", ""):
        with suppress(OSError):
            owner = owners.get(os.stat(os.path.join(root, name)).st_ino)
            if owner is not None:
                # The list has 0 for a process of another PID namespace.
                return identify_process(owner or pid, phase if owner in (0, pid) else "")
    return None


def find_listener(path: str) -> RootHolder | None:
    """Return the process that listens at a socket, ``None`` if it can't be determined or is systemd."""
    import _socket

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.settimeout(1)
        connection.connect(path)
        # struct ucred: pid, uid and gid of the process that called listen (unix(7))
        credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    except (OSError, AttributeError):
        return None
    finally:
        connection.close()
    pid = int.from_bytes(credentials[:4], sys.byteorder)
    return identify_process(pid) if pid > 1 else None


def _read_lock_file(path: str) -> tuple[int, str]:
    """Return pid (0 if unknown) and phase."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0, ""
    try:
        lines = os.read(file, MAX_LOCK_BYTES).decode("utf-8", "replace").split("\n")
    except OSError:
        return 0, ""
    finally:
        os.close(file)
    pid = int(lines[0]) if lines[0].isascii() and lines[0].isdigit() else 0
    return pid, lines[2] if len(lines) > 2 else ""


def _list_lock_owners() -> dict[int, int] | None:
    """Return the owner of each exclusive flock(2) by inode, ``None`` if the system has no list.

    A line reads ``1: FLOCK ADVISORY WRITE 4242 fe:00:131090 0 EOF`` (proc(5)). The device number is not compared, since
    some file systems report another one there than in stat(2).
    """
    try:
        with open("/proc/locks", encoding="ascii", errors="replace") as stream:
            lines = [line.split() for line in stream]
    except OSError:
        return None
    wanted = [line for line in lines if len(line) > 5 and line[1] == "FLOCK" and line[3] == "WRITE"]
    return {int(line[5].split(":")[2]): max(0, int(line[4])) for line in wanted}


def read_process(pid: int) -> tuple[str, str]:
    """Return the state of a process (``R``, ``S``, ``T``, ``Z``, … of proc(5)) and when it began, in clock ticks.

    Empty texts if there is no such process; without /proc, ``R`` for every process that exists.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        if os.path.isdir("/proc/self"):
            return "", ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return "", ""
    except PermissionError:
        pass
    return "R", ""
