"""What goes over the socket: HTTP/1.1 with JSON, described once, for the daemon and for the client's slow paths.

The hot path (``roost exec`` of a known environment) does not import this module. Streams are NDJSON, one ``Message``
a line. Times are RFC 3339 UTC, sizes bytes, digests ``sha256:`` and 64 hex digits.
"""

from __future__ import annotations

import msgspec

PROTOCOL = 1


class WarningView(msgspec.Struct, kw_only=True):
    code: str
    message: str
    location: LocationView | None = None


class LocationView(msgspec.Struct, kw_only=True):
    path: str
    line: int | None = None
    column: int | None = None


class ErrorBody(msgspec.Struct, kw_only=True):
    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    fields: dict[str, object] = {}
    location: LocationView | None = None
    exit_status: int = 1
