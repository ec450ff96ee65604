"""What ``roostd --repair`` did to a root, for ``roost doctor --repair``.

Separate, since it comes from a process and not from a daemon.
"""

from __future__ import annotations

import msgspec


class RepairView(msgspec.Struct, kw_only=True):
    """The result of a repair; lines are for people."""

    root: str
    done: list[str] = []
    """What was repaired, in order."""
    lost: list[str] = []
    """What only the lost index knew, and could not be recovered."""
    prefixes: list[str] = []
    """Paths of the prefixes that a rebuilt index serves: every byte of them was compared."""
    kept: list[str] = []
    """New paths of a damaged index and of its WAL."""
    left: list[str] = []
    """Faults that remain."""
