"""The protocol's number, and the bodies of errors and warnings that every answer may contain.

Separate since all other modules of the package use it.
"""

from __future__ import annotations

import msgspec

PROTOCOL = 1
"""Number of the protocol: a daemon refuses clients with another number."""


class WarningView(msgspec.Struct, kw_only=True):
    """A warning about a definition or an operation."""

    code: str
    message: str
    location: LocationView | None = None


class LocationView(msgspec.Struct, kw_only=True):
    """A position in a file; lines and columns begin with 1."""

    path: str
    line: int | None = None
    column: int | None = None


class ErrorBody(msgspec.Struct, kw_only=True):
    """An error, as the body of an answer or in the last line of a stream."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    fields: dict[str, object] = {}
    location: LocationView | None = None
    exit_status: int = 1
