"""Errors of roost's tree as values: a worker raises one, and the daemon raises the same, with all its fields."""

from __future__ import annotations

import importlib
from typing import Any

import msgspec

from roost.daemon.workers.errors import WorkerCrashedError, WorkerFailedError
from roost.model.errors import CodedError, Location


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error: its class by module and name, and what it says."""

    module: str
    name: str
    message: str
    hint: str = ""
    location: Location | None = None
    fields: dict[str, Any] = {}


def describe_error(error: BaseException) -> Fault:
    """Return ``error`` as a value. One that is not of roost's tree becomes a :class:`WorkerFailedError`."""
    if isinstance(error, MemoryError):
        error = WorkerCrashedError("The work needs more memory than a worker may have")
    if not isinstance(error, CodedError):
        text = f"{type(error).__name__}: {error}"
        return Fault(module=WorkerFailedError.__module__, name=WorkerFailedError.__name__, message=text)
    return Fault(
        module=type(error).__module__,
        name=type(error).__qualname__,
        message=error.message,
        hint=error.hint,
        location=error.location,
        fields=msgspec.to_builtins(error.fields, enc_hook=str),
    )


def rebuild_error(fault: Fault) -> CodedError:
    """Return the error that ``fault`` describes. Its class must be importable here, without the worker's libraries."""
    found: object = importlib.import_module(fault.module) if fault.module.startswith("roost.") else None
    for part in fault.name.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, CodedError)):
        found = WorkerFailedError
    # Not by its constructor: a subclass may have one of its own.
    error = found.__new__(found)
    CodedError.__init__(error, fault.message, hint=fault.hint, location=fault.location, fields=fault.fields)
    return error
