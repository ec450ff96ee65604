"""What the daemon does in idleness: when work last ended, which prefix is compared, what goes by age, free pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.records import Artifact, RunRecord
from roost.store.disk.run_folders import BegunRun, read_begun
from roost.store.index.queries import Queries, Read, Scan, Write
from roost.store.index.tables.artifacts import find_artifact
from roost.store.index.tables.definitions import is_known, put_settings, record_sighting
from roost.store.index.tables.records import OPEN_BUILD_STATES, find_record, insert_record
from roost.store.migrations.schema import INCREMENTAL


def list_last_runs(connection: sqlite3.Connection) -> dict[str, str]:
    """Return when each idle work last ended, by its name."""
    return {row["name"]: row["ended"] for row in connection.execute("SELECT name, ended FROM idle_work")}


def record_run(connection: sqlite3.Connection, name: str, ended: str) -> None:
    """Store that the idle work ``name`` ended at that time."""
    connection.execute("INSERT OR REPLACE INTO idle_work (name, ended) VALUES (?, ?)", (name, ended))


def list_run_ids(connection: sqlite3.Connection) -> list[str]:
    """Return the ids of all runs."""
    return [row["id"] for row in connection.execute("SELECT id FROM runs")]


def restore_run(connection: sqlite3.Connection, folder: str) -> bool:
    """Store the run that only its folder has, with its definition. Return ``False`` if the folder has no record."""
    begun = read_begun(folder)
    if begun is None or find_record(connection, RunRecord, begun.run.id) is not None:
        return False
    restore_definition(connection, begun)
    insert_record(connection, begun.run)
    return True


def restore_definition(connection: sqlite3.Connection, begun: BegunRun) -> None:
    """Store the definition and the settings of a run as its folder has them, as far as they have their digests."""
    form, settings = begun.definition.encode(), begun.settings.encode()
    digest = begun.run.definition_digest
    if digest_bytes(form) == digest and not is_known(connection, digest):
        record_sighting(connection, digest, form, begun.name, begun.source)
    if digest_bytes(settings) == begun.run.settings_digest:
        put_settings(connection, begun.run.settings_digest, settings)


def find_longest_unchecked(connection: sqlite3.Connection, before: str, now: str) -> Artifact | None:
    """Return the ready prefix that was compared, or else published, longest ago, if that was ``before`` that time. One
    in the future counts as never."""
    row = connection.execute(
        "SELECT id, CASE WHEN seen > ? THEN '' ELSE seen END AS seen FROM "
        "(SELECT id, CASE checked WHEN '' THEN created ELSE checked END AS seen FROM artifacts "
        "WHERE kind = 'prefix' AND state = 'ready') ORDER BY 2, 1 LIMIT 1",
        (now,),
    ).fetchone()
    return find_artifact(connection, row["id"]) if row is not None and row["seen"] < before else None


def record_check(connection: sqlite3.Connection, artifact_id: str, when: str) -> None:
    """Store that every byte of a prefix was compared with its manifest at that time."""
    connection.execute("UPDATE artifacts SET checked = ? WHERE id = ?", (when, artifact_id))


def delete_builds(connection: sqlite3.Connection, before: str, limit: int) -> list[str]:
    """Delete the oldest builds, ``limit`` at most, that were requested ``before`` that time and have ended. Return
    their ids."""
    marks = ", ".join("?" * len(OPEN_BUILD_STATES))
    rows = connection.execute(
        f"SELECT number, id FROM builds WHERE created < ? AND state NOT IN ({marks}) ORDER BY number LIMIT ?",
        (before, *OPEN_BUILD_STATES, limit),
    ).fetchall()
    connection.executemany("DELETE FROM builds WHERE number = ?", [(row["number"],) for row in rows])
    return [row["id"] for row in rows]


class DefinitionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of definitions that nothing refers to, and the last one that was looked at; ``None`` after the end."""

    ids: tuple[int, ...]
    last: int | None


_UNREFERENCED = " AND ".join(
    f"NOT EXISTS (SELECT 1 FROM {table} AS t WHERE t.definition_digest = d.digest)"
    for table in ("generations", "runs", "builds", "bodies", "images", "leases")
)


def list_unreferenced(connection: sqlite3.Connection, before: str, after: int, limit: int) -> DefinitionPage:
    """Look at ``limit`` definitions after number ``after``. Each costs a search in every table that refers to it."""
    rows = connection.execute(
        f"SELECT d.id, d.created < ? AND {_UNREFERENCED} AS unreferenced FROM definitions AS d WHERE d.id > ? "
        "ORDER BY d.id LIMIT ?",
        (before, after, limit),
    ).fetchall()
    ids = tuple(row["id"] for row in rows if row["unreferenced"])
    return DefinitionPage(ids=ids, last=rows[-1]["id"] if rows else None)


def delete_definitions(connection: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Delete definitions that still nothing refers to, with their sightings. Return how many."""
    count = 0
    for number in ids:
        query = f"SELECT 1 FROM definitions AS d WHERE d.id = ? AND {_UNREFERENCED}"
        if connection.execute(query, (number,)).fetchone() is not None:
            connection.execute("DELETE FROM sightings WHERE definition = ?", (number,))
            count += connection.execute("DELETE FROM definitions WHERE id = ?", (number,)).rowcount
    return count


def count_free_pages(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the number of free pages that can be given back to the disk step by step, and of all pages."""
    mode, free, pages = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("auto_vacuum", "freelist_count", "page_count")
    )
    return (free if mode == INCREMENTAL else 0), pages


def free_pages(connection: sqlite3.Connection, count: int) -> None:
    """Give ``count`` free pages at most back to the disk."""
    for _ in range(count):  # each execution gives back one: Python does not step through a statement without columns
        connection.execute("PRAGMA incremental_vacuum(1)")


class UpkeepTable(Queries):
    """``index.upkeep``: the idle work of the daemon."""

    list_last_runs = Read(list_last_runs)
    record_run = Write(record_run)
    list_run_ids = Scan(list_run_ids)
    restore_run = Write(restore_run)
    find_longest_unchecked = Read(find_longest_unchecked)
    record_check = Write(record_check)
    delete_builds = Write(delete_builds)
    list_unreferenced = Scan(list_unreferenced)
    delete_definitions = Write(delete_definitions)
    count_free_pages = Read(count_free_pages)
    free_pages = Write(free_pages)
