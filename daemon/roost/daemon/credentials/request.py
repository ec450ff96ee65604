"""Credentials for registries that belong to one request, in a context variable.

Tasks that the request starts see them; other requests do not, and nothing stores them. Separate because the registry
engine imports it and needs nothing else of this package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[Mapping[str, str] | None] = ContextVar("_current", default=None)


@contextmanager
def request_credentials(credentials: Mapping[str, str]) -> Iterator[None]:
    """Make ``credentials`` (host to ``user:password``) available to the code and the tasks in the block."""
    token = _current.set(credentials or None)
    try:
        yield
    finally:
        _current.reset(token)


def find_request_credentials(host: str) -> str | None:
    """Return the request's ``user:password`` for ``host``, if it has any."""
    return (_current.get() or {}).get(host)
