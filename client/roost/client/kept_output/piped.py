"""Runs a command whose output is stored, without a terminal: as ever, in the same job, but for its pipes."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Mapping, Sequence

from roost.client.kept_output.bytes_and_signals import COMMAND_SIGNALS, END_SIGNALS, Output, Pipes, SignalPipe
from roost.client.kept_output.storage import KeptOutput
from roost.client.kept_output.streams import Streams


class PipedCommand:
    """One command, from its start to its end."""

    def __init__(self, store: KeptOutput, streams: Streams) -> None:
        self._output = Output(store, Pipes(streams), self)
        self._signals = SignalPipe(of_terminal=False)
        self._pid = 0
        self._status: int | None = None
        self._is_asked_to_end = False

    def run(self, words: Sequence[str], environ: Mapping[str, str], default_signals: Sequence[int]) -> int:
        """Run it and return its status as ``os.waitstatus_to_exitcode`` has it. Raises: OSError if it can't be
        started."""
        pipes = self._output.pipes
        actions = [(os.POSIX_SPAWN_DUP2, source, stream) for stream, source in pipes.writers.items()]
        with self._signals:
            self._pid = os.posix_spawn(
                words[0], list(words), dict(environ), file_actions=actions, setsigdef=default_signals
            )
            pipes.close_writers()
            self._look_for_end()
            while self._status is None:
                for descriptor in select.select([self._signals.reader, *pipes.readers], [], [])[0]:
                    if descriptor == self._signals.reader:
                        self._handle_signals()
                    else:
                        self._output.pass_pipe(descriptor)
            self._output.drain()
            return self._status

    def list_urgent(self) -> Mapping[int, Callable[[], None]]:
        """Return the signals."""
        return {self._signals.reader: self._handle_signals}

    def is_over(self) -> bool:
        """Whether the command has ended because it was asked to."""
        return self._is_asked_to_end and self._status is not None

    def _handle_signals(self) -> None:
        for number in self._signals.read():
            name = self._signals.names[number]
            self._is_asked_to_end |= name in END_SIGNALS
            is_for_it = name in (*COMMAND_SIGNALS, "SIGHUP") or (name in END_SIGNALS and not _is_in_terminal_job())
            if is_for_it and self._status is None:
                os.kill(self._pid, number)
        self._look_for_end()

    def _look_for_end(self) -> None:
        if self._status is None:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            if ended:
                self._status = os.waitstatus_to_exitcode(status)


def _is_in_terminal_job() -> bool:
    """Whether the terminal sends its signals to the command as well, which is in this process's job."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
