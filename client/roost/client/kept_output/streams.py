"""What the standard streams of a command become whose output is stored.

A terminal becomes a pseudo-terminal with the same settings and size, so that programs behave as they do at a terminal.
A pipe becomes another pipe, from which everything is passed on unchanged. Whatever else it is (a file, a device) stays
the very same; what was written to a file is stored when the command has ended.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Literal, NamedTuple

Kind = Literal["terminal", "pipe", "file", "other"]
STANDARD = (0, 1, 2)


class Streams(NamedTuple):
    """The kinds of the three standard streams, and whether the last two are one."""

    input: Kind
    output: Kind
    errors: Kind
    are_one: bool

    @property
    def have_terminal(self) -> bool:
        """Whether one of them is a terminal: the command gets another one."""
        return "terminal" in self[:3]

    @property
    def is_pipeline(self) -> bool:
        """Whether another program may use the terminal at the same time, as in `roost run … | less`. The command gets
        the keyboard only once it reads from it then."""
        return "pipe" in self[:2] or self.input != "terminal"


def look_at_streams() -> Streams:
    """Return the standard streams of this process. One that is closed is of kind ``other``."""
    kinds = [_find_kind(descriptor) for descriptor in STANDARD]
    return Streams(kinds[0], kinds[1], kinds[2], are_one=_are_same(1, 2))


def _find_kind(descriptor: int) -> Kind:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return "other"
    if os.isatty(descriptor):
        return "terminal"
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return "pipe"
    return "file" if stat.S_ISREG(mode) else "other"


def _are_same(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False


class WrittenFile:
    """What a command writes to a file that is one of its standard streams."""

    def __init__(self, descriptor: int) -> None:
        import fcntl

        self._descriptor = descriptor
        is_appended = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND
        self._start = os.fstat(descriptor).st_size if is_appended else os.lseek(descriptor, 0, os.SEEK_CUR)

    def open_copy(self) -> tuple[int, int, int]:
        """Return a descriptor to read the file by, where the command's part begins, and where it ends. Raises: OSError
        if it may not be read."""
        copy = os.open(f"/dev/fd/{self._descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        return copy, self._start, os.fstat(copy).st_size


def look_at_files(streams: Streams) -> list[WrittenFile]:
    """Return the files that the command is about to write to as its standard streams, each once."""
    descriptors = [n for n, kind in ((1, streams.output), (2, streams.errors)) if kind == "file"]
    found = []
    for descriptor in descriptors[:1] if streams.are_one else descriptors:
        with contextlib.suppress(OSError):
            found.append(WrittenFile(descriptor))
    return found
