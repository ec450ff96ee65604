"""The exception tree of the daemon, the store and the model.

Every error has a stable ``code``, the exit status of the command line, whether a retry may help (``retryable``), and
the location of the fault. Engines translate foreign errors into these at their boundary; the daemon turns them into
responses in one place. A module defines a subclass beside the code that raises it if callers must distinguish it; the
families here fix the exit status. (The Python API's public ``RoostError`` is a class of the client.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec

MALFORMED_JSON = (msgspec.MsgspecError, ValueError, RecursionError)
"""What ``msgspec.json.decode`` and ``json.loads`` raise for bytes that are not JSON of the type that is expected:
``UnicodeDecodeError`` is a ``ValueError`` and of no other kind, and so is an integer beyond the interpreter's bound."""
MALFORMED_TOML = (ValueError, RecursionError)
"""The same for ``tomllib.loads``."""


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A location in a file. ``line`` and ``column`` count from 1 and are ``None`` if the format gives none."""

    path: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.path, self.line, self.column) if part is not None)


class CodedError(Exception):
    """Base of all errors: what happened (``message``), what to do (``hint``), where, and structured ``fields``."""

    code: ClassVar[str] = "internal"
    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    is_logged: ClassVar[bool] = False
    """Whether the log of the build that it ended may have more than the message: output of other programs."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        location: Location | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.location = location
        self.fields: dict[str, object] = dict(fields or {})


class InvalidRequestError(CodedError):
    """The request is not valid: options exclude each other, or a name is not a valid name."""

    code = "usage"
    exit_status = 2
    http_status = 400


class InvalidDefinitionError(CodedError):
    """A definition is not valid; ``location`` says where."""

    code = "definition-invalid"
    exit_status = 3
    http_status = 422


class BuildError(CodedError):
    """Solving, fetching, linking or installing failed."""

    code = "build-failed"
    exit_status = 4
    http_status = 500


class BuildCancelledError(BuildError):
    """The build was cancelled: it had no subscribers left."""

    code = "build-cancelled"
    exit_status = 130
    http_status = 409


class ServiceUnreachableError(CodedError):
    """A target, engine, channel, index or registry cannot be reached."""

    code = "unreachable"
    exit_status = 6
    http_status = 502
    retryable = True


class LookupFailedError(CodedError):
    """Nothing with that name or digest exists."""

    code = "not-found"
    exit_status = 7
    http_status = 404


class StoreError(CodedError):
    """The store on disk cannot be used in its current state."""

    code = "store"
    http_status = 500


class StoreRefusedError(StoreError):
    """The root cannot be opened: it is read-only, in use, of an unknown format or on a network file system, or its path
    is too long."""

    code = "store-refused"
    exit_status = 5


class StoreFullError(StoreError):
    """No space is left on the device; partial content has been removed."""

    code = "store-full"
    http_status = 507
    retryable = True
