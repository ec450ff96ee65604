"""Frames between the daemon and a worker: four bytes of length (network order), then a msgpack map or array.

The daemon writes :class:`Job` frames only. A worker answers each with :class:`Started`, any number of reports, and one
:class:`Done` or :class:`Failed`.
"""

from __future__ import annotations

import asyncio
import os
import struct
import threading

import msgspec

from roost.daemon.workers.faults import Fault

_LENGTH = struct.Struct("!I")
MAX_FRAME = 512 << 20
"""Bytes. The largest real frames are locks of a thousand packages, 2 MB."""


class Job(msgspec.Struct, frozen=True, tag="job"):
    """Run ``target`` with ``payload``, which is msgpack."""

    target: str
    payload: msgspec.Raw


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The job was read; what happens from here on is its own doing."""


class Report(msgspec.Struct, frozen=True, tag="report", kw_only=True):
    """A call of one of the methods of a ``Progress``."""

    call: str
    subject: str
    """A step, or the line of a log."""
    done: int = 0
    total: int | None = None


class Doing(msgspec.Struct, frozen=True, tag="doing"):
    """The job begins something that is named if it crashes, or has ended it."""

    subject: str
    begins: bool


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The job's result, in msgpack."""

    result: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The job's error."""

    fault: Fault


Answer = Started | Report | Doing | Done | Failed

_ENCODER = msgspec.msgpack.Encoder()
ANSWERS = msgspec.msgpack.Decoder(Answer)
JOBS = msgspec.msgpack.Decoder(Job)


def encode_frame(frame: Answer | Job) -> bytes:
    """Return the bytes of ``frame``. Raises ``ValueError`` if it has more than :data:`MAX_FRAME`."""
    body = _ENCODER.encode(frame)
    if len(body) > MAX_FRAME:
        raise ValueError(f"a frame of {len(body)} bytes is too large")
    return _LENGTH.pack(len(body)) + body


def encode_value(value: object) -> msgspec.Raw:
    """Return ``value`` as a part of a frame."""
    return msgspec.Raw(_ENCODER.encode(value))


async def read_frame(stream: asyncio.StreamReader) -> bytes | None:
    """Return the body of the next frame, ``None`` at the end of the stream, wherever in a frame that is."""
    try:
        (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
        if length > MAX_FRAME:
            return None
        return await stream.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def read_blocking(descriptor: int) -> bytes | None:
    """As :func:`read_frame`, from a descriptor. Blocks."""
    head = _read_exactly(descriptor, _LENGTH.size)
    return None if head is None else _read_exactly(descriptor, _LENGTH.unpack(head)[0])


def _read_exactly(descriptor: int, count: int) -> bytes | None:
    parts: list[bytes] = []
    while count:
        part = os.read(descriptor, min(count, 1 << 20))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


class FrameWriter:
    """Writes whole frames to a descriptor, from any thread. Blocks while the reader is busy."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def write(self, frame: Answer) -> None:
        data = memoryview(encode_frame(frame))
        with self._lock:
            while data:
                data = data[os.write(self._descriptor, data) :]
