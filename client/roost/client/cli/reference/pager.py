"""Long text a screen at a time: through the caller's pager on a terminal, else as it is.

Apart from ``command``, since it starts a process.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence

from roost.client.cli.context import Context
from roost.client.terminal.text import is_rich, render

DEFAULT_PAGERS = ("less", "more")
LESS_OPTIONS = "FRX"
"""Of ``less``, unless ``LESS`` has others: text that fits is printed, colours are shown, the text stays."""


def show(context: Context, lines: Sequence[str]) -> None:
    """Print ``lines``, through a pager if standard output is a terminal that they don't fit on."""
    height = shutil.get_terminal_size().lines
    command = find_pager() if is_rich(sys.stdout) and sys.stdin.isatty() and len(lines) >= height else None
    if command is None or not _page(command, "\n".join(map(render, lines)) + "\n"):
        context.print_lines(lines)


def find_pager() -> list[str] | None:
    """Return the command of the pager: ``ROOST_PAGER`` or ``PAGER``, else one that is there. ``cat`` and an empty text
    mean none."""
    for name in ("ROOST_PAGER", "PAGER"):
        text = os.environ.get(name)
        if text is not None:
            try:
                words = shlex.split(text)
            except ValueError:
                words = []
            return words if words and words != ["cat"] else None
    found = next((path for name in DEFAULT_PAGERS if (path := shutil.which(name))), None)
    return [found] if found else None


def _page(command: Sequence[str], text: str) -> bool:
    """Show ``text`` in a pager; return whether it could be started. Ctrl-C is the pager's."""
    environ = {**os.environ, "LESS": os.environ.get("LESS", LESS_OPTIONS)}
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=environ) as process:
            try:
                assert process.stdin is not None
                process.stdin.write(text.encode())
                process.stdin.close()
            except BrokenPipeError:  # who has read enough leaves
                pass
    except OSError:
        return False
    finally:
        signal.signal(signal.SIGINT, former)
    return process.returncode not in (126, 127)
