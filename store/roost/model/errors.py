"""The one exception tree of roost.

Every refusal has a stable ``code``, says whether trying again may help (``retryable``), which exit status the
command line ends with, and where the fault lies. Engines translate foreign errors into these at their edge;
the daemon turns them into responses in one place. Modules define a subclass beside the code that raises it when
callers must tell it apart; the families here fix the exit status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a file. ``line`` and ``column`` count from 1; ``None`` where the format gives none."""

    path: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.path, self.line, self.column) if part is not None)


class CodedError(Exception):
    """What happened (``message``), what to do (``hint``), where (``location``), and structured ``fields``."""

    code: ClassVar[str] = "internal"
    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

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
    """The request itself is wrong: options that exclude each other, a name that is none."""

    code = "usage"
    exit_status = 2
    http_status = 400


class InvalidDefinitionError(CodedError):
    """A definition is wrong; ``location`` names the place."""

    code = "definition-invalid"
    exit_status = 3
    http_status = 422


class BuildError(CodedError):
    """Solving, fetching, linking or installing failed."""

    code = "build-failed"
    exit_status = 4
    http_status = 500


class BuildCancelledError(BuildError):
    """Nobody wanted the build any more."""

    code = "build-cancelled"
    exit_status = 130
    http_status = 409


class ServiceUnreachableError(CodedError):
    """A target, engine, channel, index or registry can't be reached."""

    code = "unreachable"
    exit_status = 6
    http_status = 502
    retryable = True


class LookupFailedError(CodedError):
    """Nothing of that name or digest is known."""

    code = "not-found"
    exit_status = 7
    http_status = 404


class StoreError(CodedError):
    """The store on disk can't be used as it is."""

    code = "store"
    http_status = 500


class StoreRefusedError(StoreError):
    """The root can't be opened at all: read-only, in use, too long, of an unknown format, on a network file system."""

    code = "store-refused"
    exit_status = 5


class StoreFullError(StoreError):
    """No space left; nothing half-made is kept."""

    code = "store-full"
    http_status = 507
    retryable = True
