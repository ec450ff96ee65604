"""What the client refuses or was refused, in the wire's shape, and how a person is told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

Body = dict[str, Any]
DEFAULT_HINT = "`roost daemon logs` says more; `roost doctor` looks for what is wrong with this machine."
PLACE_HINT = "Correct that place, then try again."


class ClientError(Exception):
    """An error body (``wire.ErrorBody`` as JSON has it), whether the daemon or the client made it."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__(body.get("message", ""))
        self.body: Body = {
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
    """An error that the client itself found."""
    return ClientError(
        {"code": code, "message": message, "hint": hint, "exit_status": exit_status, "fields": dict(fields)}
    )


def unreachable(message: str, hint: str) -> ClientError:
    """The daemon can't be reached or started: exit status 5."""
    error = client_error("daemon-unreachable", message, hint, 5)
    error.body["retryable"] = True
    return error


def render(body: Mapping[str, Any]) -> str:
    """One line that says what and where, then one that says what to do."""
    message = " ".join(str(body.get("message") or body.get("code")).split())
    place = _place(body.get("location"), message)
    hint = " ".join(str(body.get("hint") or (PLACE_HINT if place else DEFAULT_HINT)).split())
    return f"roost: {place}{message}\n  {hint}"


def _place(location: Mapping[str, Any] | None, message: str) -> str:
    """``path:line:column: ``, the path as the reader would type it if it lies under the working folder. A whole file
    that the message names itself is not said twice."""
    if not location:
        return ""
    path = str(location["path"])
    if location.get("line") is None and os.path.basename(path) in message:
        return ""
    below = os.path.relpath(path) if os.path.isabs(path) else path
    parts = (path if below.startswith("..") else below, location.get("line"), location.get("column"))
    return ":".join(str(part) for part in parts if part is not None) + ": "
