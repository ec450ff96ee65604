"""The variables of the caller that is being worked for, in a context variable.

Tasks and threads that a request starts see them, so a build that others join has those of its first asker.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from roost.daemon.caller.variables import NAMES, select_network, without_secrets

_NOBODY: Mapping[str, str] = {}
_current: ContextVar[Mapping[str, str]] = ContextVar("_current", default=_NOBODY)


def caller_variables() -> Mapping[str, str]:
    """Return the variables of the caller."""
    return _current.get()


def network_variables() -> dict[str, str]:
    """Return those that a process needs to reach servers."""
    return select_network(_current.get())


def search_path() -> str:
    """Return the PATH on which programs and Pythons are searched: the caller's, else the daemon's own."""
    return _current.get().get("PATH") or os.environ.get("PATH", os.defpath)


def process_environment() -> dict[str, str]:
    """Return the environment of programs that act for the caller: docker, ssh, credential helpers, keyrings."""
    return {**os.environ, **{name: value for name, value in _current.get().items() if value}}


@contextmanager
def use_caller(variables: Mapping[str, str]) -> Iterator[None]:
    """Work for a caller with ``variables`` in the block."""
    token = _current.set(variables)
    try:
        yield
    finally:
        _current.reset(token)


def remove_own_variables() -> list[str]:
    """Remove a caller's variables from the environment of this process, apart from PATH; return their names. Whoever
    happened to start the daemon is not the caller of all requests."""
    return [name for name in NAMES if name != "PATH" and os.environ.pop(name, None) is not None]


class LastCaller:
    """What may be kept of the last caller, for requests that say nothing of theirs. In memory only."""

    def __init__(self) -> None:
        self.variables: Mapping[str, str] = _NOBODY

    def note(self, variables: Mapping[str, str]) -> None:
        """Keep the part of ``variables`` that is no secret."""
        self.variables = without_secrets(variables)
