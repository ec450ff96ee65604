"""Errors of the client, in the shape of the wire's error body, and their text for people."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from roost.wire.visible import make_lines_visible, make_visible

ErrorDocument = dict[str, Any]
DEFAULT_HINT = "See `roost daemon logs`; `roost doctor` checks this machine for problems."
LOCATION_HINT = "Fix the file, then try again."
MOST_FURTHER = 4
"""Errors of one definition that are printed below the first."""
LAUNCH_FAILED_STATUS = 125
"""Exit status of ``run``, ``exec`` and ``shell`` if roost failed and not the command, as with ``env`` and docker."""


class ClientError(Exception):
    """An error found by the daemon or by the client. ``body`` has the fields of ``wire.ErrorBody`` as JSON."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__(body.get("message", ""))
        self.body: ErrorDocument = {
            "code": "internal",
            "message": "",
            "hint": "",
            "retryable": False,
            "fields": {},
            "location": None,
            "exit_status": 1,
            **body,
        }

    @property
    def code(self) -> str:
        return str(self.body["code"])

    @property
    def exit_status(self) -> int:
        return int(self.body["exit_status"])


def client_error(code: str, message: str, hint: str, exit_status: int, **fields: object) -> ClientError:
    """Return an error that the client itself found."""
    return ClientError(
        {"code": code, "message": message, "hint": hint, "exit_status": exit_status, "fields": dict(fields)}
    )


def usage_error(message: str, hint: str) -> ClientError:
    """Return an error of the command line: code ``usage``, exit status 2."""
    return client_error("usage", message, hint, 2)


def unreachable_error(message: str, hint: str) -> ClientError:
    """Return an error for a daemon that can't be reached or started: exit status 5, retryable."""
    error = client_error("daemon-unreachable", message, hint, 5)
    error.body["retryable"] = True
    return error


def home_error(error: OSError) -> ClientError:
    """Return the error for a process that has no home folder (``paths.NoHomeError``): exit status 5."""
    return client_error(
        "home-unknown",
        f"{error}, so that the folder for roost's data is unknown",
        "Set ROOST_HOME to a folder of your own, which roost creates, and try again.",
        5,
    )


def format_error(body: Mapping[str, Any]) -> str:
    """Return two lines: location and message, then the hint; below them a line for each further error of the file.

    Further lines of the message (a solver's tree, the end of a log) are between the two, behind ``  | ``, so that none
    of them passes for a message of roost's own. Nothing in the text acts on a terminal.
    """
    first, *others = format_message(str(body.get("message") or body.get("code")))
    prefix = format_location_prefix(body.get("location"), first)
    hint = _join_lines(body.get("hint") or (LOCATION_HINT if prefix else DEFAULT_HINT))
    return "\n".join([f"roost: {prefix}{first}", *others, f"  {hint}", *_format_further(body)])


def format_message(message: str) -> list[str]:
    """Return a message as visible lines: those after the first behind ``  | ``, without empty ones."""
    first, *others = make_lines_visible(message.strip()) or [""]
    return [first.rstrip(), *(f"  | {line.rstrip()}" for line in others if line.strip())]


def _join_lines(text: object) -> str:
    return make_visible(" ".join(str(text).split()))


def _format_further(body: Mapping[str, Any]) -> list[str]:
    """Return a line for each error of a definition after the first, which ``body`` itself is; at most ``MOST_FURTHER``
    of them, and how many more there are."""
    problems = (body.get("fields") or {}).get("problems") or []
    errors = [problem for problem in problems if problem.get("severity") == "error"][1:]
    lines = []
    for problem in errors[:MOST_FURTHER]:
        message = _join_lines(problem["message"])
        lines.append(f"roost: {format_location_prefix(problem.get('location'), message)}{message}")
    more = len(errors) - MOST_FURTHER
    return [*lines, f"  … and {more} more"] if more > 0 else lines


def format_location_prefix(location: Mapping[str, Any] | None, message: str, *, absolute: bool = False) -> str:
    """Return ``path:line:column: ``, or nothing if there is no location.

    A path below the working folder is relative to it, unless ``absolute``. A location without a line is left out if the
    message already names the file.
    """
    if not location:
        return ""
    path = str(location["path"])
    if location.get("line") is None and os.path.basename(path) in message:
        return ""
    relative = os.path.relpath(path) if os.path.isabs(path) and not absolute else path
    parts = (path if relative.startswith("..") else relative, location.get("line"), location.get("column"))
    return ":".join(make_visible(str(part)) for part in parts if part is not None) + ": "
