"""Copies of trees that cost little, and what the files of a tree hold."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path


def link_or_copy(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Link a file that nobody changes, or copy it if the target lies on another file system, as ``/tmp`` in memory."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copy2(source, target)


def find_holding(text: str, *folders: Path) -> list[Path]:
    """Files below ``folders`` with ``text`` in them, logs and databases included. What goes meanwhile is passed over: a
    daemon may be at work there."""
    found = []
    for path in (path for folder in folders for path in folder.rglob("*")):
        try:
            found += [path] if path.is_file() and text.encode() in path.read_bytes() else []
        except OSError:
            continue
    return found
