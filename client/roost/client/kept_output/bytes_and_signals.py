"""What passes between a command whose output is stored and the rest of the world: its pipes, and signals."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C module: `signal` costs its enums
import os
import select
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from roost.client.kept_output.storage import KeptOutput
from roost.client.kept_output.streams import Streams

JOB_SIGNALS = ("SIGINT", "SIGQUIT", "SIGHUP", "SIGTSTP")
"""The terminal sends these to a whole job."""
END_SIGNALS = (*JOB_SIGNALS[:3], "SIGTERM")
"""By these a command is asked to end."""
COMMAND_SIGNALS = ("SIGTERM", "SIGUSR1", "SIGUSR2")
CONTROL_SIGNALS = ("SIGTSTP", "SIGCONT", "SIGWINCH")
"""These are passed on to a command that has a terminal of its own."""
CHUNK = 65536
LATE_MS = 50
"""How long output is waited for once the command has ended, if something that it left running can still write."""
GIVE_UP_MS = 500
"""How long a reader that takes nothing is waited for once the command has ended because it was asked to."""
_PIECE = 4096
"""Bytes that a pipe takes without blocking if it takes any: PIPE_BUF of Linux (pipe(7))."""


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


class Conductor(Protocol):
    """Whoever runs the command."""

    def list_urgent(self) -> Mapping[int, Callable[[], None]]:
        """Return what is to be read as soon as something is there, though a reader of the output is slow."""

    def is_over(self) -> bool:
        """Whether the command has ended because it was asked to."""


class Output:
    """Passes output on and stores it. Whoever reads it may be slow; signals and stops are handled meanwhile."""

    def __init__(self, store: KeptOutput, pipes: Pipes, conductor: Conductor) -> None:
        self._store = store
        self._conductor = conductor
        self._is_given_up = False
        self.pipes = pipes

    def pass_pipe(self, reader: int) -> None:
        """Pass on what can be read now."""
        data = os.read(reader, CHUNK)
        if data:
            self._store(data)
        if not data or not self._write(self.pipes.readers[reader], data):
            self.pipes.drop(reader)

    def pass_terminal(self, data: bytes, shown: bytes, descriptor: int) -> None:
        """Store ``data``, and write ``shown`` to the user's terminal; one that no longer exists loses it."""
        self._store(data)
        self._write(descriptor, shown)

    def drain(self) -> None:
        """Pass on what is left in the pipes."""
        while self.pipes.readers:
            ready = select.select(list(self.pipes.readers), [], [], LATE_MS / 1000)[0]
            if not ready:
                return
            for reader in ready:
                self.pass_pipe(reader)

    def _write(self, descriptor: int, data: bytes) -> bool:
        """Write ``data`` and return ``True``; ``False`` if nobody reads there any more."""
        rest = memoryview(data)
        while rest:
            if not self._wait(descriptor):
                return False
            try:
                rest = rest[os.write(descriptor, rest[:_PIECE]) :]
            except BlockingIOError:
                continue
            except OSError:
                return False
        return True

    def _wait(self, descriptor: int) -> bool:
        """Return ``True`` once ``descriptor`` can be written or has failed; ``False`` if nobody waits any longer."""
        while not self._is_given_up:
            urgent = self._conductor.list_urgent()
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            for other in urgent:
                poll.register(other, select.POLLIN)
            ready = [number for number, _ in poll.poll(GIVE_UP_MS if self._conductor.is_over() else None)]
            if descriptor in ready:  # first: what is written is made for the terminal as it is now
                return True
            for number in ready:
                urgent[number]()
            self._is_given_up = not ready
        return False


class SignalPipe:
    """Signals as they arrive, by a descriptor that can be polled. One that was ignored stays ignored."""

    def __init__(self, *, of_terminal: bool) -> None:
        """``of_terminal``: those of job control too. Without a terminal of its own the command is in this process's
        job, and the two are stopped and continued together, as ever."""
        self._has_jobs = of_terminal
        self.reader, self._writer = os.pipe()
        for descriptor in (self.reader, self._writer):
            os.set_blocking(descriptor, False)
        self._former: dict[int, Any] = {}
        self.names: dict[int, str] = {}

    def __enter__(self) -> SignalPipe:
        self._wakeup = _signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        handled = (*END_SIGNALS, *COMMAND_SIGNALS, "SIGCHLD", *(CONTROL_SIGNALS if self._has_jobs else ()))
        for name in dict.fromkeys(handled):
            number = getattr(_signal, name)
            if _signal.getsignal(number) != _signal.SIG_IGN:
                self._former[number] = _signal.signal(number, lambda number, frame: None)
                self.names[number] = name
        # Reads fail and settings apply instead, while this is in the background.
        for name in ("SIGTTIN", "SIGTTOU") if self._has_jobs else ():
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
