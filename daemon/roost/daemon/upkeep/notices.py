"""Notices of the kernel that names in a folder were removed: inotify(7), without a library and without waking up.

``watchfiles`` would do, but it costs memory and a thread, and polls for whether to stop.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable

_IN_MOVED_FROM = 0x40
_IN_DELETE = 0x200
_IN_DELETE_SELF = 0x400
_IN_MOVE_SELF = 0x800
_IN_ONLYDIR = 0x1000000
_MASK = _IN_MOVED_FROM | _IN_DELETE | _IN_DELETE_SELF | _IN_MOVE_SELF | _IN_ONLYDIR


class RemovalNotices:
    """A descriptor that becomes readable when a name in a watched folder, or the folder itself, is removed or moved."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def open(cls) -> RemovalNotices | None:
        """Return ``None`` if the system has no inotify, or no instance left (``fs.inotify.max_user_instances``)."""
        if sys.platform != "linux":
            return None
        descriptor = _libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        return None if descriptor < 0 else cls(descriptor)

    def watch(self, folders: Iterable[str]) -> None:
        """Watch the folders that exist. Watching one again changes nothing."""
        for folder in folders:
            _libc().inotify_add_watch(self.descriptor, os.fsencode(folder), _MASK)

    def drain(self) -> None:
        """Discard the notices: which names they are about is of no interest, since the disk is looked at anyway."""
        try:
            while os.read(self.descriptor, 65536):
                pass
        except OSError:
            pass

    def close(self) -> None:
        """Stop watching."""
        os.close(self.descriptor)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
