"""What this daemon remembers of the venvs that uv has made, for each Python by the state of its file.

Nothing is kept on the disk: the first venv of each Python in the life of a daemon is made by uv.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeVar

from roost.daemon.engines.uv.venvs.answers import Answer, read_answer, write_command
from roost.daemon.engines.uv.venvs.template import VenvTemplate, read_template, write_template

T = TypeVar("T")

_Key = tuple[tuple[str, int, int, int, int], ...]
_NAME = re.compile(r"[0-9a-f]{8}-[a-z2-7]{8}")
"""Names of prefixes: random enough to be replaced wherever they stand."""
_MOST = 16
"""Pythons that are remembered."""


class KnownVenvs:
    """Templates and answers. ``binary`` is the path of uv: another uv may make and ask something else. All methods
    block."""

    def __init__(self, binary: str) -> None:
        self._binary = binary
        self._templates: dict[_Key, VenvTemplate] = {}
        self._answers: dict[_Key, Answer] = {}

    def write(self, prefix: str, executable: str) -> bool:
        """Make a venv of the Python ``executable`` at ``prefix`` (new, or an empty folder); return whether one is
        known.

        Raises:
            OSError: it can't be written.
        """
        key = self._find_key(prefix, executable)
        template = self._templates.get(key) if key else None
        if template is None:
            return False
        write_template(template, prefix)
        return True

    def learn(self, prefix: str, executable: str) -> None:
        """Remember the venv ``prefix`` of the Python ``executable``, which uv has just made."""
        with suppress(OSError):
            template = read_template(prefix)
            if template is not None and (key := self._find_key(prefix, executable)):
                _put(self._templates, key, template)

    def write_command(self, folder: str, prefix: str, python: str) -> str:
        """Return a command in ``folder`` that uv may ask in place of ``python``, that of the venv ``prefix``."""
        key = self._find_key(prefix, python)
        return write_command(folder, prefix, python, self._answers.get(key) if key else None)

    def learn_answer(self, folder: str, prefix: str, python: str) -> None:
        """Remember what ``python`` answered to the command in ``folder``."""
        key = self._find_key(prefix, python)
        if key and key not in self._answers and (answer := read_answer(folder, prefix)) is not None:
            _put(self._answers, key, answer)

    def _find_key(self, prefix: str, python: str) -> _Key:
        """Return the states of a Python and of uv; nothing if one can't be read, or for a prefix of another name."""
        if not _NAME.fullmatch(os.path.basename(prefix)):
            return ()
        return tuple(_find_states([os.path.realpath(python), self._binary]))


def _find_states(paths: Sequence[str]) -> list[tuple[str, int, int, int, int]]:
    try:
        found = [(path, os.stat(path)) for path in paths]
    except OSError:
        return []
    return [(path, each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns) for path, each in found]


def _put(kept: dict[_Key, T], key: _Key, value: T) -> None:
    kept[key] = value
    if len(kept) > _MOST:
        del kept[next(iter(kept))]
