"""The two output streams of one command: results on standard output, everything else on standard error."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from roost.client.errors import LAUNCH_FAILED_STATUS, ClientError, format_error
from roost.client.terminal.progress import ProgressDisplay
from roost.client.terminal.text import format_path, paint, render

OUTPUT_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Errors of a write to standard output that has a reader."""


class Console:
    """Prints results, notes, warnings and errors, for people or (``json``) for programs."""

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        """Print results and errors only."""
        self.display: ProgressDisplay | None = None
        self._printed_notes: set[str] = set()

    def print(self, line: str) -> None:
        """Print one line of a result and flush it: readers of a stream read it through a pipe."""
        print(render(line), flush=True)

    def print_lines(self, lines: Iterable[str]) -> None:
        """Print the lines of a result."""
        print("\n".join(map(render, lines)), flush=True)

    def print_text(self, text: str) -> None:
        """Print text that has its lines from roost: a table or a record."""
        self.print_lines(text.split("\n"))

    def write_file(self, text: str) -> None:
        """Write the content of a file to standard output: to programs as it is, to a terminal visible."""
        if sys.stdout.isatty():
            self.print_lines(text.removesuffix("\n").split("\n"))
        else:
            sys.stdout.write(text)

    def print_json(self, value: object) -> None:
        """Print a result as JSON: indented on a terminal, else on one line, so that streams are NDJSON."""
        indent = 2 if sys.stdout.isatty() else None
        sys.stdout.write(json.dumps(value, indent=indent, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Print a remark that is no result. The same text is printed once."""
        if not self.quiet and text not in self._printed_notes:
            self._printed_notes.add(text)
            self.clear_progress()
            print("\n".join(map(render, format_note(text))), file=sys.stderr, flush=True)

    def note_source(self, source: Mapping[str, Any] | None) -> None:
        """Note which definition was chosen (``wire.SourceView``), if it is a file."""
        if source and source.get("path") and source.get("format") != "run":
            self.note(f"using {format_path(str(source['path']))} ({source.get('format')})")

    def note_warnings(self, warnings: Iterable[Mapping[str, Any]]) -> None:
        """Note the warnings about a definition (``wire.WarningView``)."""
        for warning in warnings:
            first, *others = format_error({**warning, "hint": "-", "fields": {}}).split("\n")[:-1]
            text = "\n".join([first.removeprefix("roost: "), *(line.removeprefix("  | ") for line in others)])
            self.note(f"{paint('warning', 'yellow', sys.stderr)}: {text}")

    def report_error(self, error: ClientError) -> None:
        """Print an error: its body for programs; for people two lines, after the latest lines of the build's log."""
        log = list(self.display.log) if self.display else []
        self.clear_progress()
        if self.json:
            self.print_json(error.body)
            return
        for line in without_repeated(log, error.body.get("message", "")):
            print(f"  | {render(line)}", file=sys.stderr)
        print(format_error(error.body), file=sys.stderr, flush=True)

    def clear_progress(self) -> None:
        """Clear the progress line, if one is being redrawn."""
        if self.display is not None:
            self.display.close()


def without_repeated(log: Iterable[str], message: str) -> list[str]:
    """Return the lines of a build's log that the ``message`` of its error does not say as well."""
    marks = ("error:", "cause:")  # of uv
    said = [line.strip() for line in message.split("\n")]
    bare = [(line, line.strip()) for line in log]
    cut = [(line, text.split(":", 1)[1].strip() if text.startswith(marks) else text) for line, text in bare]
    return [line for line, text in cut if text and text not in said and not said[0].endswith(text)]


def format_note(text: str) -> list[str]:
    """Return the lines of a note, of which only the first begins like a message of roost's own."""
    first, *others = text.split("\n")
    return [f"roost: {first}", *(f"  | {line}" for line in others if line.strip())]


def lost_output_status(error: OSError, *, launching: bool) -> int:
    """Return the exit status after a write to standard output failed, and print why unless the reader went away.

    ``launching``: the command was ``run``, ``exec`` or ``shell``. Raises: ``error`` if it concerns something else.
    """
    reader_left = isinstance(error, BrokenPipeError)
    if not reader_left and (error.errno not in OUTPUT_FULL or error.filename is not None):
        raise error
    # The interpreter would complain at its end about what it could not write.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if reader_left:
        return 1
    message = f"roost: The output can't be written: {error.strerror}.\n  Free some space, or redirect it."
    print(message, file=sys.stderr)
    return LAUNCH_FAILED_STATUS if launching else 1
