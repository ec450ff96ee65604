"""A shell at a terminal of its own, as a person has it: what is typed, what is shown, the size, and job control."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping
from pathlib import Path


class Terminal:
    """An interactive bash. Everything that it shows is collected in ``shown``."""

    def __init__(self, folder: Path, environ: Mapping[str, str], rows: int = 30, columns: int = 90) -> None:
        self.shown = ""
        self._seen = 0
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], {**environ, "PS1": "$ ", "TERM": "dumb"})
        self.resize(rows, columns)

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the window."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Type ``text``."""
        os.write(self._master, text.encode())

    def expect(self, text: str, seconds: float = 60) -> str:
        """Wait until ``text`` is shown after what was expected before, and return what is between them."""
        deadline = time.monotonic() + seconds
        while (found := self.shown.find(text, self._seen)) < 0:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} is not shown: {self.shown[self._seen :]!r}"
            if select.select([self._master], [], [], min(left, 1))[0]:
                self.shown += os.read(self._master, 65536).decode(errors="replace")
        between, self._seen = self.shown[self._seen : found], found + len(text)
        return between

    def close(self) -> None:
        """End the shell and what runs in it."""
        os.kill(self._pid, signal.SIGHUP)
        os.close(self._master)
        os.waitpid(self._pid, 0)
