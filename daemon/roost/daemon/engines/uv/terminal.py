"""Read uv's progress bars as numbers. uv reports the progress of downloads only on a terminal, so it gets one.

A frame is redrawn in place; without the control sequences it is bars (``numpy ---- 1.0 MiB/16 MiB``, all on one line),
decoration, or a line as uv writes it to a pipe. A frame that is not understood only costs a number on the screen.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Iterator

_COLUMNS = 500
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BAR = re.compile(r"(\S+)\s+-+\s+([\d.]+) ?([KMGT]?i?B)/([\d.]+) ?([KMGT]?i?B)")
_DECORATION = re.compile(r"^[\u2800-\u28ff\u2588\u2591]")
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def open_terminal() -> tuple[int, int]:
    """Open a pseudo-terminal wide enough that no line is wrapped; return the parent's end and the child's."""
    parent_end, child_end = pty.openpty()
    fcntl.ioctl(child_end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, _COLUMNS, 0, 0))
    return parent_end, child_end


async def connect_reader(parent_end: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    """Return a reader for the parent's end, and its transport; closing the transport closes the end."""
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(parent_end, "rb", buffering=0)
    )
    return reader, transport


class TerminalLines:
    """Splits the output of a terminal into lines and frames, without control sequences."""

    def __init__(self) -> None:
        self._rest = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines and frames that ``data`` completes."""
        *whole, self._rest = re.split(r"[\r\n]", self._rest + self._decode(data))
        for line in whole:
            plain = _ESCAPE.sub("", line).rstrip()
            if plain:
                yield plain

    def flush(self) -> str:
        """Return the last line, which has no end."""
        return _ESCAPE.sub("", self._rest).rstrip()


def parse_bars(frame: str) -> list[tuple[str, int, int]]:
    """Return name, bytes so far and total bytes of each download in a frame."""
    return [
        (name, int(float(done) * _UNITS.get(unit, 1)), int(float(total) * _UNITS.get(total_unit, 1)))
        for name, done, unit, total, total_unit in _BAR.findall(frame)
    ]


def is_drawing(line: str) -> bool:
    """Return whether a line is empty, a bar or decoration, which do not belong in a log."""
    return not line or _BAR.search(line) is not None or _DECORATION.match(line) is not None


async def read_available(reader: asyncio.StreamReader) -> bytes:
    """Read what is available now; return nothing at the end (which Linux reports as an error)."""
    with contextlib.suppress(OSError):
        return await reader.read(1 << 16)
    return b""
