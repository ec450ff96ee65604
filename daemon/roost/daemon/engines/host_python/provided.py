"""Pythons that roost itself has: conda's, which came with bundles, for machines without one of that X.Y.

Each is a link in one folder to the Python of a prefix. Separate from ``interpreters`` because these are found by their
links, and follow their prefixes. All functions block.
"""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress

from roost.store.disk.file_ops import rename, sync_folder

_LOCK_DIGITS = 8
"""What the names of a lock's prefixes have in common (``Layout.new_prefix``)."""
_folders: list[str] = []


def use_folder(folder: str) -> None:
    """Look for Pythons among the links in ``folder`` too."""
    if folder not in _folders:
        _folders.append(folder)


def list_provided() -> Iterator[str]:
    """Yield the real paths of the Pythons in the folders of :func:`use_folder`."""
    for folder in _folders:
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*"))):
            if os.access(path, os.X_OK):
                yield os.path.realpath(path)


def link_python(folder: str, prefix: str, name: str) -> None:
    """Let the Python of ``prefix`` be found under ``name``, in place of one that has this name already."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    beside = os.path.join(folder, f".{secrets.token_hex(6)}")
    os.symlink(os.path.join(prefix, "bin", "python"), beside)
    try:
        rename(beside, os.path.join(folder, name))
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(beside)
        raise
    sync_folder(folder)


def follow_prefix(folder: str, prefix: str) -> None:
    """Let the links to earlier prefixes of the same lock point to ``prefix``, which has taken their place."""
    if not os.path.isdir(folder):
        return
    for name in os.listdir(folder):
        with suppress(OSError):
            earlier = os.path.dirname(os.path.dirname(os.readlink(os.path.join(folder, name))))
            same_lock = os.path.basename(earlier)[:_LOCK_DIGITS] == os.path.basename(prefix)[:_LOCK_DIGITS]
            if same_lock and earlier != prefix and not name.startswith("."):
                link_python(folder, prefix, name)
