"""The exceptions of the Python API: ``RoostError`` with a stable ``code``, and subclasses for ``except`` clauses.

Scripts that catch Azure's ``UserErrorException`` catch ``UsageError`` here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from roost.client.errors import ClientError, format_error, home_error
from roost.client.paths import NoHomeError


class RoostError(ClientError):
    """A request was refused or failed: ``code`` (stable), ``message``, ``hint`` (what to do), ``fields``, and
    ``location`` (``{"path", "line", "column"}`` or ``None``) of the fault in a file."""

    @property
    def message(self) -> str:
        """What happened, and where."""
        return str(self.body["message"])

    @property
    def hint(self) -> str:
        """What to do about it."""
        return str(self.body["hint"])

    @property
    def fields(self) -> dict[str, Any]:
        """Facts for programs; the keys depend on ``code``."""
        return dict(self.body["fields"])

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed if it is repeated."""
        return bool(self.body["retryable"])

    @property
    def location(self) -> dict[str, Any] | None:
        """The place in a file, with ``line`` and ``column`` counted from 1."""
        location = self.body["location"]
        return dict(location) if location else None

    def __str__(self) -> str:
        return format_error(self.body).removeprefix("roost: ")


class UsageError(RoostError, ValueError):
    """The call itself is wrong: for example arguments that exclude each other, or an invalid name."""


class UnsupportedError(UsageError):
    """A parameter or attribute that has no meaning in roost, if ignoring it would mislead."""


class DefinitionError(RoostError):
    """A definition is wrong; ``location`` names the place."""


class BuildFailedError(RoostError):
    """Solving, fetching or installing failed, or the build was cancelled."""


class DaemonUnreachableError(RoostError):
    """The daemon can't be reached or started."""


class UnreachableError(RoostError):
    """A container engine, registry, channel or index can't be reached."""


class NotFoundError(RoostError, LookupError):
    """No run, package, file or other object has that name."""


class EnvironmentNotFoundError(NotFoundError):
    """No environment, version or label has that name."""


class RunFailedError(RoostError):
    """A run did not succeed; ``fields`` has ``run``, ``status`` and ``exit_status``."""


_BY_CODE: dict[str, type[RoostError]] = {"environment-unknown": EnvironmentNotFoundError}
_BY_STATUS: dict[int, type[RoostError]] = {
    2: UsageError,
    3: DefinitionError,
    4: BuildFailedError,
    5: DaemonUnreachableError,
    6: UnreachableError,
    7: NotFoundError,
}


def error_from_body(body: Mapping[str, Any]) -> RoostError:
    """Return the exception for the error body of an answer: by its ``code``, else by its ``exit_status``."""
    status = body.get("exit_status", 1)
    return _BY_CODE.get(str(body.get("code")), _BY_STATUS.get(int(status), RoostError))(body)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise errors of the client's lower layers as ``RoostError``."""
    try:
        yield
    except RoostError:
        raise
    except ClientError as error:
        raise error_from_body(error.body) from None
    except NoHomeError as error:
        raise error_from_body(home_error(error).body) from None


@contextmanager
def translate_decode_errors(path: str) -> Iterator[None]:
    """Raise ``UnicodeDecodeError`` for the file at ``path`` as ``DefinitionError``."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise definition_error(f"The file is not valid UTF-8: {error.reason}", "Save it as UTF-8.", path) from None


def usage_error(message: str, hint: str = "", **fields: object) -> UsageError:
    """Return the error for wrong arguments."""
    return UsageError({"code": "usage", "message": message, "hint": hint, "exit_status": 2, "fields": fields})


def unsupported_error(subject: str, hint: str) -> UnsupportedError:
    """Return the error for a ``subject`` (a parameter, attribute or value) that has no meaning in roost."""
    message = f"{subject} is not supported by roost"
    return UnsupportedError({"code": "unsupported", "message": message, "hint": hint, "exit_status": 2})


def definition_error(message: str, hint: str, path: str | None = None, line: int | None = None) -> DefinitionError:
    """Return the error for the content of a file. ``line`` counts from 1."""
    location = {"path": path, "line": line, "column": None} if path is not None else None
    return DefinitionError(
        {"code": "definition-invalid", "message": message, "hint": hint, "exit_status": 3, "location": location}
    )
