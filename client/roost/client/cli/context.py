"""What every command works with: its options, the daemon, and the two streams it writes to."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from roost.client.errors import ClientError, client_error, render
from roost.client.terminal.progress import Display
from roost.client.terminal.text import paint
from roost.client.transport.connection import Daemon
from roost.client.transport.session import Session

Json = dict[str, Any]


class Context:
    """One invocation. Results go to standard output; everything else goes to standard error."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.json: bool = getattr(options, "json", False)
        self.quiet: bool = getattr(options, "quiet", False)
        self.display: Display | None = None
        self._session = Session(self.note)
        self._told: set[str] = set()

    @property
    def daemon(self) -> Daemon:
        """The daemon, started if it was not there."""
        return self._session.daemon

    def request(self, method: str, target: str, body: Json | None = None) -> Json:
        """One request; a definition's ``${VAR}`` gets its value from this process's variables when asked for, and a
        daemon that stopped between two requests is started again."""
        return self._session.request(method, target, body)

    def print(self, text: str) -> None:
        """A result, at once: whoever follows a stream reads it through a pipe."""
        print(text, flush=True)

    def print_json(self, value: object) -> None:
        """A result for programs, on one line where it streams and for people to read on a terminal."""
        indent = 2 if sys.stdout.isatty() else None
        sys.stdout.write(json.dumps(value, indent=indent, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Something worth knowing that is no result; said once."""
        if not self.quiet and text not in self._told:
            self._told.add(text)
            self.close()
            print(f"roost: {text}", file=sys.stderr, flush=True)

    def announce(self, source: Mapping[str, Any] | None) -> None:
        """Which definition was chosen."""
        if source and source.get("path") and source.get("format") != "run":
            path = str(source["path"])
            below = os.path.relpath(path)
            self.note(f"using {path if below.startswith('..') else below} ({source.get('format')})")

    def warn(self, warnings: Iterable[Mapping[str, Any]]) -> None:
        """What was odd in the definition."""
        for warning in warnings:
            text = render({**warning, "hint": " "}).split("\n")[0].removeprefix("roost: ")
            self.note(f"{paint('warning', 'yellow', sys.stderr)}: {text}")

    def report(self, error: ClientError) -> None:
        """An error, as the wire has it for programs and in two lines for people."""
        log = list(self.display.log) if self.display else []
        self.close()
        if self.json:
            self.print_json(error.body)
            return
        for line in log:
            print(f"  | {line}", file=sys.stderr)
        print(render(error.body), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the terminal clean."""
        if self.display is not None:
            self.display.close()


def wrong_usage(message: str, hint: str) -> ClientError:
    """Exit status 2."""
    return client_error("usage", message, hint, 2)
