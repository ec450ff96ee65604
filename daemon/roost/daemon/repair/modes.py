"""Modes of the root and of what roost has created at its top. All functions block."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from roost.daemon.repair.findings import RootFault
from roost.store.disk.layout import FOLDERS

_FILES = ("format", "lock", "index.db", "index.db-wal", "index.db-shm")


def find_wrong_modes(root: str) -> list[RootFault]:
    """Return what its owner can't use, or others can write to."""
    return [
        RootFault(kind="mode", path=name, message=f"has mode {mode:04o}, and should have {wanted:04o}")
        for name, mode, wanted in _list_wrong(root)
    ]


def repair_modes(root: str) -> list[str]:
    """Set modes that are wrong, of files and folders of this user only; return a line for each."""
    done = []
    for name, mode, wanted in list(_list_wrong(root)):
        with suppress(OSError):
            os.chmod(os.path.join(root, name), wanted)
            done.append(f"{os.path.join(root, name)}: mode {mode:04o} set to {wanted:04o}")
    return done


def _list_wrong(root: str) -> Iterator[tuple[str, int, int]]:
    for name in (".", *FOLDERS, *_FILES):
        try:
            state = os.lstat(os.path.join(root, name))
        except OSError:
            continue
        mode = stat.S_IMODE(state.st_mode)
        kind = stat.S_IFMT(state.st_mode)
        if state.st_uid != os.geteuid() or kind not in (stat.S_IFDIR, stat.S_IFREG):
            continue
        needed = 0o700 if kind == stat.S_IFDIR else 0o600
        wanted = (mode | needed) & ~0o022
        if name == "." and mode & stat.S_ISVTX:
            continue  # a folder that is shared on purpose is refused, and not changed
        if wanted != mode:
            yield name, mode, wanted
