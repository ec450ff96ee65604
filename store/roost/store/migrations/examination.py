"""Whether the index of a root can be opened, before anything is written to it.

SQLite creates an index if there is none, and takes an empty file for a new one. Recovery would then delete all
prefixes, since no row knows them. And it applies whatever WAL lies beside a file, even one that belongs to another
index. So an index that is missing or empty beside content is refused, and one that was not closed is checked as a
whole, with its WAL, over a connection that can't write.

All functions block.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from urllib.parse import quote

from roost.model.errors import StoreError
from roost.store.disk.layout import Layout
from roost.store.migrations.copies import find_copies
from roost.store.migrations.schema import SCHEMA_VERSION

_HEADER_BYTES = 100
MAX_FAULTS = 10
"""Lines of ``PRAGMA quick_check`` that are reported."""
REBUILT_END = ".rebuilt"
"""End of the name of a rebuilt index before it takes the place of the damaged one: a repair was interrupted."""
COPY_END = ".copy"
"""End of the name of the copy that is renewed in idleness: it has what no prefix and no run has."""
_DAMAGE_WORDS = ("malformed", "not a database", "file is encrypted")


class IndexDamagedError(StoreError):
    """The index is damaged, as SQLite reports, or is not an index of roost."""

    code = "index-damaged"


class IndexMissingError(StoreError):
    """There is no index, or an empty one, beside what an index describes."""

    code = "index-missing"


class IndexUnusableError(StoreError):
    """The file of the index can't be opened or written."""

    code = "index-unusable"


def examine_index(layout: Layout) -> int | None:
    """Examine the index of a root that is locked, and write nothing.

    Return the size of the WAL with which it was checked, ``None`` if it was closed in order or does not exist yet.

    Raises: IndexDamagedError, IndexMissingError, IndexUnusableError: see the classes.
    """
    path = layout.index_path
    try:
        state = os.stat(path)
    except FileNotFoundError:
        _check_nothing_beside(layout, "is missing")
        return None
    except OSError as error:
        raise _unusable_error(path, str(error.strerror)) from error
    if not stat.S_ISREG(state.st_mode):
        kind = "a folder" if stat.S_ISDIR(state.st_mode) else "not a regular file"
        raise damaged_error(path, f"it is {kind}")
    if state.st_size == 0:
        _check_nothing_beside(layout, "is empty")
        return None
    if not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        raise _unusable_error(path, f"no permission to read and write it (mode {stat.S_IMODE(state.st_mode):04o})")
    _check_beside(path)
    _check_size(path, state.st_size)
    wal = _measure_wal(path)
    if _read_index(path, with_check=wal > 0) == 0:
        _check_nothing_beside(layout, "is empty")
    return wal or None


def find_fault(layout: Layout) -> StoreError | None:
    """Return why the index of a root that is locked can't be used, after a check of all of it; writes nothing."""
    try:
        examine_index(layout)
        if os.path.exists(layout.index_path) and os.path.getsize(layout.index_path):
            _read_index(layout.index_path, with_check=True)
    except (IndexDamagedError, IndexMissingError, IndexUnusableError) as error:
        return error
    return None


def list_faults(connection: sqlite3.Connection) -> list[str]:
    """Return what ``PRAGMA quick_check`` finds wrong with the index; nothing if it is intact."""
    try:
        rows = connection.execute(f"PRAGMA quick_check({MAX_FAULTS})").fetchall()
    except sqlite3.DatabaseError as error:
        return [str(error)]
    lines = [line for row in rows for line in str(row[0]).splitlines()]
    return [] if lines == ["ok"] else lines[:MAX_FAULTS]


def translate_sqlite_error(error: sqlite3.Error, path: str) -> StoreError:
    """Return the error for one of SQLite that is not about a full disk."""
    text = str(error)
    if any(word in text for word in _DAMAGE_WORDS):
        return damaged_error(path, text)
    if "unable to open" in text or "readonly" in text:
        return _unusable_error(path, text)
    return StoreError(
        f"The index {path} can't be used: {text}",
        hint="Check the disk and the mode of that file; `roost doctor` shows more.",
        fields={"path": path},
    )


def _read_index(path: str, *, with_check: bool) -> int:
    """Return the schema's number, after a check of the whole index if ``with_check``. 0: there is no table.

    Raises: IndexDamagedError, IndexUnusableError.
    """
    try:
        # A connection that can't write neither applies a WAL to the file nor removes it. One to an immutable file
        # creates no WAL either (sqlite.org/uri.html).
        uri = f"file:{quote(os.fsencode(path))}?mode=ro{'' if with_check else '&immutable=1'}"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            faults = list_faults(connection) if with_check else []
            if faults:
                raise damaged_error(path, "; ".join(faults), with_wal=True)
            schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
            tables = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        raise translate_sqlite_error(error, path) from error
    if (tables and "artifacts" not in tables) or (schema > 0 and not tables):
        raise damaged_error(path, "it is a database, but not an index of roost")
    return schema


def _check_beside(path: str) -> None:
    """Raise IndexUnusableError if something else has the place of a file that SQLite keeps beside the index."""
    for beside in (f"{path}-wal", f"{path}-shm"):
        try:
            mode = os.stat(beside).st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unusable_error(path, f"{beside}: {error.strerror}") from error
        if not stat.S_ISREG(mode):
            raise _unusable_error(path, f"{beside} is not a regular file")


def _check_size(path: str, size: int) -> None:
    """Raise IndexDamagedError if the file is shorter than its header says (sqlite.org/fileformat2.html): SQLite takes a
    very short one for a new index, and notices a missing end when it needs it. Without a header SQLite refuses it."""
    with open(path, "rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        raise damaged_error(path, f"it has {size} bytes, less than a header")
    page, pages = int.from_bytes(header[16:18], "big"), int.from_bytes(header[28:32], "big")
    expected = (65536 if page == 1 else page) * pages
    if header.startswith(b"SQLite format 3\0") and size < expected and not _measure_wal(path):
        raise damaged_error(path, f"it was truncated: {size} bytes of {expected}")


def _measure_wal(path: str) -> int:
    """Return the size of the WAL. The last connection that closes an index removes it: one with content was not
    closed."""
    try:
        return os.stat(f"{path}-wal").st_size
    except OSError:
        return 0


def _check_nothing_beside(layout: Layout, what: str) -> None:
    """Raise IndexMissingError if the root has what only an index can make sense of."""
    found = [
        name for name in ("prefixes", "layers", "snapshots", "runs") if _has_entries(os.path.join(layout.root, name))
    ]
    if _measure_wal(layout.index_path):
        found.append(os.path.basename(layout.index_path) + "-wal")
    for end in (REBUILT_END, COPY_END):
        if os.path.lexists(layout.index_path + end):
            found.append(os.path.basename(layout.index_path) + end)
    if not found:
        return
    raise IndexMissingError(
        f"The index {layout.index_path} {what}, but the root has content that it described: {', '.join(found)}",
        hint=f"Nothing was changed. {_ways_on(layout.index_path)}",
        fields={"path": layout.index_path, "found": found},
    )


def _has_entries(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def damaged_error(path: str, reason: str, *, with_wal: bool = False) -> IndexDamagedError:
    """Return the error for a damaged index; ``with_wal``: it was read together with a WAL."""
    wal = (
        f"If it was copied here from elsewhere, move {path}-wal and {path}-shm aside: they are of the former index. "
        if with_wal
        else ""
    )
    return IndexDamagedError(
        f"The index {path} is damaged ({reason})",
        hint="Nothing was changed or deleted: environments, packages and runs are still below "
        f"{os.path.dirname(path)}. {wal}{_ways_on(path)}",
        fields={"path": path},
    )


def _unusable_error(path: str, reason: str) -> IndexUnusableError:
    return IndexUnusableError(
        f"The index {path} can't be opened: {reason}",
        hint=f"Check owner and mode of it and of the files beside it (`ls -l {path}*`): all should be yours, with mode "
        f"0600 (`chmod u+rw {path}*`).",
        fields={"path": path},
    )


def _ways_on(path: str) -> str:
    """Return how to go on without a usable index: with a backup, with a copy of an earlier schema, or anew."""
    root = os.path.dirname(path)
    copies = [copy for schema in range(SCHEMA_VERSION, 0, -1) for copy in reversed(_list_copies(path, schema))]
    copy = f", or {copies[0]}, a copy of before an upgrade" if copies else ""
    return (
        "`roost doctor --repair` builds a new index from what is left, and keeps the damaged one. Or, with the daemon "
        f"stopped, put back a backup{copy}, as {path}, without -wal and -shm files of another; or begin anew: "
        f"`mv {root} {root}.old`, and environments are built again when they are needed."
    )


def _list_copies(path: str, schema: int) -> list[str]:
    try:
        return find_copies(path, schema)
    except OSError:
        return []
