"""Code of packages and projects that has run on this machine, by its content: background work may run it again.

A content is a package or a source by its digest (``sha256:…``), a commit (``git+URL@COMMIT``), or docker steps on a
base. A row is committed after the code has run and succeeded, for somebody who asked for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from roost.store.clock import utc_now
from roost.store.index.queries import Queries, Read, Write

_AT_ONCE = 500
"""Contents of one statement: SQLite bounds its variables."""


def find_code_runs(connection: sqlite3.Connection, contents: Sequence[str]) -> set[str]:
    """Return those of ``contents`` that have run."""
    found: set[str] = set()
    for start in range(0, len(contents), _AT_ONCE):
        part = tuple(contents[start : start + _AT_ONCE])
        marks = ",".join("?" * len(part))
        rows = connection.execute(f"SELECT content FROM code_runs WHERE content IN ({marks})", part)
        found.update(row["content"] for row in rows)
    return found


def add_code_runs(connection: sqlite3.Connection, kind: str, contents: Sequence[str]) -> None:
    """Record that ``contents`` have run; what is recorded stays as it is."""
    now = utc_now()
    connection.executemany(
        "INSERT OR IGNORE INTO code_runs (content, kind, first_run) VALUES (?, ?, ?)",
        [(content, kind, now) for content in contents],
    )


class CodeRunTable(Queries):
    """``index.code_runs``: code that has run on this machine."""

    find = Read(find_code_runs)
    add = Write(add_code_runs)
