"""Runs a command whose output is stored, and is its terminal meanwhile.

The user's terminal is in raw mode while the command has it: keys, Ctrl-C and Ctrl-Z among them, are handled by the
pseudo-terminal, as they would be by the terminal itself. If the command stops, this process stops as well, so that the
shell takes over; when the shell continues it, it continues the command, in the foreground or in the background as the
shell has chosen. A command in the background that reads from the terminal stops, as it would without this.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C module: `signal` costs its enums
import array
import contextlib
import errno
import fcntl
import os
import select
import termios
from collections.abc import Callable, Mapping, Sequence
from socket import AF_UNIX, SOCK_SEQPACKET, socket, socketpair
from typing import Any

from roost.client.kept_output.bytes_and_signals import (
    CHUNK,
    END_SIGNALS,
    JOB_SIGNALS,
    LATE_MS,
    Output,
    Pipes,
    SignalPipe,
)
from roost.client.kept_output.monitor import PACKET, Program, UserTerminal, monitor
from roost.client.kept_output.piped import PipedCommand
from roost.client.kept_output.storage import KeptOutput
from roost.client.kept_output.streams import Streams, look_at_files, look_at_streams

_LOOK_MS = 500
"""Between two looks whether the shell has put this job into the foreground, while it is in the background."""


class KeptRun:
    """One command, from its start to its end."""

    def __init__(self, folder: str, limit: int) -> None:
        """``folder``: where the output is stored, of ``limit`` bytes at most."""
        self._kept = KeptOutput(folder, limit)

    def run(self, words: Sequence[str], environ: Mapping[str, str], default_signals: Sequence[int]) -> int:
        """Run the command and return its status as ``os.waitstatus_to_exitcode`` has it. Raises: OSError if it can't be
        started."""
        streams = look_at_streams()
        files = look_at_files(streams)
        with self._kept as store:
            try:
                if streams.have_terminal:
                    return _Relay(store, streams).run(words, environ)
                return PipedCommand(store, streams).run(words, environ, default_signals)
            finally:
                for file in files:
                    store.add_file(file)


class _Relay:
    """Between the user's terminal and the pseudo-terminal of the command."""

    def __init__(self, store: KeptOutput, streams: Streams) -> None:
        kinds = streams[:3]
        self._streams = streams
        self._output = Output(store, Pipes(streams), self)
        self._shown = next(n for n in (1, 2, 0) if kinds[n] == "terminal")
        """Where the terminal's output goes."""
        self._keys = 0 if streams.input == "terminal" else _open_terminal(self._shown)
        self._attributes: list[Any] = []
        """Settings of the user's terminal that are restored."""
        self._is_like = False
        """Whether the command's terminal has got the settings of the user's."""
        self._has_keys = False
        """Whether the command has the user's terminal, which is in raw mode then."""
        self._control: socket
        self._signals = SignalPipe(of_terminal=True)
        self._is_asked_to_end = False
        self._master = -1
        self._status: int | None = None
        self._fault = 0
        self._typed = b""

    def run(self, words: Sequence[str], environ: Mapping[str, str]) -> int:
        self._master, slave = os.openpty()
        self._copy_size()
        if self._is_foreground():  # else they are those of the shell's line editor
            self._copy_settings()
        own, self._control = socketpair(AF_UNIX, SOCK_SEQPACKET)
        own, self._control = self._control, own
        kinds = self._streams[:3]
        terminals = {stream: slave for stream in (0, 1, 2) if kinds[stream] == "terminal"}
        program = Program(words, environ, {**terminals, **self._output.pipes.writers})
        user_terminal = UserTerminal(self._keys, self._read_attributes())
        at_once = self._is_foreground() and not self._streams.is_pipeline
        pid = os.fork()
        if pid == 0:
            self._control.close()
            os.close(self._master)
            monitor(own, slave, program, user_terminal, in_foreground=at_once)
        own.close()
        os.close(slave)
        self._output.pipes.close_writers()
        os.set_blocking(self._master, False)
        try:
            with self._signals:
                if at_once:
                    self._take_keys()
                self._pass_all()
                self._drain()
        finally:
            self._give_keys_back()
            os.waitpid(pid, 0)
        if self._fault:
            raise OSError(self._fault, os.strerror(self._fault), words[0])
        return self._status if self._status is not None else 1

    def list_urgent(self) -> Mapping[int, Callable[[], None]]:
        """Return signals, and messages while there are some."""
        urgent: dict[int, Callable[[], None]] = {self._signals.reader: self._handle_signals}
        if self._status is None and not self._fault:
            urgent[self._control.fileno()] = self._handle_message
        return urgent

    def is_over(self) -> bool:
        """Whether the command has ended because it was asked to."""
        return self._is_asked_to_end and self._status is not None

    def _pass_all(self) -> None:
        while self._status is None and not self._fault:
            poll = select.poll()
            poll.register(self._master, select.POLLIN | (select.POLLOUT if self._typed else 0))
            urgent = self.list_urgent()
            for descriptor in (*urgent, *self._output.pipes.readers):
                poll.register(descriptor, select.POLLIN)
            if self._has_keys and not self._typed:
                poll.register(self._keys, select.POLLIN)
            waits = None if self._has_keys or self._streams.is_pipeline else _LOOK_MS
            ready = poll.poll(waits)
            if not ready and self._is_foreground():
                self._resume()
            for descriptor, events in ready:
                if descriptor in urgent:  # unless it was handled meanwhile
                    if self._status is None and select.select([descriptor], [], [], 0)[0]:
                        urgent[descriptor]()
                elif descriptor in self._output.pipes.readers:
                    self._output.pass_pipe(descriptor)
                elif descriptor == self._master:
                    if events & select.POLLOUT:
                        self._type()
                    if events & ~select.POLLOUT:
                        self._show()
                else:
                    self._read_keys()

    def _show(self) -> bool:
        """Pass on what the command has written; return ``False`` if there is nothing."""
        try:
            data = os.read(self._master, CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # nobody has the other end open: a moment before the end of the command
                raise
            select.select([self._control], [], [], LATE_MS / 1000)
            return False
        # A terminal that is not in raw mode adds the carriage returns that the other one has added already.
        self._output.pass_terminal(data, data if self._has_keys else data.replace(b"\r\n", b"\n"), self._shown)
        return bool(data)

    def _drain(self) -> None:
        """Pass on what is left. Something that the command left running may have its end still open."""
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        while poll.poll(LATE_MS) and self._show():
            pass
        self._output.drain()
        os.close(self._master)

    def _read_keys(self) -> None:
        try:
            self._typed = os.read(self._keys, CHUNK)
        except OSError:  # the shell has put this job into the background, or the terminal no longer exists
            self._typed = b""
        if self._typed:
            self._type()
        else:
            self._has_keys = False

    def _type(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._typed = self._typed[os.write(self._master, self._typed) :]

    def _handle_signals(self) -> None:
        for number in self._signals.read():
            self._handle_signal(self._signals.names[number], number)

    def _handle_signal(self, name: str, number: int) -> None:
        if name == "SIGWINCH":
            self._copy_size()
        elif name == "SIGCONT":  # after a stop that was not asked for here
            if self._has_keys:
                self._has_keys = False
                self._resume()
        elif name != "SIGCHLD":
            self._is_asked_to_end |= name in END_SIGNALS
            self._send(f"{'J' if name in JOB_SIGNALS else 'K'}{number}")

    def _handle_message(self) -> None:
        message = self._control.recv(PACKET).decode()
        kind, value = message[:1], int(message[1:] or 0)
        if kind == "S":
            self._follow_stop(value)
        elif kind == "E":
            self._status = value
        elif kind == "X":
            self._fault = value
        elif not kind:  # the monitor was killed
            self._status = 128 + _signal.SIGKILL

    def _follow_stop(self, number: int) -> None:
        """Stop as the command did, and go on with it once the shell continues this job."""
        wants_terminal = number in (_signal.SIGTTIN, _signal.SIGTTOU)
        if not (wants_terminal and not self._has_keys and self._is_foreground()):
            self._give_keys_back()
            former = _signal.signal(number, _signal.SIG_DFL) if number != _signal.SIGSTOP else None
            os.killpg(os.getpgrp(), number)  # returns when this process is continued
            if number != _signal.SIGSTOP:
                _signal.signal(number, former)
            self._copy_size()
            if not self._is_foreground():
                self._send("B")
                return
        self._take_keys()
        self._send("F")

    def _resume(self) -> None:
        """Go on in the foreground or the background, as the shell has it now."""
        if self._is_foreground():
            self._take_keys()
            self._send("F")

    def _send(self, message: str) -> None:
        with contextlib.suppress(OSError):  # the command has ended
            self._control.send(message.encode())

    def _is_foreground(self) -> bool:
        try:
            return os.tcgetpgrp(self._keys) == os.getpgrp()
        except OSError:
            return False

    def _take_keys(self) -> None:
        """Put the user's terminal into raw mode: the other one handles lines, echo and keys."""
        import tty

        if not self._is_like:
            self._copy_settings()
        with contextlib.suppress(termios.error):
            self._attributes = termios.tcgetattr(self._keys)
            tty.setraw(self._keys, termios.TCSADRAIN)
            self._has_keys = True

    def _read_attributes(self) -> list[Any]:
        """Return the settings of the user's terminal; none while they are those of the shell's line editor."""
        with contextlib.suppress(termios.error):
            if self._is_foreground():
                return termios.tcgetattr(self._keys)
        return []

    def _give_keys_back(self) -> None:
        if self._has_keys:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._keys, termios.TCSADRAIN, self._attributes)
        self._has_keys = False

    def _copy_settings(self) -> None:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._master, termios.TCSANOW, termios.tcgetattr(self._keys))
            self._is_like = True

    def _copy_size(self) -> None:
        size = array.array("H", [0, 0, 0, 0])
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._keys, termios.TIOCGWINSZ, size)
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)


def _open_terminal(descriptor: int) -> int:
    """Return a descriptor of the terminal to read keys by, though standard input is something else."""
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return descriptor
