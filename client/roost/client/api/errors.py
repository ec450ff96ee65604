"""What the Python API raises: ``RoostError`` with a stable ``code``; the subclasses are for ``except``.

Scripts that catch Azure's ``UserErrorException`` catch ``UsageError`` here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from roost.client.errors import ClientError, format_error


class RoostError(ClientError):
    """Something was refused or failed: ``code`` (stable), ``message``, ``hint`` (what to do), ``fields``, and
    ``location`` (``{"path", "line", "column"}`` or ``None``) of what is wrong in a file."""

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
        """Facts for programs; which ones there are depends on ``code``."""
        return dict(self.body["fields"])

    @property
    def retryable(self) -> bool:
        """Whether the same may succeed when it is tried again."""
        return bool(self.body["retryable"])

    @property
    def location(self) -> dict[str, Any] | None:
        """The place in a file, ``line`` and ``column`` counted from 1."""
        place = self.body["location"]
        return dict(place) if place else None

    def __str__(self) -> str:
        return format_error(self.body).removeprefix("roost: ")


class UsageError(RoostError, ValueError):
    """The call itself is wrong: arguments that exclude each other, a name that is none."""


class UnsupportedError(UsageError):
    """A parameter or attribute that has no meaning in roost, where ignoring it would mislead."""


class DefinitionError(RoostError):
    """A definition is wrong; ``location`` names the place."""


class BuildFailedError(RoostError):
    """Solving, fetching or installing failed, or the build was cancelled."""


class DaemonUnreachableError(RoostError):
    """The daemon can't be reached or started."""


class UnreachableError(RoostError):
    """A container engine, registry, channel or index can't be reached."""


class NotFoundError(RoostError, LookupError):
    """No run, package, file or the like of that name."""


class EnvironmentNotFoundError(NotFoundError):
    """No environment, version or label of that name."""


class RunFailedError(RoostError):
    """A run ended otherwise than well; ``fields`` has ``run``, ``status`` and ``exit_status``."""


_BY_CODE: dict[str, type[RoostError]] = {"environment-unknown": EnvironmentNotFoundError}
_BY_STATUS: dict[int, type[RoostError]] = {
    2: UsageError,
    3: DefinitionError,
    4: BuildFailedError,
    5: DaemonUnreachableError,
    6: UnreachableError,
    7: NotFoundError,
}


def of_body(body: Mapping[str, Any]) -> RoostError:
    """The error that a wire's error body tells of."""
    status = body.get("exit_status", 1)
    return _BY_CODE.get(str(body.get("code")), _BY_STATUS.get(int(status), RoostError))(body)


@contextmanager
def translated() -> Iterator[None]:
    """Errors of the client's lower layers become the API's."""
    try:
        yield
    except RoostError:
        raise
    except ClientError as error:
        raise of_body(error.body) from None


def usage(message: str, hint: str = "", **fields: object) -> UsageError:
    """Arguments are wrong."""
    return UsageError({"code": "usage", "message": message, "hint": hint, "exit_status": 2, "fields": fields})


def unsupported(what: str, hint: str) -> UnsupportedError:
    """``what`` has no meaning here."""
    message = f"{what} has no meaning in roost"
    return UnsupportedError({"code": "unsupported", "message": message, "hint": hint, "exit_status": 2})


def definition_invalid(message: str, hint: str, path: str | None = None, line: int | None = None) -> DefinitionError:
    """What a file or an object says can't be meant."""
    place = {"path": path, "line": line, "column": None} if path is not None else None
    return DefinitionError(
        {"code": "definition-invalid", "message": message, "hint": hint, "exit_status": 3, "location": place}
    )
