"""A real bash, zsh or fish on a terminal, in which words are typed, and completed by Tab."""

from __future__ import annotations

import os
import pty
import select
import signal
import time
from pathlib import Path

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], ""),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D; "),
    "fish": (["fish", "--no-config", "-i"], ""),
}
_RECORD = {
    "bash": "roost() { printf '<%s>' \"$@\"; echo; } >>$OUT; PS1='> '",
    "zsh": "roost() { { printf '<%s>' \"$@\"; echo } >>$OUT }; PS1='> '",
    "fish": "function roost; begin; printf '<%s>' $argv; echo; end >>$OUT; end; function fish_prompt; end",
}
"""A function in place of the command, which records its arguments."""
PATIENCE_SECONDS = 60.0


class CompletingShell:
    """One shell that has sourced the completion ``script``, traced to ``trace`` by strace."""

    def __init__(self, name: str, script: Path, folder: Path, home: str) -> None:
        self._out, self.trace = folder / "out", folder / "trace"
        self._out.write_text("")
        variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "ROOST_HOME": home, "OUT": str(self._out)}
        words, before = SHELLS[name]
        tracing = ["strace", "-f", "--seccomp-bpf", "-e", "trace=fork,vfork,clone,clone3,execve", "-o", str(self.trace)]
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            os.execvpe("strace", [*tracing, *words], {**variables, "TERM": "dumb", "LC_ALL": "C.UTF-8"})
        self._type(f"{before}. {script}; {_RECORD[name]}; roost ready\n")
        self._wait_for(["<ready>"])
        self._set_up = len(self.trace.read_text().splitlines())

    def complete(self, typed: list[str]) -> list[str]:
        """Type each line, Tab and Enter; return the words that the command gets, each in ``<>``."""
        self._out.write_text("")
        for number, line in enumerate(typed, 1):
            self._type(f"{line}\t\n")
            self._wait_for(number)
        return self._out.read_text().splitlines()

    def list_processes(self) -> list[str]:
        """Return what was traced of new processes since the shell was ready; threads are none."""
        lines = self.trace.read_text().splitlines()[self._set_up :]
        return [line for line in lines if "(" in line and "CLONE_THREAD" not in line and "resumed>" not in line]

    def end(self) -> None:
        """End the shell."""
        os.close(self._terminal)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def _type(self, text: str) -> None:
        self._read()
        os.write(self._terminal, text.encode())

    def _wait_for(self, expected: int | list[str]) -> None:
        """Wait for these lines of the command, or for that many, reading what the shell prints meanwhile."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            found = self._out.read_text().splitlines()
            if found == expected or len(found) == expected:
                return
            assert time.monotonic() < deadline, (expected, found, self._read())
            self._read(0.01)

    def _read(self, seconds: float = 0.0) -> bytes:
        printed = b""
        while select.select([self._terminal], [], [], seconds)[0]:
            printed += os.read(self._terminal, 1 << 16)
        return printed
