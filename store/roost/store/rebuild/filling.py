"""Fill a new index with the rows of older ones, table by table, the most recent source first.

A later source only completes a table of which something was lost before. Rows refer to others by number in some tables;
numbers of a later source that mean something else in the new index are translated. All functions block.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.records import EnvironmentBody, LayerRecord
from roost.store.disk.layer_files import is_intact
from roost.store.disk.layout import Layout
from roost.store.index.packages import add_contents
from roost.store.index.tables.definitions import put_settings, record_sighting
from roost.store.index.tables.locks import put_project_layer
from roost.store.rebuild.reading import DamagedReader, Row
from roost.store.rebuild.rows import decode_lock, has_column_types, is_valid

_ORDER = (
    "definitions",
    "sightings",
    "settings",
    "locks",
    "bodies",
    "removed_versions",
    "environments",
    "versions",
    "labels",
    "generations",
    "builds",
    "runs",
    "events",
    "bases",
    "images",
    "layers",
    "pins",
    "leases",
    "lease_subjects",
    "durations",
)
"""Tables after those that they refer to. Tables that are not named follow."""
_DERIVED = frozenset(
    (
        "package_names",
        "packages",
        "contents",
        "lock_uses",
        "lock_bodies",
        "project_layers",
        "run_facts",
        "run_tags",
        "disk_usage",
        "idle_work",
        "artifacts",
    )
)
"""Tables that triggers and functions fill, and that of prefixes, which are compared first."""
_YOUNG = ("removed_versions",)
"""Tables without which an index is as complete: those that wrote it had none."""
_NUMBERED = {"definitions": "digest", "locks": "digest", "bodies": "digest", "environments": "name"}
"""Tables whose rows others refer to by ``id``, with the column that names the same content in every index."""
_REFERENCES = {
    "sightings": {"definition": "definitions"},
    "versions": {"environment": "environments", "body": "bodies"},
    "labels": {"environment": "environments"},
}
_RENUMBERED = {"sightings": "id", "builds": "number", "runs": "number", "durations": "id"}
"""Tables whose rows have a number that only orders them."""


class IndexFiller:
    """Fills the empty index of ``connection``, within a transaction of the caller."""

    def __init__(self, connection: sqlite3.Connection, layout: Layout) -> None:
        self._connection = connection
        self._layout = layout
        self.added: Counter[str] = Counter()
        """Rows of each table."""
        self.incomplete: dict[str, str] = {}
        """Tables of which something was lost, with the reason."""
        self.unresolved: list[str] = []
        """Versions whose content was lost, as ``NAME:VERSION``."""
        self._numbers: dict[tuple[str, str], dict[int, int]] = {}
        """By source and table: numbers that mean another row in the new index."""
        self._removals: dict[tuple[object, object], int] = {}
        """Rank of the source that knows of a removal, by name and number: what is newer has another version of it."""
        self._columns = {table: self._read_columns(table) for table in self._list_tables()}

    def fill(self, sources: Sequence[DamagedReader], complete_definitions: Callable[[], None]) -> None:
        """Add the rows of all sources. Without any, every table is lost. ``complete_definitions`` adds definitions and
        settings that others know: versions need theirs."""
        tables = [table for table in _ORDER if table in self._columns]
        others = sorted(self._columns.keys() - _DERIVED - set(_ORDER))
        for table in (*tables, *others):
            if table == "versions":
                complete_definitions()
                self._complete_from_bodies()
            self._fill_table(table, sources)
        self._settle_removals()
        self._complete_current()

    def _list_tables(self) -> list[str]:
        rows = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return [row[0] for row in rows if not row[0].startswith("sqlite_")]

    def _read_columns(self, table: str) -> dict[str, tuple[str, bool]]:
        """Return the columns of a table with their types, and whether each is never null."""
        rows = self._connection.execute(f"PRAGMA table_info({table})").fetchall()
        return {row[1]: (row[2], bool(row[3])) for row in rows}

    def _fill_table(self, table: str, sources: Sequence[DamagedReader]) -> None:
        lost = "no index that could be read has this table"
        for rank, source in enumerate(sources):
            if table not in source.tables:
                continue
            rejected = sum(not self._add(source, rank, table, row) for row in source.rows(table))
            if table not in source.incomplete and not rejected:
                lost = ""
                break
            reason = "some rows can't be read" if table in source.incomplete else f"{rejected} rows are damaged"
            lost = f"{reason} in {source.description}"
        if lost and (table not in _YOUNG or any(table in source.tables for source in sources)):
            self.incomplete[table] = lost

    def _add(self, source: DamagedReader, rank: int, table: str, row: Row) -> bool:
        """Add a row, unless the new index has one of the same key. Return ``False`` if it is damaged or refers to what
        is lost. ``rank``: the place of the source among the sources, the newest first."""
        if not has_column_types(row, self._columns[table]) or not is_valid(table, row):
            return False
        values: dict[str, object] = {name: row[name] for name in self._columns[table] if name in row}
        for column, referred in _REFERENCES.get(table, {}).items():
            number = values[column]
            if isinstance(number, int):
                values[column] = self._numbers.get((source.description, referred), {}).get(number, number)
        if table == "removed_versions":
            self._removals.setdefault((values["name"], values["version"]), rank)
        if table in ("versions", "labels") and self._is_removed(values, rank):
            return True
        if table == "versions" and not self._has_content(values["body"]):
            self.unresolved.append(self._name_version(values))
            return False
        try:
            if table in _NUMBERED:
                self._add_numbered(source, table, values)
            elif table == "generations":
                self._add_generation(values)
            elif table != "layers" or is_intact(self._layout, msgspec.json.decode(_bytes(row), type=LayerRecord)):
                self._insert(table, values)
        except sqlite3.IntegrityError:
            return False
        return True

    def _add_numbered(self, source: DamagedReader, table: str, values: dict[str, object]) -> None:
        name, number = _NUMBERED[table], values["id"]
        assert isinstance(number, int)
        found = self._connection.execute(f"SELECT id FROM {table} WHERE {name} = ?", (values[name],)).fetchone()
        if found is None:
            taken = self._connection.execute(f"SELECT 1 FROM {table} WHERE id = ?", (number,)).fetchone()
            if taken is not None:
                del values["id"]
            added = self._insert(table, values)
            if table == "locks":
                lock = decode_lock(values)
                add_contents(self._connection, added, lock)
                put_project_layer(self._connection, str(values[name]), lock)
        else:
            added = found[0]
        if added != number:
            self._numbers.setdefault((source.description, table), {})[number] = added

    def _add_generation(self, values: dict[str, object]) -> None:
        if values["current"]:
            query = "SELECT 1 FROM generations WHERE definition_digest = ? AND platform = ? AND current = 1"
            known = self._connection.execute(query, (values["definition_digest"], values["platform"])).fetchone()
            values["current"] = int(known is None)
        self._insert("generations", values)

    def _insert(self, table: str, values: dict[str, object]) -> int:
        """Insert a row, or leave the one of the same key. Return its number. A number that only orders rows is chosen
        again if it is taken."""
        number = _RENUMBERED.get(table)
        if number and number in values:
            query = f"SELECT 1 FROM {table} WHERE {number} = ?"
            if self._connection.execute(query, (values[number],)).fetchone() is not None:
                values = {name: value for name, value in values.items() if name != number}
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        query = f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        cursor = self._connection.execute(query, tuple(values.values()))
        self.added[table] += cursor.rowcount
        return cursor.lastrowid or 0

    def _name_version(self, values: dict[str, object]) -> str:
        query = "SELECT name FROM environments WHERE id = ?"
        found = self._connection.execute(query, (values["environment"],)).fetchone()
        return f"{found[0] if found else '?'}:{values['version']}"

    def _is_removed(self, values: dict[str, object], rank: int) -> bool:
        """Return whether a version was removed, which the source of its row does not know: an older source may know of
        a removal after which the same content was registered again."""
        query = (
            "SELECT e.name FROM environments AS e JOIN removed_versions AS r ON r.name = e.name "
            "WHERE e.id = ? AND r.version = ? AND r.body <> ''"
        )
        found = self._connection.execute(query, (values["environment"], values["version"])).fetchone()
        return found is not None and self._removals.get((found[0], values["version"]), rank) <= rank

    def _settle_removals(self) -> None:
        """Delete removals of versions that were registered again since, and names without any version: those were
        removed, or nothing is known of them."""
        self._connection.execute(
            "DELETE FROM removed_versions WHERE EXISTS (SELECT 1 FROM versions AS v JOIN environments AS e "
            "ON e.id = v.environment WHERE e.name = removed_versions.name AND v.version = removed_versions.version)"
        )
        self._connection.execute("DELETE FROM environments WHERE id NOT IN (SELECT environment FROM versions)")

    def _has_content(self, body: object) -> bool:
        query = (
            "SELECT 1 FROM bodies AS b JOIN definitions AS d ON d.digest = b.definition_digest "
            "JOIN settings AS s ON s.digest = b.settings_digest WHERE b.id = ?"
        )
        return self._connection.execute(query, (body,)).fetchone() is not None

    def _complete_from_bodies(self) -> None:
        """Add lost definitions and settings of versions, if the content of the version still leads to their digests."""
        query = (
            "SELECT definition_digest, settings_digest, body FROM bodies AS b WHERE NOT EXISTS "
            "(SELECT 1 FROM definitions AS d WHERE d.digest = b.definition_digest) OR NOT EXISTS "
            "(SELECT 1 FROM settings AS s WHERE s.digest = b.settings_digest)"
        )
        for row in self._connection.execute(query).fetchall():
            body = msgspec.json.decode(zlib.decompress(row["body"]), type=EnvironmentBody)
            form = canonicalise_definition(body.definition, body.defaults)
            if digest_bytes(form) == row["definition_digest"]:
                record_sighting(self._connection, row["definition_digest"], form, None, None)
            settings = canonicalise_settings(body.settings)
            if digest_bytes(settings) == row["settings_digest"]:
                put_settings(self._connection, row["settings_digest"], settings)

    def _complete_current(self) -> None:
        """Make the latest generation current if the current one of its definition was lost."""
        self._connection.execute(
            "UPDATE generations SET current = 1 WHERE origin <> 'file' "
            "AND NOT EXISTS (SELECT 1 FROM generations AS c WHERE "
            "c.definition_digest = generations.definition_digest AND c.platform = generations.platform "
            "AND c.current = 1) AND number = (SELECT max(number) FROM generations AS h WHERE h.origin <> 'file' "
            "AND h.definition_digest = generations.definition_digest AND h.platform = generations.platform)"
        )


def _bytes(row: Row) -> bytes:
    record = row["record"]
    return record if isinstance(record, bytes) else str(record).encode()
