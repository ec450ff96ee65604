"""The output of a detached run on disk, and its bound: what is beyond is dropped from the middle.

The command writes to ``FOLDER/output`` itself, so that it depends on nobody who reads. Whoever supervises it punches a
hole into the middle of a file that is too long (fallocate(2)): the head and the newest part stay, and offsets do not
change. ``FOLDER/output.cut`` says what is left out. It is written first, so that no reader takes the zeros of the hole
for output.

For both, since supervisors are the client's, and the daemon writes the output of containers. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import threading
from typing import IO, NamedTuple

OUTPUT, CUT, REMOVED = "output", "output.cut", "output.removed"
REMOVED_LINE = b"[roost: the output of this run was removed to free space (cache.output_days)]\n"
"""What a reader gets in place of an output that has a file ``output.removed`` beside its name."""
LOOK_SECONDS = 1.0
_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01
"""``FALLOC_FL_PUNCH_HOLE`` and ``FALLOC_FL_KEEP_SIZE`` of ``<linux/falloc.h>``."""
_LINE_BYTES = 65536
"""How far the end of a line is looked for, at which the output is cut."""


class OutputCut(NamedTuple):
    """The bytes of the output that are left out, from ``start`` up to ``end``."""

    start: int
    end: int


def plan_cut(size: int, cut: OutputCut | None, limit: int) -> OutputCut | None:
    """Return what to leave out of an output of ``size`` bytes; ``None`` if what is left has at most ``limit``.

    The first half of the limit stays for ever, and of the newest output a quarter at least, so that not every look
    cuts. Pure.
    """
    left_out = cut.end - cut.start if cut else 0
    if size - left_out <= limit:
        return None
    return OutputCut(cut.start if cut else limit // 2, size - limit // 4)


def read_cut(folder: str) -> OutputCut | None:
    """Return what is left out of the output in the folder of a run; ``None`` if it is whole. Blocks."""
    try:
        with open(os.path.join(folder, CUT), "rb") as file:
            found = json.loads(file.read())
        return OutputCut(int(found["start"]), int(found["end"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def bound_output(folder: str, limit: int) -> bool:
    """Cut the output in the folder of a run if it is too long. Return ``False`` if the file system can't. Blocks."""
    with open(os.path.join(folder, OUTPUT), "r+b", buffering=0) as output:
        descriptor = output.fileno()
        former = read_cut(folder)
        cut = plan_cut(os.fstat(descriptor).st_size, former, limit)
        if cut is None:
            return True
        if former is None:
            cut = cut._replace(start=_after_line(descriptor, cut.start, cut.end))
        cut = cut._replace(end=_after_line(descriptor, cut.end, cut.end + _LINE_BYTES))
        if not _can_punch(descriptor):
            return False
        _write_cut(folder, cut)
        _punch_hole(descriptor, cut.start, cut.end - cut.start)
    return True


def describe_cut(skipped: int) -> bytes:
    """Return the line that stands for ``skipped`` bytes of output."""
    return f"\n[roost: {skipped:,} bytes of output are left out here: runs.output_bytes]\n".encode()


class StoredOutput:
    """The output of a command that this process writes from its first byte on, bounded. All methods block."""

    def __init__(self, folder: str, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._file: IO[bytes] | None = None
        self._unchecked = 0

    def open(self) -> None:
        """Begin anew: what an earlier process wrote is replaced. Raises: OSError."""
        self._file = open(os.path.join(self._folder, OUTPUT), "wb", buffering=0)  # noqa: SIM115 - until ``close``
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self._folder, CUT))

    def write(self, data: bytes) -> None:
        """Append ``data``, and cut the output if it is too long. Raises: OSError."""
        assert self._file is not None
        self._file.write(data)
        self._unchecked += len(data)
        if self._unchecked > self._limit // 8:
            self._unchecked = 0
            bound_output(self._folder, self._limit)

    def close(self) -> None:
        """Cut it for the last time. Raises: OSError."""
        assert self._file is not None
        self._file.close()
        bound_output(self._folder, self._limit)


class OutputWatch:
    """Bounds the output of a command that runs, from a thread that looks once a second."""

    def __init__(self, folder: str, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> OutputWatch:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look for the last time."""
        self._ended.set()
        self._thread.join()

    def _look_on(self) -> None:
        while True:
            is_last = self._ended.wait(LOOK_SECONDS)
            try:
                can_go_on = bound_output(self._folder, self._limit)
            except OSError:  # the disk is full, or somebody removed the folder: the command goes on
                can_go_on = True
            if is_last or not can_go_on:
                return


def _after_line(descriptor: int, position: int, end: int) -> int:
    """Return the start of the first line after ``position``, or that itself if none begins soon."""
    found = os.pread(descriptor, min(_LINE_BYTES, max(0, end - position)), position).find(b"\n")
    return position if found < 0 else position + found + 1


def _write_cut(folder: str, cut: OutputCut) -> None:
    path = os.path.join(folder, CUT)
    with open(f"{path}.new", "w", encoding="ascii") as file:
        json.dump(cut._asdict(), file)
    os.replace(f"{path}.new", path)


def _can_punch(descriptor: int) -> bool:
    """Whether the file system can: tried behind the end of the file, where nothing is lost."""
    try:
        _punch_hole(descriptor, os.fstat(descriptor).st_size + 2**20, 4096)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENOSYS):
            return False
        raise
    return True


def _punch_hole(descriptor: int, start: int, length: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "fallocate64"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    done = libc.fallocate64(descriptor, _PUNCH_HOLE_KEEP_SIZE, ctypes.c_int64(start), ctypes.c_int64(length))
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
