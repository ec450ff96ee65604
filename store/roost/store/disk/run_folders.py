"""What the folder of a run says about it, whoever is alive: ``lock`` (held by its supervisor and command),
``pid`` (of the supervisor, and when it began), ``exit``."""

from __future__ import annotations

import os

import msgspec

from roost.model.records import RunState
from roost.store.disk.lease_files import is_held_exclusively


class RunExit(msgspec.Struct, frozen=True, kw_only=True):
    """``running``, or how it ended. ``ended`` is RFC 3339, ``None`` where nobody saw the end."""

    state: RunState
    exit_status: int | None = None
    ended: str | None = None


class _Exit(msgspec.Struct):
    exit_status: int | None = None
    ended: str | None = None
    state: RunState | None = None


def outcome(folder: str) -> RunExit:
    """What became of a run: the ``exit`` file if it is there and readable, else by the lock: alive or lost. Blocks."""
    # The lock before the file: a supervisor writes the file and then lets go, so never the other way round.
    held = is_held_exclusively(os.path.join(folder, "lock"))
    found = _read_exit(os.path.join(folder, "exit"))
    if found is not None:
        state = found.state or ("succeeded" if found.exit_status == 0 else "failed")
        return RunExit(state=state, exit_status=found.exit_status, ended=found.ended)
    return RunExit(state="running" if held else "lost")


def open_supervisor(folder: str) -> int | None:
    """A pidfd of the process that supervises the run; ``None`` where it is gone, whoever has its pid now."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        with open(os.path.join(folder, "pid"), encoding="ascii") as file:
            pid, *born = file.read().split()
        descriptor: int = os.pidfd_open(int(pid))
    except (OSError, ValueError):
        return None
    if born and born[0] != _birth(int(pid)):
        os.close(descriptor)
        return None
    return descriptor


def _birth(pid: int) -> str | None:
    """When ``pid`` began, in clock ticks since the system did: field 22 of stat, proc(5)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return None


def _read_exit(path: str) -> _Exit | None:
    try:
        with open(path, "rb") as stream:
            return msgspec.json.decode(stream.read(), type=_Exit)
    except (OSError, msgspec.MsgspecError):
        return None
