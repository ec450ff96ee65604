"""Take an unpacked wheel, or a folder of answers and sources, out of uv's cache, under uv's own lock.

Every uv process holds a shared flock(2) on ``.lock`` of its cache as long as it runs, and an exclusive one to clean.
This module takes the exclusive one only if it is free, and holds it for a few renames: waiting for it would hang as
long as any uv runs, and those that come meanwhile would hang with it.

Pointers to a wheel go first (``<tags>.http`` or ``.rev``, which name the folder in ``archive-v*``, and a link to it):
without one, uv fetches the wheel again. After a crash in between, the folder is still there and nothing names it.
"""

from __future__ import annotations

import fcntl
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from roost.daemon.engines.uv.prefix import normalize_name

LOCK_FILE = ".lock"
_SUFFIXES = (".http", ".rev", ".msgpack", ".lock")
_BUCKETS = ("wheels-v*", "sdists-v*")
_DEPTH = 3
"""Folders between a bucket and the one of a distribution, at most: ``index/<digest>``, ``url/<digest>``, ``pypi``."""


@contextmanager
def lock_cache(cache_dir: str) -> Iterator[bool]:
    """Hold uv's exclusive lock of its cache; the value is ``False`` if any uv is at work. Blocks, but never waits."""
    try:
        descriptor = os.open(os.path.join(cache_dir, LOCK_FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except FileNotFoundError:  # there is no cache
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def find_distribution(archive: str) -> tuple[str, str] | None:
    """Return the normalized name and the version of the wheel that is unpacked at ``archive``. Blocks."""
    with suppress(OSError), os.scandir(archive) as entries:
        for entry in entries:
            if entry.name.endswith(".dist-info"):
                name, _, version = entry.name.removesuffix(".dist-info").rpartition("-")
                return normalize_name(name), version
    return None


def forget_archive(cache_dir: str, archive: str, name: str) -> int:
    """Delete what points to the folder ``archive`` of the distribution ``name``, and the metadata of its wheel; return
    how many pointers. Blocks.

    uv stores the metadata that a solve read below the index, and the wheel that it installed below its URL.
    """
    folders = list(_list_folders(cache_dir, name))
    stems = [stem for folder in folders for stem in _list_pointers(folder, os.path.basename(archive))]
    beside = [os.path.join(folder, os.path.basename(stem) + ".msgpack") for folder in folders for stem in stems]
    for path in (*(stem + suffix for stem in stems for suffix in _SUFFIXES), *stems, *beside):
        with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
            os.unlink(path)
    return len(stems)


def _list_folders(cache_dir: str, name: str) -> Iterator[str]:
    """Yield the folders with pointers of one distribution."""
    for bucket in _BUCKETS:
        for depth in range(1, _DEPTH + 1):
            yield from glob.iglob(os.path.join(glob.escape(cache_dir), bucket, *["*"] * depth, glob.escape(name)))


def _list_pointers(folder: str, archive_id: str) -> set[str]:
    """Return the paths without suffix of the pointers below ``folder`` to an archive."""
    found = set()
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = os.path.join(parent, name)
            if os.path.islink(path):
                if os.path.basename(os.readlink(path)) == archive_id:
                    found.add(path)
            elif name.endswith((".http", ".rev")) and _mentions(path, archive_id):
                found.add(path.rpartition(".")[0])
    return found


def _mentions(path: str, archive_id: str) -> bool:
    with suppress(OSError), open(path, "rb") as stream:
        return archive_id.encode() in stream.read(1 << 16)
    return False
