"""The process between ``relay`` and the command: leader of the session whose terminal the pseudo-terminal is.

The kernel stops no process of a job whose parent is in another session (an orphaned process group, POSIX 2.4.3), so the
command needs a parent in its own session for Ctrl-Z. This is that parent: it starts the command as a job of its own,
makes it the terminal's foreground job or not, and reports when it stops and ends. It is a fork of the client, which has
no threads then, and never returns into it.

Messages are single packets. To the relay: ``P<pid>`` (started), ``S<signal>`` (stopped), ``E<status>`` (ended, as
``os.waitstatus_to_exitcode`` has it), ``X<errno>`` (not started). From it: ``F`` and ``B`` (go on, in the foreground or
in the background), ``J<signal>`` and ``K<signal>`` (for the whole job, for the command alone).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the C module: `signal` costs its enums
import contextlib
import fcntl
import os
import select
import termios
from collections.abc import Mapping, Sequence
from socket import socket
from typing import Any, NoReturn

IGNORED = ("SIGINT", "SIGQUIT", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGHUP", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGPIPE")
"""Signals that are for the command and not for this process."""
PACKET = 64


class Program:
    """The command: its words, its variables, and the descriptors that its standard streams are made of."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str], streams: Mapping[int, int]) -> None:
        self.words = words
        self.environ = environ
        self.streams = streams


class UserTerminal:
    """The user's terminal as it was before the command began, for the case that the relay is killed."""

    def __init__(self, descriptor: int, attributes: list[Any]) -> None:
        self._descriptor = descriptor
        self._attributes = attributes

    def restore(self) -> None:
        """Give it its settings back if they are still the relay's; a shell may have set its own by now."""
        with contextlib.suppress(termios.error):
            is_raw = not termios.tcgetattr(self._descriptor)[3] & (termios.ISIG | termios.ICANON)
            if is_raw and self._attributes:
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._attributes)


def monitor(
    control: socket, terminal: int, program: Program, user_terminal: UserTerminal, *, in_foreground: bool
) -> NoReturn:
    """Run the command and end this process. To be called in a fresh fork; ``terminal``: the pseudo-terminal."""
    status = 1
    try:
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        _Monitor(control, terminal, user_terminal).run(program, in_foreground=in_foreground)
        status = 0
    finally:
        os._exit(status)


class _Monitor:
    def __init__(self, control: socket, terminal: int, user_terminal: UserTerminal) -> None:
        self._control = control
        self._terminal = terminal
        self._user_terminal = user_terminal
        self._pid = 0

    def run(self, program: Program, *, in_foreground: bool) -> None:
        ignored_before = [n for n in _numbers(IGNORED) if _signal.getsignal(n) == _signal.SIG_IGN]
        reader, writer = os.pipe()
        for descriptor in (reader, writer):
            os.set_blocking(descriptor, False)
        _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        _signal.signal(_signal.SIGCHLD, lambda number, frame: None)
        for number in _numbers(IGNORED):
            _signal.signal(number, _signal.SIG_IGN)
        # SIGXFSZ is ignored by Python, and the command gets what the system begins with.
        restored = [n for n in (*_numbers(IGNORED), _signal.SIGXFSZ) if n not in ignored_before or n == _signal.SIGPIPE]
        self._pid, fault = self._start(program, restored, in_foreground=in_foreground)
        if fault:
            os.waitpid(self._pid, 0)
            self._send(f"X{fault}")
            return
        self._send(f"P{self._pid}")
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        poll.register(self._control.fileno(), select.POLLIN)
        while self._follow():
            for descriptor, _ in poll.poll():
                if descriptor == reader:
                    with contextlib.suppress(BlockingIOError):
                        os.read(reader, PACKET)
                elif not self._obey():
                    poll.unregister(descriptor)

    def _start(self, program: Program, restored: Sequence[int], *, in_foreground: bool) -> tuple[int, int]:
        """Return the pid of the command and 0, or the number of the error that kept it from starting."""
        report, own_report = os.pipe()  # closes when the command begins
        pid = os.fork()
        if pid == 0:
            self._become(program, restored, own_report, in_foreground=in_foreground)
        os.close(own_report)
        with contextlib.suppress(OSError):  # whoever comes first: the command must not run outside of its job
            os.setpgid(pid, pid)
        fault = os.read(report, PACKET)
        os.close(report)
        return pid, int(fault or b"0")

    def _become(self, program: Program, restored: Sequence[int], report: int, *, in_foreground: bool) -> NoReturn:
        try:
            os.setpgid(0, 0)
            if in_foreground:  # SIGTTOU is still ignored here
                os.tcsetpgrp(self._terminal, os.getpid())
            # Copies first, above the standard ones: one may have the number of another.
            copies = {stream: fcntl.fcntl(source, fcntl.F_DUPFD, 10) for stream, source in program.streams.items()}
            for stream, copy in copies.items():
                os.dup2(copy, stream, inheritable=True)
                os.close(copy)
            for number in restored:
                _signal.signal(number, _signal.SIG_DFL)
            os.execve(program.words[0], list(program.words), dict(program.environ))
        except OSError as error:
            os.write(report, str(error.errno or 1).encode())
        finally:
            os._exit(127)

    def _follow(self) -> bool:
        """Report what became of the command; return ``False`` once it has ended."""
        while True:
            pid, status = os.waitpid(self._pid, os.WNOHANG | os.WUNTRACED)
            if pid == 0:
                return True
            if os.WIFSTOPPED(status):
                self._send(f"S{os.WSTOPSIG(status)}")
                continue
            # This process takes the terminal back, so that the kernel sends the job no SIGHUP for the leader's end:
            # what the command left running goes on.
            with contextlib.suppress(OSError):
                os.tcsetpgrp(self._terminal, os.getpgrp())
            os.close(self._terminal)
            self._send(f"E{os.waitstatus_to_exitcode(status)}")
            return False

    def _obey(self) -> bool:
        """Do what the relay wants; return ``False`` if it was killed. Then the command's terminal no longer exists, of
        which the kernel tells the leader of the session only, and this process is the leader."""
        try:
            message = self._control.recv(PACKET).decode()
        except OSError:
            message = ""
        if not message:
            self._user_terminal.restore()
            for number in (_signal.SIGHUP, _signal.SIGCONT):
                with contextlib.suppress(OSError):
                    os.killpg(self._pid, number)
            return False
        kind, number = message[0], int(message[1:] or 0)
        with contextlib.suppress(OSError):
            if kind == "K":
                os.kill(self._pid, number)
                return True
            if kind == "F":
                os.tcsetpgrp(self._terminal, self._pid)
            elif kind == "B":
                os.tcsetpgrp(self._terminal, os.getpgrp())
            os.killpg(self._pid, number if kind == "J" else _signal.SIGCONT)
        return True

    def _send(self, message: str) -> None:
        with contextlib.suppress(OSError):  # the relay was killed
            self._control.send(message.encode())


def _numbers(names: Sequence[str]) -> list[int]:
    return [getattr(_signal, name) for name in names]
