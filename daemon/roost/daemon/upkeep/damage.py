"""What can be missing of a root under its daemon, and what follows from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Repair(Enum):
    """One step of a repair, in the order of execution."""

    MAKE_FOLDERS = "its folders are created again"
    RESTORE_LOCK = "its lock file is written again"
    REOPEN_LOG = "its log is opened again"
    BIND_SOCKET = "its socket is bound again"


@dataclass(frozen=True)
class Damage:
    """What is missing, or has been replaced by something else. ``folders``: names below the root."""

    root: bool = False
    index: bool = False
    lock: bool = False
    socket: bool = False
    folders: tuple[str, ...] = ()


def find_fatal(damage: Damage) -> str | None:
    """Return why the daemon can't go on, if it can't: without its root or its index it would answer from memory, and
    write to files that no path leads to."""
    if damage.root:
        return "its root was removed or moved"
    if damage.index:
        return "its index was removed or replaced"
    return None


def plan_repairs(damage: Damage) -> list[Repair]:
    """Return the repairs of damage that is not fatal. The socket comes last: clients wait for it."""
    needed = {
        Repair.MAKE_FOLDERS: bool(damage.folders),
        Repair.RESTORE_LOCK: damage.lock,
        Repair.REOPEN_LOG: "logs" in damage.folders,
        Repair.BIND_SOCKET: damage.socket,
    }
    return [repair for repair in Repair if needed[repair]]
