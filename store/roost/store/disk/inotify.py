"""Notices of the kernel about folders: inotify(7) by ctypes, without a thread of its own and without waking up.

``watchfiles`` (RustNotify) was measured and left: it can't add a folder to those that it watches, does not say that the
queue has overflowed, takes 6 MB with its imports, and its thread wakes 20 times a second to see whether to stop.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from typing import NamedTuple

MODIFY = 0x2
ATTRIB = 0x4
CLOSE_WRITE = 0x8
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
UNMOUNT = 0x2000
OVERFLOW = 0x4000
IGNORED = 0x8000
ONLYDIR = 0x1000000
DONT_FOLLOW = 0x2000000
EXCL_UNLINK = 0x4000000
MASK_ADD = 0x20000000
ISDIR = 0x40000000
"""Bits of masks, by their names in ``<sys/inotify.h>`` without ``IN_``."""

_HEADER = struct.Struct("iIII")
_READ_BYTES = 65536


class FolderNotice(NamedTuple):
    """One event: the number of the watch (-1 if the queue has overflowed), its mask, and a name in the folder, or the
    empty name for the folder itself."""

    watch: int
    mask: int
    name: str


class Inotify:
    """One inotify instance. Its ``descriptor`` is readable while there are notices. Close it at the end.

    Raises:
        OSError: ``ENOSYS`` if the system has no inotify; ``EMFILE`` if no instance is left for this user
            (``fs.inotify.max_user_instances``), or no descriptor for this process.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = _check(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def watch(self, folder: str, mask: int) -> int:
        """Watch a folder and return the number of its watch: the same one for the same folder under any of its names.

        Raises:
            OSError: ``ENOSPC`` if no watch is left for this user (``fs.inotify.max_user_watches``); ``EACCES`` if the
                folder can't be read; ``ENOENT`` or ``ENOTDIR`` if it is none.
        """
        return _check(self._libc.inotify_add_watch(self.descriptor, os.fsencode(folder), ctypes.c_uint32(mask)))

    def unwatch(self, watch: int) -> None:
        """End a watch. It may have ended by itself, with its folder."""
        self._libc.inotify_rm_watch(self.descriptor, watch)

    def read(self) -> list[FolderNotice]:
        """Return some of the notices that have come, without waiting. None: there are no more."""
        try:
            data = os.read(self.descriptor, _READ_BYTES)
        except BlockingIOError:
            return []
        return parse_notices(data)

    def close(self) -> None:
        """End all watches."""
        os.close(self.descriptor)


def parse_notices(data: bytes) -> list[FolderNotice]:
    """Return the events in what was read from an inotify descriptor, which the kernel never cuts."""
    notices, start = [], 0
    while start + _HEADER.size <= len(data):
        watch, mask, _cookie, length = _HEADER.unpack_from(data, start)
        start += _HEADER.size
        name = os.fsdecode(data[start : start + length].rstrip(b"\0")) if length else ""
        notices.append(FolderNotice(watch, mask, name))
        start += length
    return notices


def _check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
