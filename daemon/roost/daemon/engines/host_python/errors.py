"""Errors about the interpreters of this machine.

Separate because every engine has its error classes in ``errors``, importable without the rest.
"""

from __future__ import annotations

from roost.model.errors import BuildError, LookupFailedError


class NoInterpreterError(LookupFailedError):
    """No Python on this machine fits."""

    code = "no-interpreter"
    exit_status = 4


class InterpreterMissingError(LookupFailedError):
    """The named interpreter does not exist or is not a working Python."""

    code = "interpreter-missing"


class InterpreterChangedError(BuildError):
    """The Python that a lock was made for no longer exists or has another version."""

    code = "interpreter-changed"
