"""Read what can be read of an index that may be damaged, row by row, without writing to it.

SQLite raises when it meets a damaged page, and has no way past it. A table is a tree that is sorted by its key, so what
lies behind a damaged page is reached from the other end, and what lies between two of them by searches for keys in
between. A file whose header is damaged is read through a copy with a new header. All functions block.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

from roost.store.migrations.examination import list_faults

Value = str | bytes | int | float | None
Row = Mapping[str, Value]
_PAGE_BYTES = 4096
"""The page size of every index that roost creates."""
_MAGIC = b"SQLite format 3\0"
_PROBES = 600
"""Searches between two damaged places of one table, at most."""


class DamagedReader:
    """One file of an index, which is only read. ``incomplete`` has the tables of which something could not be read."""

    def __init__(self, connection: sqlite3.Connection, description: str) -> None:
        connection.row_factory = sqlite3.Row
        connection.text_factory = _decode_text
        self._connection = connection
        self.description = description
        self.incomplete: set[str] = set()
        self._columns = _read_columns(connection)

    @property
    def tables(self) -> frozenset[str]:
        """Names of the tables that the file has, as far as its schema can be read."""
        return frozenset(self._columns)

    @property
    def is_intact(self) -> bool:
        """Whether SQLite finds nothing wrong with the whole file."""
        return bool(self._columns) and not list_faults(self._connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def rows(self, table: str) -> Iterator[Row]:
        """Yield the rows of a table that can be read, each once."""
        if table not in self._columns:
            return
        keys = self._columns[table] or ["rowid"]
        seen_from: Sequence[Value] | None = None
        for key, row in self._walk(table, keys, None, forward=True):
            seen_from = key
            yield row
        if table not in self.incomplete:
            return
        later: Sequence[Value] | None = None
        for key, row in self._walk(table, keys, seen_from, forward=False):
            later = key
            yield row
        yield from self._search_between(table, keys, seen_from, later)

    def _walk(
        self,
        table: str,
        keys: Sequence[str],
        bound: Sequence[Value] | None,
        *,
        forward: bool,
        until: Sequence[Value] | None = None,
    ) -> Iterator[tuple[Sequence[Value], Row]]:
        """Yield rows in the order of their keys, from ``bound`` on (forward) or from the end down to it (backward),
        until an error, which makes the table incomplete, or until a key that ``until`` precedes."""
        names, marks = ", ".join(keys), ", ".join("?" * len(keys))
        # A rowid is named like the column that is its alias, so keys are read by their place.
        select = f"{names}, *"
        limits, parameters = [], []
        for operator, limit in ((">" if bound is not None else "", bound), ("<" if until is not None else "", until)):
            if limit is not None:
                limits.append(f"({names}) {operator} ({marks})")
                parameters += [*limit]
        where = f"WHERE {' AND '.join(limits)} " if limits else ""
        order = ", ".join(keys if forward else [f"{key} DESC" for key in keys])
        try:
            for row in self._connection.execute(f"SELECT {select} FROM {table} {where}ORDER BY {order}", parameters):
                columns, values = row.keys()[len(keys) :], tuple(row)
                yield values[: len(keys)], dict(zip(columns, values[len(keys) :], strict=True))
        except (sqlite3.Error, UnicodeError, OverflowError):
            self.incomplete.add(table)

    def _search_between(
        self, table: str, keys: Sequence[str], after: Sequence[Value] | None, before: Sequence[Value] | None
    ) -> Iterator[Row]:
        """Yield rows between two keys at which reading failed: those of whole pages between damaged ones."""
        seen: set[Sequence[Value]] = set()
        for probe in _list_probes(after, before, len(keys)):
            if probe in seen:
                continue
            for key, row in self._walk(table, keys, probe, forward=True, until=before):
                if key in seen or (after is not None and not _is_later(key, after)):
                    break
                seen.add(key)
                yield row


def _is_later(key: Sequence[Value], other: Sequence[Value]) -> bool:
    try:
        return tuple(key) > tuple(other)
    except TypeError:
        return True


def _list_probes(
    after: Sequence[Value] | None, before: Sequence[Value] | None, width: int
) -> Iterator[Sequence[Value]]:
    """Yield keys at which reading may begin again: numbers between two numbers, else the beginnings of digests."""
    first, last = (after or (None,))[0], (before or (None,))[0]
    if isinstance(last, int) and (first is None or isinstance(first, int)):
        low = first or 0
        step = max(1, (last - low) // _PROBES)
        for number in range(low + step, last, step):
            yield (number, *([""] * (width - 1)))
    elif isinstance(first, str) or isinstance(last, str):
        for number in range(256):
            probe = (f"sha256:{number:02x}", *([""] * (width - 1)))
            if (first is None or probe[0] > str(first)) and (last is None or probe[0] < str(last)):
                yield probe


def _decode_text(value: bytes) -> str:
    return value.decode()  # strictly: damaged text is an error of its row


def _read_columns(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Return the tables of a file with the columns of their primary key, none for a table with a rowid. Nothing if the
    schema can't be read."""
    columns: dict[str, list[str]] = {}
    try:
        connection.execute("PRAGMA writable_schema = ON")  # one malformed entry would hide all others
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    except (sqlite3.Error, UnicodeError):
        return {}
    for name, sql in rows:
        with contextlib.suppress(sqlite3.Error, UnicodeError):
            info = connection.execute(f"PRAGMA table_info({name})").fetchall()
            keys = [row["name"] for row in sorted(info, key=lambda row: row["pk"]) if row["pk"]]
            columns[name] = keys if "WITHOUT ROWID" in str(sql).upper() else []
    return columns


@contextlib.contextmanager
def open_damaged(path: str, scratch: str, *, with_wal: bool) -> Iterator[DamagedReader]:
    """Open the index at ``path`` for reading, with the WAL beside it if ``with_wal``. ``scratch`` is a folder for the
    copy that a file with a damaged header needs."""
    reader = _open(path, f"{path}{' with its WAL' if with_wal else ''}", with_wal=with_wal)
    if not reader.tables and os.path.isfile(path):
        reader.close()
        copy = os.path.join(scratch, "index-with-new-header.db")
        _copy_with_new_header(path, copy)
        if with_wal and os.path.exists(f"{path}-wal"):
            shutil.copyfile(f"{path}-wal", f"{copy}-wal")
        reader = _open(copy, f"{path} with a new header", with_wal=with_wal)
    try:
        yield reader
    finally:
        reader.close()
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(scratch, f"index-with-new-header.db{end}"))


def _open(path: str, description: str, *, with_wal: bool) -> DamagedReader:
    uri = f"file:{quote(os.fsencode(path))}?mode=ro{'' if with_wal else '&immutable=1'}"
    try:
        return DamagedReader(sqlite3.connect(uri, uri=True, isolation_level=None), description)
    except sqlite3.Error:
        return DamagedReader(sqlite3.connect(":memory:"), description)


def _copy_with_new_header(path: str, copy: str) -> None:
    """Copy a file and write the header that an index of roost has (sqlite.org/fileformat2.html, section 1.3)."""
    shutil.copyfile(path, copy)
    size = os.path.getsize(copy)
    with open(copy, "r+b") as file:
        old = file.read(100).ljust(100, b"\0")
        header = bytearray(old)
        header[:16] = _MAGIC
        header[16:18] = _PAGE_BYTES.to_bytes(2, "big")
        header[18:24] = bytes((2, 2, 0, 64, 32, 32))
        header[28:32] = (size // _PAGE_BYTES).to_bytes(4, "big")
        header[32:40] = bytes(8)  # no free pages: their list may be what is damaged
        header[44:48] = (4).to_bytes(4, "big")
        header[56:60] = (1).to_bytes(4, "big")  # UTF-8
        header[92:96] = header[24:28]
        file.seek(0)
        file.write(header)
