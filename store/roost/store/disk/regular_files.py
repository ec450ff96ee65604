"""Open files that somebody else named: regular ones only, without waiting, and bounded. All functions block.

Opening a pipe for reading waits for a writer, ``/dev/zero`` has no end, and opening a device may have effects. A thread
that waits in a read can't be cancelled, so such a file would take a thread of the daemon for ever. Everything that a
request or a file of the user names is opened here; ``open`` is for files that roost itself has written.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

MAX_FILE_BYTES = 64 << 20
"""Limit for files that are read as a whole: no definition is as large, but a model that was named by mistake is."""


def open_regular(path: str) -> BinaryIO:
    """Open a regular file for reading. Links are followed.

    Raises:
        OSError: the file can't be opened, or is a device, a pipe, a socket or a folder.
    """
    file = open_descriptor(path)
    try:
        return open(file, "rb")
    except BaseException:
        os.close(file)
        raise


def open_descriptor(path: str) -> int:
    """Return a descriptor of a regular file, as ``open_regular`` opens it: a file object takes longer than reading a
    small file. Raises: OSError."""
    if "\0" in path:
        raise OSError(errno.EINVAL, "its name has a NUL character")
    _require_regular(os.stat(path))
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        _require_regular(os.fstat(file))  # another one may have taken its place
    except BaseException:
        os.close(file)
        raise
    return file


def read_regular(path: str, limit: int = MAX_FILE_BYTES) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes. Raises: OSError."""
    with open_regular(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {_format_limit(limit)}")
    return data


def require_regular(path: str) -> None:
    """Refuse a file that a foreign library is about to open, as ``open_regular`` would. Raises: OSError."""
    open_regular(path).close()


def _require_regular(state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def _format_limit(limit: int) -> str:
    return f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit} bytes"
