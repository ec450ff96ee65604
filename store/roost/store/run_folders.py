"""What the folder of a run says about it, whoever is alive: ``lock`` (held by its supervisor and command), ``exit``."""

from __future__ import annotations

import os

import msgspec

from roost.store.lease_files import is_held_exclusively
from roost.store.records import RunState


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """``running``, or how it ended. ``ended`` is RFC 3339, ``None`` where nobody saw the end."""

    state: RunState
    exit_status: int | None = None
    ended: str | None = None


class _Exit(msgspec.Struct):
    exit_status: int | None = None
    ended: str | None = None
    state: RunState | None = None


def outcome(folder: str) -> Outcome:
    """What became of a run: the ``exit`` file if it is there and readable, else by the lock: alive or lost. Blocks."""
    # The lock before the file: a supervisor writes the file and then lets go, so never the other way round.
    held = is_held_exclusively(os.path.join(folder, "lock"))
    found = _read_exit(os.path.join(folder, "exit"))
    if found is not None:
        state = found.state or ("succeeded" if found.exit_status == 0 else "failed")
        return Outcome(state=state, exit_status=found.exit_status, ended=found.ended)
    return Outcome(state="running" if held else "lost")


def _read_exit(path: str) -> _Exit | None:
    try:
        with open(path, "rb") as stream:
            return msgspec.json.decode(stream.read(), type=_Exit)
    except (OSError, msgspec.MsgspecError):
        return None
