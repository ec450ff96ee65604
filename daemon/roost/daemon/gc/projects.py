"""Whether the files that prefixes were made for still exist: yes, no, or unknown.

A file whose disk is not mounted is not deleted. Unknown is therefore every file that can't be looked at, and every one
of which nothing shows that it was deleted:

- A mount point of ``/etc/fstab`` above it is not mounted.
- It is below a folder in which disks are mounted that come and go (``/media``), and no disk is mounted above it.
- The nearest folder above it that exists was last changed before the file was last seen. A deletion would have changed
  that folder, so the file was in another one, which a mount covers or covered.
- The file system does not answer in time.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Collection, Mapping
from typing import Literal

Presence = Literal["present", "absent", "unknown"]

PATIENCE_SECONDS = 3.0
"""For all files together: a network mount whose server is away never answers."""
_REMOVABLE = ("/media/", "/mnt/", "/run/media/", "/Volumes/", "/net/")
_FSTAB = "/etc/fstab"


class ProjectProbe:
    """Looks at files in a thread of its own, which a dead mount may hold for ever."""

    def __init__(self, fstab: str = _FSTAB, patience: float = PATIENCE_SECONDS) -> None:
        self._fstab = fstab
        self._patience = patience
        self._thread: threading.Thread | None = None

    async def find_presence(self, seen: Mapping[str, float]) -> dict[str, Presence]:
        """Return what is known of each absolute path. ``seen``: path to when it was seen for sure, in seconds since
        1970."""
        found: dict[str, Presence] = dict.fromkeys(seen, "unknown")
        if not seen or (self._thread is not None and self._thread.is_alive()):
            return found
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def look() -> None:
            mounts = read_fstab(self._fstab)
            for path, moment in seen.items():
                found[path] = probe_file(path, moment, mounts)
            try:
                loop.call_soon_threadsafe(done.set)
            except RuntimeError:  # the daemon has ended meanwhile
                return

        self._thread = threading.Thread(target=look, name="projects", daemon=True)
        self._thread.start()
        try:
            await asyncio.wait_for(done.wait(), self._patience)
        except asyncio.TimeoutError:
            return dict(found)  # the thread goes on with its own
        return found


def read_fstab(path: str) -> frozenset[str]:
    """Return the mount points of an fstab(5); none if it can't be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            lines = [line.split() for line in stream]
    except OSError:
        return frozenset()
    points = {fields[1] for fields in lines if len(fields) > 2 and not fields[0].startswith("#")}
    return frozenset(each.replace("\\040", " ") for each in points if each.startswith("/") and each != "/")


def probe_file(path: str, seen: float, mounts: Collection[str] = ()) -> Presence:
    """Return whether a file exists that was there at ``seen`` (seconds since 1970). Blocking, for ever on a dead
    mount."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return "unknown" if _may_be_elsewhere(path, seen, mounts) else "absent"
    except (OSError, ValueError):
        return "unknown"
    return "present"


def _may_be_elsewhere(path: str, seen: float, mounts: Collection[str]) -> bool:
    if any(path.startswith(f"{point.rstrip('/')}/") and not os.path.ismount(point) for point in mounts):
        return True
    folder = os.path.dirname(path)
    while True:
        try:
            status = os.stat(folder)
            break
        except (FileNotFoundError, NotADirectoryError):
            folder = os.path.dirname(folder)
        except OSError:
            return True
    if path.startswith(_REMOVABLE) and not _is_on_removable(folder):
        return True
    return status.st_mtime < seen


def _is_on_removable(folder: str) -> bool:
    """Return whether a disk is mounted at ``folder`` or above, below the folder in which such disks are mounted."""
    while f"{folder}/".startswith(_REMOVABLE) and f"{folder}/" not in _REMOVABLE:
        if os.path.ismount(folder):
            return True
        folder = os.path.dirname(folder)
    return False
