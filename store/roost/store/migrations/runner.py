"""Migrate an index to the current schema: refuse a newer one, copy an older one, and run the scripts.

All scripts that are missing run in one transaction together with the schema's number, and the copy is complete before
it begins. A start that is killed at any point therefore leaves the older index or the migrated one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping

from roost.store.clock import utc_now
from roost.store.disk.root import RootFormatError
from roost.store.failpoints import failpoint
from roost.store.migrations.copies import find_copies, store_copy
from roost.store.migrations.schema import MIGRATIONS, SCHEMA_VERSION, statements

Query = Callable[[sqlite3.Connection], None]
"""A function of SQL that is run as, or within, one transaction."""
FIRST_WITH_HISTORY = 6
"""The first schema with the table ``schema_history``."""


def check_schema(connection: sqlite3.Connection, path: str) -> None:
    """Refuse an index of a newer roost. Writes nothing.

    Raises:
        RootFormatError: the schema is greater than this version of roost knows.
    """
    found = read_schema(connection)
    if found <= SCHEMA_VERSION:
        return
    root, writer = os.path.dirname(path), _find_writer(connection, found)
    newer = f"roost {writer}" if writer else "a newer version of roost"
    raise RootFormatError(
        f"The root {root} was written by {newer}: its index has schema {found}, and this is roost {own_version()}, "
        f"which supports schemas up to {SCHEMA_VERSION}",
        hint=f"Use {f'roost {writer} or later' if writer else 'the version of roost that wrote it'}, or set ROOST_HOME "
        f"to another folder. {_way_back(path)}",
        fields={"root": root, "path": path, "found": found, "known": SCHEMA_VERSION, "written_by": writer},
    )


def migrate(
    connection: sqlite3.Connection,
    path: str,
    transact: Callable[[sqlite3.Connection, Query, str], None],
    fills: Mapping[int, Query],
    roost_version: str | None = None,
) -> None:
    """Bring the index at ``path`` to the current schema, after a copy of one that holds anything.

    ``transact`` runs a query as one transaction under a name. ``fills`` are the parts of migrations that SQL can't
    express, by schema; each runs after the statements, in the same transaction. ``roost_version`` is recorded as the
    writer; without it the installed distribution is asked, which takes 15 ms.

    Raises:
        StoreFullError: there is no space for the copy; nothing was changed.
    """
    found = read_schema(connection)
    if 0 < found < SCHEMA_VERSION:
        store_copy(connection, path, found)
    run_migrations(connection, transact, fills, roost_version)


def run_migrations(
    connection: sqlite3.Connection,
    transact: Callable[[sqlite3.Connection, Query, str], None],
    fills: Mapping[int, Query],
    roost_version: str | None = None,
) -> None:
    """Run the scripts from the index's schema to the current one; no copy is made."""
    first = read_schema(connection) + 1

    def run_all(inner: sqlite3.Connection) -> None:
        writer = roost_version or own_version()
        for schema in range(first, SCHEMA_VERSION + 1):
            _run_migration(inner, schema, fills, writer)
            failpoint(f"migrate.{schema}")

    if first <= SCHEMA_VERSION:
        transact(connection, run_all, "migrate")
        failpoint("migrate.committed")


def _run_migration(connection: sqlite3.Connection, schema: int, fills: Mapping[int, Query], roost_version: str) -> None:
    for statement in statements(MIGRATIONS[schema]):
        connection.execute(statement)
    if schema in fills:
        fills[schema](connection)
    if schema >= FIRST_WITH_HISTORY:
        connection.execute(
            "INSERT OR REPLACE INTO schema_history (schema, roost, created) VALUES (?, ?, ?)",
            (schema, roost_version, utc_now()),
        )
    connection.execute(f"PRAGMA user_version = {schema}")


def read_schema(connection: sqlite3.Connection) -> int:
    """Return the schema's number; 0 is an empty index."""
    found: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return found


def own_version() -> str:
    """Return the version of this roost, as its distribution says."""
    from importlib.metadata import PackageNotFoundError, version  # 15 ms and 0.8 MB, at the first start of a root only

    try:
        return version("roost")
    except PackageNotFoundError:
        return "(unknown version)"


def _find_writer(connection: sqlite3.Connection, schema: int) -> str | None:
    """Return the version of roost that brought the index to ``schema``; ``None`` if a later schema doesn't say."""
    try:
        row = connection.execute("SELECT roost FROM schema_history WHERE schema = ?", (schema,)).fetchone()
    except sqlite3.Error:
        return None
    return str(row[0]) if row else None


def _way_back(path: str) -> str:
    """Return how to go back to the newest copy that this roost can read."""
    for schema in range(SCHEMA_VERSION, 0, -1):
        copies = find_copies(path, schema)
        if copies:
            return (
                f"To go back instead: move {path} with its -wal and -shm files aside, and move {copies[-1]}, the copy "
                f"from before the change, to {path}. What was recorded since then is lost."
            )
    return "There is no copy of it from before that this version of roost can read."
