"""Credentials for registries that one request brought with it: seen by what is asked for it, and by nothing else.

A context variable carries them: tasks that the request starts see them, other requests do not. Nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_given: ContextVar[Mapping[str, str] | None] = ContextVar("_given", default=None)


@contextmanager
def request_credentials(credentials: Mapping[str, str]) -> Iterator[None]:
    """Within: host to ``user:password``."""
    token = _given.set(credentials or None)
    try:
        yield
    finally:
        _given.reset(token)


def find_request_credentials(host: str) -> str | None:
    """``user:password`` for ``host``, if the request brought any."""
    return (_given.get() or {}).get(host)
