"""What the daemon does in idleness: when each work last ended, and when each prefix was last compared."""

from __future__ import annotations

import sqlite3

from roost.model.canonical.form import digest_bytes
from roost.model.records import RunRecord
from roost.store.disk.run_folders import BegunRun, read_begun
from roost.store.index.queries import Queries, Read, Scan, Write
from roost.store.index.tables.definitions import is_known, put_settings, record_sighting
from roost.store.index.tables.records import find_record, insert_record


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


class UpkeepTable(Queries):
    """``index.upkeep``: the idle work of the daemon."""

    list_last_runs = Read(list_last_runs)
    record_run = Write(record_run)
    list_run_ids = Scan(list_run_ids)
    restore_run = Write(restore_run)
