"""uv's progress bars, read as numbers: uv tells how far a download is on a terminal only, so it is given one.

A frame is redrawn in place; what is left after taking out the drawing is bars (``numpy ---- 1.0 MiB/16 MiB``, all on
one line), decoration, or a line as uv writes it elsewhere. A frame that is not understood costs a
number on the screen, no more.
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
    """A pseudo-terminal's two ends (ours, the child's), wide enough that nothing is wrapped."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, _COLUMNS, 0, 0))
    return ours, theirs


async def connect(ours: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    """A reader for our end; closing the transport closes it."""
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", buffering=0)
    )
    return reader, transport


class TerminalLines:
    """Cuts what comes from a terminal into lines."""

    def __init__(self) -> None:
        self._rest = ""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines and frames that are complete, without drawing."""
        *whole, self._rest = re.split(r"[\r\n]", self._rest + self._decode(data))
        for line in whole:
            plain = _ESCAPE.sub("", line).rstrip()
            if plain:
                yield plain

    def rest(self) -> str:
        """What had no end."""
        return _ESCAPE.sub("", self._rest).rstrip()


def bars(frame: str) -> list[tuple[str, int, int]]:
    """Name, bytes so far and bytes in all of each download that a frame shows."""
    return [
        (name, int(float(done) * _UNITS.get(unit, 1)), int(float(total) * _UNITS.get(total_unit, 1)))
        for name, done, unit, total, total_unit in _BAR.findall(frame)
    ]


def is_drawing(line: str) -> bool:
    """Whether a line is a bar or decoration, and so belongs into no log."""
    return not line or _BAR.search(line) is not None or _DECORATION.match(line) is not None


async def read_some(reader: asyncio.StreamReader) -> bytes:
    """What is there now; nothing at the end (which Linux tells by an error)."""
    with contextlib.suppress(OSError):
        return await reader.read(1 << 16)
    return b""
