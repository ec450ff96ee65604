"""The output of a run that is stored in its folder, as readers get it: see ``wire.run_output``. All functions block."""

from __future__ import annotations

import os

from roost.wire.run_output import OUTPUT, REMOVED, REMOVED_LINE, describe_cut, read_cut

_CHUNK = 2**16


def read_at(folder: str, offset: int) -> tuple[bytes, int]:
    """Return the next output of a run from ``offset``, and the offset behind it. A line stands for what is left out."""
    cut = read_cut(folder)
    if cut is not None and cut.start <= offset < cut.end:
        return describe_cut(cut.end - offset), cut.end
    limit = min(_CHUNK, cut.start - offset) if cut is not None and offset < cut.start else _CHUNK
    try:
        with open(os.path.join(folder, OUTPUT), "rb") as file:
            file.seek(offset)
            chunk = file.read(limit)
    except FileNotFoundError:
        if offset == 0 and os.path.exists(os.path.join(folder, REMOVED)):
            return REMOVED_LINE, 1
        return b"", offset
    now = read_cut(folder)
    if now != cut and now is not None and offset < now.end and offset + len(chunk) > now.start:
        return read_at(folder, offset)  # it was cut while it was read, and zeros may be in it
    return chunk, offset + len(chunk)


def find_tail(folder: str, lines: int) -> int:
    """Return the offset at which the last ``lines`` lines of the output begin; 0 if it has fewer. What is left out of
    the middle is no line."""
    try:
        descriptor = os.open(os.path.join(folder, OUTPUT), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        size, cut = os.fstat(descriptor).st_size, read_cut(folder)
        parts = [(cut.end, size), (0, cut.start)] if cut is not None else [(0, size)]
        wanted = lines
        for start, end in parts:
            position, found = _find_in_part(descriptor, start, end, wanted)
            if position is not None:
                return position
            wanted -= found
        return 0
    finally:
        os.close(descriptor)


def _find_in_part(descriptor: int, start: int, end: int, wanted: int) -> tuple[int | None, int]:
    """Return where the ``wanted``-th line from ``end`` begins, ``None`` if the part has fewer, and how many it has."""
    if wanted <= 0:
        return end, 0
    found, position = 0, end
    while position > start:
        begin = max(start, position - _CHUNK)
        block = os.pread(descriptor, position - begin, begin)
        if position == end and block.endswith(b"\n"):
            block = block[:-1]  # it ends the last line, and begins none
        number = block.count(b"\n")
        if found + number < wanted:
            found, position = found + number, begin
            continue
        at = len(block)
        while found < wanted:
            at = block.rfind(b"\n", 0, at)
            found += 1
        return begin + at + 1, found
    return None, found + (end > start)
