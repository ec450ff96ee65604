"""What passes between a command whose output is stored and the rest of the world: its pipes, and signals."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C module: `signal` costs its enums
import os
import select
from typing import Any

from roost.client.kept_output.storage import KeptOutput
from roost.client.kept_output.streams import Streams

JOB_SIGNALS = ("SIGINT", "SIGQUIT", "SIGHUP", "SIGTSTP")
"""The terminal sends these to a whole job."""
COMMAND_SIGNALS = ("SIGTERM", "SIGUSR1", "SIGUSR2")
CHUNK = 65536
LATE_MS = 50
"""How long output is waited for once the command has ended, if something that it left running can still write."""


class Pipes:
    """The pipes in place of the standard streams that are pipes: what comes out of them is passed on and stored."""

    def __init__(self, streams: Streams) -> None:
        self.readers: dict[int, int] = {}
        """What to read from, and the standard stream that it is for."""
        self.writers: dict[int, int] = {}
        """Standard stream, and what the command gets for it."""
        if streams.output == "pipe":
            self._add(1)
        if streams.errors == "pipe":
            if streams.are_one and 1 in self.writers:
                self.writers[2] = self.writers[1]
            else:
                self._add(2)

    def _add(self, stream: int) -> None:
        reader, self.writers[stream] = os.pipe()
        self.readers[reader] = stream

    def close_writers(self) -> None:
        """Close this process's copies: the readers end when the command's are closed."""
        for descriptor in set(self.writers.values()):
            os.close(descriptor)

    def drop(self, reader: int) -> None:
        """Read no more: the command gets SIGPIPE if it writes on, as if it wrote to the pipe itself."""
        os.close(reader)
        del self.readers[reader]


class Output:
    """Passes output on and stores it."""

    def __init__(self, store: KeptOutput, pipes: Pipes) -> None:
        self._store = store
        self.pipes = pipes

    def pass_pipe(self, reader: int) -> None:
        """Pass on what can be read now."""
        data = os.read(reader, CHUNK)
        if data:
            self._store(data)
        if not data or not write_all(self.pipes.readers[reader], data):
            self.pipes.drop(reader)

    def pass_terminal(self, data: bytes, shown: bytes, descriptor: int) -> None:
        """Store ``data``, and write ``shown`` to the user's terminal; one that no longer exists loses it."""
        self._store(data)
        write_all(descriptor, shown)

    def drain(self) -> None:
        """Pass on what is left in the pipes."""
        while self.pipes.readers:
            ready = select.select(list(self.pipes.readers), [], [], LATE_MS / 1000)[0]
            if not ready:
                return
            for reader in ready:
                self.pass_pipe(reader)


def write_all(descriptor: int, data: bytes) -> bool:
    """Write ``data`` and return ``True``; ``False`` if nobody reads there any more."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
        except OSError:
            return False
    return True


class SignalPipe:
    """Signals as they arrive, by a descriptor that can be polled. One that was ignored stays ignored."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()
        for descriptor in (self.reader, self._writer):
            os.set_blocking(descriptor, False)
        self._former: dict[int, Any] = {}
        self.names: dict[int, str] = {}

    def __enter__(self) -> SignalPipe:
        self._wakeup = _signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for name in (*JOB_SIGNALS, *COMMAND_SIGNALS, "SIGWINCH", "SIGCONT", "SIGCHLD"):
            number = getattr(_signal, name)
            if _signal.getsignal(number) != _signal.SIG_IGN:
                self._former[number] = _signal.signal(number, lambda number, frame: None)
                self.names[number] = name
        for name in ("SIGTTIN", "SIGTTOU"):  # reads fail and settings apply instead, while this is in the background
            number = getattr(_signal, name)
            self._former[number] = _signal.signal(number, _signal.SIG_IGN)
        return self

    def __exit__(self, *ignored: object) -> None:
        for number, handler in self._former.items():
            _signal.signal(number, handler if handler is not None else _signal.SIG_DFL)
        _signal.set_wakeup_fd(self._wakeup)
        os.close(self.reader)
        os.close(self._writer)

    def read(self) -> list[int]:
        """Return the numbers of the signals that arrived."""
        try:
            return [number for number in os.read(self.reader, CHUNK) if number in self.names]
        except BlockingIOError:
            return []
