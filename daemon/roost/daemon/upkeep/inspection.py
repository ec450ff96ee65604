"""Look at the root of a running daemon. All functions block, for microseconds."""

from __future__ import annotations

import os

from roost.daemon.upkeep.damage import Damage
from roost.store.disk.layout import FOLDERS, Layout
from roost.store.disk.root_lock import RootLock

FileKey = tuple[int, int]
"""Device and inode."""
_PASSING = ("launch",)
"""Folders that the daemon itself moves away, and makes again with the next file in them: their absence is no damage."""


def read_file_key(path: str) -> FileKey | None:
    """Return what identifies the file at ``path``, ``None`` if there is none."""
    try:
        state = os.lstat(path)
    except OSError:
        return None
    return state.st_dev, state.st_ino


def find_damage(layout: Layout, lock: RootLock, index: FileKey | None, socket: str) -> Damage:
    """Compare the disk with what the daemon created. ``index``: the file that it has open.

    Another file at the socket's path is not damage: it belongs to a daemon with the same ROOST_SOCKET, and two would
    replace each other's for ever.
    """
    if not lock.is_root_present:
        return Damage(root=True)
    return Damage(
        index=read_file_key(layout.index_path) != index,
        lock=not lock.is_file_present,
        socket=not os.path.lexists(socket),
        folders=tuple(
            name for name in FOLDERS if name not in _PASSING and not os.path.isdir(os.path.join(layout.root, name))
        ),
    )
