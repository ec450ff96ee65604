"""State of a run as its folder records it, whether or not the daemon was alive.

The folder holds ``lock`` (locked by the supervisor and its command), ``pid`` (of the supervisor, with its start time)
and ``exit``, which the supervisor writes at the end and renames into its place. In a foreground run that file is not
synced, since nobody should wait for the disk once a command has ended: if the power fails before the daemon has
committed the end, the run is ``lost``. ``record`` is the run as the daemon recorded it at its begin, with its
definition: a lost index is rebuilt from it.
"""

from __future__ import annotations

import os
from contextlib import suppress

import msgspec

from roost.model.errors import MALFORMED_JSON
from roost.model.records import RunRecord, RunState
from roost.store.clock import from_timestamp
from roost.store.disk.lease_files import is_held_exclusively
from roost.store.disk.regular_files import read_regular


class RunExit(msgspec.Struct, frozen=True, kw_only=True):
    """State of a run: ``running``, or how it ended. ``started`` and ``ended`` are RFC 3339, ``None`` if no supervisor
    recorded them."""

    state: RunState
    exit_status: int | None = None
    ended: str | None = None
    started: str | None = None


class BegunRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run at its begin, with its definition and its settings in their canonical form (JSON)."""

    run: RunRecord
    definition: str
    settings: str
    name: str | None = None
    source: str | None = None


def create_folder(folder: str, begun: BegunRun) -> None:
    """Create the folder of a run, with its record. Blocking. The record is not synced, nor needed on a full disk: the
    index has all of it."""
    os.makedirs(folder, 0o700, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with suppress(OSError), open(os.open(os.path.join(folder, "record"), flags, 0o600), "wb", buffering=0) as stream:
        stream.write(msgspec.json.encode(begun))


def read_begun(folder: str) -> BegunRun | None:
    """Return the record of a run; ``None`` if the folder has none that is whole and of this run. Blocking."""
    try:
        begun = msgspec.json.decode(read_regular(os.path.join(folder, "record")), type=BegunRun)
    except (OSError, *MALFORMED_JSON):
        return None
    return begun if begun.run.id == os.path.basename(folder) else None


class _ExitFile(msgspec.Struct):
    """Content of ``exit``."""

    exit_status: int | None = None
    ended: str | None = None
    started: str | None = None
    state: RunState | None = None


def read_outcome(folder: str) -> RunExit:
    """Return the state of a run: from its ``exit`` file if that is readable, else ``running`` if the lock is held, else
    ``lost``. Blocking."""
    # Probe the lock before reading the file: a supervisor writes the file and then releases the lock. In the other
    # order a run that ends in between would be lost.
    held = is_held_exclusively(os.path.join(folder, "lock"))
    return read_exit(folder) or RunExit(state="running" if held else "lost")


def read_exit(folder: str) -> RunExit | None:
    """Return how a run ended by its ``exit`` file; ``None`` if there is none that is readable. Blocking."""
    found = _read_exit_file(os.path.join(folder, "exit"))
    if found is None:
        return None
    state = found.state or ("succeeded" if found.exit_status == 0 else "failed")
    return RunExit(state=state, exit_status=found.exit_status, ended=found.ended, started=found.started)


def read_start(folder: str) -> str | None:
    """Return when the supervisor was about to start the command (RFC 3339), by its ``pid`` file; ``None`` before that.
    Blocking."""
    try:
        return from_timestamp(os.stat(os.path.join(folder, "pid")).st_mtime)
    except OSError:
        return None


def open_supervisor(folder: str) -> int | None:
    """Return a pidfd of the process that supervises the run, ``None`` if that process has ended. The start time tells
    it from another process that has its pid now."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        with open(os.path.join(folder, "pid"), encoding="ascii") as file:
            pid, *start_ticks = file.read().split()
        descriptor: int = os.pidfd_open(int(pid))
    except (OSError, ValueError, OverflowError):
        return None
    if start_ticks and start_ticks[0] != _read_start_ticks(int(pid)):
        os.close(descriptor)
        return None
    return descriptor


def _read_start_ticks(pid: int) -> str | None:
    """Return the start time of ``pid`` in clock ticks since boot: field 22 of ``/proc/<pid>/stat``, proc(5)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return None


def _read_exit_file(path: str) -> _ExitFile | None:
    try:
        with open(path, "rb") as stream:
            return msgspec.json.decode(stream.read(), type=_ExitFile)
    except (OSError, *MALFORMED_JSON):
        return None
