"""How the files of an owner are seen, as values and texts for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

MIN_POLL_SECONDS = 2.0
MAX_POLL_SECONDS = 60.0
_IDLE_SHARE = 0.003
"""The share of a core that polling takes at most, unless ``MAX_POLL_SECONDS`` wants more."""
_WAIT_SHARE = 0.05
"""The share of the time in which polling waits for answers of a file server at most."""


class WatchKind(IntEnum):
    """How files are seen; the greater one is the worse one."""

    INOTIFY = 0
    POLLING = 1
    BROKEN = 2


@dataclass(frozen=True, slots=True)
class WatchMethod:
    """How the files of an owner are seen, and why not by inotify: ``reason`` is a sentence without its full stop."""

    kind: WatchKind
    reason: str = ""


INOTIFY = WatchMethod(WatchKind.INOTIFY)
NO_INOTIFY = WatchMethod(WatchKind.POLLING, "this system has no inotify")


def choose_worst(methods: Iterable[WatchMethod]) -> WatchMethod:
    """Return the method of an owner from those of its files: the worst one, the first of several."""
    return max(methods, key=lambda each: each.kind, default=INOTIFY)


def poll_remote(kind: str, point: str) -> WatchMethod:
    """Return the method for files on a mount that others may change unnoticed."""
    return WatchMethod(
        WatchKind.POLLING, f"{point} is a mount of type {kind}, whose changes the kernel does not report"
    )


def poll_unreadable(folder: str) -> WatchMethod:
    """Return the method for files in a folder that may be entered, but not read."""
    return WatchMethod(WatchKind.POLLING, f"the folder {folder} can't be read; allow it with `chmod u+r`")


def poll_exhausted(setting: str, limit: int | None) -> WatchMethod:
    """Return the method while a limit of the system is reached. ``setting`` is the name of the limit for sysctl(8),
    ``limit`` its value if that is known."""
    value = "" if limit is None else f" (now {limit})"
    advised = max(4 * (limit or 0), 524288 if setting.endswith("watches") else 1024)
    return WatchMethod(
        WatchKind.POLLING,
        f"the limit {setting}{value} is used up; raise it with `sudo sysctl {setting}={advised}`",
    )


def report_silence(place: str, seconds: float) -> WatchMethod:
    """Return the method for files on a mount that does not answer."""
    return WatchMethod(WatchKind.BROKEN, f"{place} has not answered for {seconds:.0f} seconds")


def choose_poll_interval(cpu_seconds: float, waited_seconds: float) -> float:
    """Return the seconds from one look at all polled files to the next, from what the last one took."""
    wanted = max(cpu_seconds / _IDLE_SHARE, waited_seconds / _WAIT_SHARE)
    return min(max(wanted, MIN_POLL_SECONDS), MAX_POLL_SECONDS)
