"""Content of files that was read, by the state in which each file was read, so that a build reads nothing twice."""

from __future__ import annotations

import hashlib
import os
import time
from typing import NamedTuple

from roost.store.disk.regular_files import open_descriptor

SETTLED_NS = 50 * 10**6
"""A file that was written less than this before its content was read may have been written again since, within the
same tick of the file system's clock. It is read once more."""


class FileState(NamedTuple):
    """A file, whatever its name is, as it is until it is written again."""

    device: int
    inode: int
    size: int
    time: int
    """mtime (ns)."""


def read_state(status: os.stat_result) -> FileState:
    """Return the state of the file that ``status`` is of."""
    return FileState(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def digest_regular(path: str, algorithm: str) -> tuple[bytes, FileState | None]:
    """Return the digest of a regular file, and the state that the file has as long as it has this content; ``None`` if
    a later change might not show in it. Blocks. Raises: OSError."""
    digest, file = hashlib.new(algorithm), open_descriptor(path)
    try:
        began, before = time.time_ns(), os.fstat(file)
        while chunk := os.read(file, 1 << 20):
            digest.update(chunk)
        state = read_state(os.fstat(file))
    finally:
        os.close(file)
    is_settled = state.time < began - SETTLED_NS and state == read_state(before)
    return digest.digest(), state if is_settled else None
