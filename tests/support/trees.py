"""Copies of trees that cost little."""

from __future__ import annotations

import errno
import os
import shutil


def link_or_copy(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Link a file that nobody changes, or copy it if the target lies on another file system, as ``/tmp`` in memory."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copy2(source, target)
