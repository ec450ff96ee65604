"""Methods that are one transaction or one snapshot, declared beside their SQL.

A *query* is a module-level function whose first parameter is the ``sqlite3.Connection`` of an open transaction or
snapshot; queries call one another freely, and so compose to larger transactions. A table class declares how each of its
queries runs::

    class LayerTable(Queries):
        put = Write(put_layer)

``await index.layers.put(layer)`` then runs ``put_layer(connection, layer)`` as one transaction, with one hop to the
thread of the connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from roost.store.index.database import Database

P = ParamSpec("P")
T = TypeVar("T")


class Queries:
    """Base of the table classes: queries bound to one database."""

    def __init__(self, database: Database) -> None:
        self.database = database


class _Query(Generic[P, T]):
    def __init__(self, query: Callable[Concatenate[sqlite3.Connection, P], T]) -> None:
        self._query = query
        self.__doc__ = query.__doc__


class Write(_Query[P, T]):
    """Run a query as one transaction. The call returns when the transaction is committed and on the disk."""

    def __get__(self, instance: Queries, owner: type[Queries]) -> Callable[P, Coroutine[Any, Any, T]]:
        def run(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
            return instance.database.write(self._query, *args, **kwargs)

        return run


class Read(_Query[P, T]):
    """Run a query on one snapshot. For queries of microseconds: plans wait for them."""

    def __get__(self, instance: Queries, owner: type[Queries]) -> Callable[P, Coroutine[Any, Any, T]]:
        def run(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
            return instance.database.read(self._query, *args, **kwargs)

        return run


class Scan(_Query[P, T]):
    """Run a query on one snapshot, on a connection of its own. For queries that may take longer."""

    def __get__(self, instance: Queries, owner: type[Queries]) -> Callable[P, Coroutine[Any, Any, T]]:
        def run(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
            return instance.database.scan(self._query, *args, **kwargs)

        return run
