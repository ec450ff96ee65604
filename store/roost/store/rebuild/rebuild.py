"""Build a new index for a root that has none, or a damaged one, and put it into place.

1. Choose the sources: what is left of the index, copies, and damaged ones that an earlier repair put aside.
2. Fill ``index.db.rebuilt.new`` with what can be read of them, then with the prefixes and runs on the disk.
3. Sync it, and rename it to ``index.db.rebuilt``: from then on it is complete.
4. Move the damaged index aside (``index.db.damaged-<n>``, with its WAL), which is never deleted.
5. Rename the new one to ``index.db``.

A crash before step 5 leaves a root that is refused as before, or as ``index-missing`` because ``index.db.rebuilt`` lies
there; the next repair begins again. The caller holds the lock of the root. All functions block.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence

import msgspec

from roost.store.clock import utc_now
from roost.store.disk.file_ops import (
    full_disk_error,
    remove_tree,
    rename,
    sync_filesystem,
    sync_folder,
    translate_full_disk,
)
from roost.store.disk.layout import Layout
from roost.store.failpoints import failpoint
from roost.store.index.packages import fill_contents
from roost.store.index.removals import reserve_numbers
from roost.store.index.tables.history import append_event
from roost.store.migrations.copies import find_copies
from roost.store.migrations.examination import REBUILT_END
from roost.store.migrations.runner import Query, run_migrations
from roost.store.migrations.schema import INCREMENTAL, SCHEMA_VERSION
from roost.store.rebuild.contents import (
    Compare,
    restore_base_layers,
    restore_definitions,
    restore_images,
    restore_prefixes,
    restore_runs,
)
from roost.store.rebuild.copying import copy_path
from roost.store.rebuild.filling import IndexFiller
from roost.store.rebuild.reading import DamagedReader, open_damaged

_ASIDE = ".damaged-"


class RebuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild used and found. Lines are for people."""

    index: str
    kept: tuple[str, ...] = ()
    """Paths of the damaged index and its WAL, under their new names."""
    sources: tuple[str, ...] = ()
    """What rows were read from, in this order."""
    rows: dict[str, int] = {}
    """Number of rows in the new index, by table."""
    prefixes: tuple[str, ...] = ()
    """Paths of the prefixes that are served again."""
    lost: tuple[str, ...] = ()
    """A line for each thing that could not be recovered."""


def rebuild_index(layout: Layout, compare: Compare, roost_version: str) -> RebuildReport:
    """Replace the index of a locked root. ``compare`` reads every byte of a prefix.

    Raises:
        StoreFullError: there is no space for it; the root is as before.
        OSError: a file can't be moved.
    """
    new = f"{layout.index_path}{REBUILT_END}.new"
    scratch = os.path.join(layout.stage, "rebuild")
    remove_tree(scratch)
    os.makedirs(scratch, 0o700, exist_ok=True)
    for path in (new, f"{layout.index_path}{REBUILT_END}"):  # of a repair that was interrupted
        remove_tree(path)
    _pair_wal(layout.index_path)
    try:
        with translate_full_disk(layout.root), contextlib.ExitStack() as stack:
            sources = [stack.enter_context(source) for source in _open_sources(layout, scratch)]
            sources = [source for source in sources if source.tables]
            report = _fill(layout, new, sources, compare, roost_version)
        failpoint("rebuild.filled")
        with translate_full_disk(layout.root):
            sync_filesystem(layout.prefixes)  # prefixes are ready from now on
            rename(new, f"{layout.index_path}{REBUILT_END}")
            sync_folder(layout.root)
    except sqlite3.Error as error:
        if "disk is full" in str(error):
            raise full_disk_error(layout.root) from error
        raise
    finally:
        remove_tree(new)
        remove_tree(scratch)
    failpoint("rebuild.complete")
    kept = _move_aside(layout)
    rename(f"{layout.index_path}{REBUILT_END}", layout.index_path)
    sync_folder(layout.root)
    failpoint("rebuild.placed")
    return msgspec.structs.replace(report, kept=tuple(kept))


def _pair_wal(path: str) -> None:
    """Give a damaged index that was moved aside its WAL, if a repair was killed between the two."""
    aside = _list_aside(path)
    if (
        aside
        and not os.path.lexists(path)
        and os.path.lexists(f"{path}-wal")
        and not os.path.lexists(f"{aside[-1]}-wal")
    ):
        rename(f"{path}-wal", f"{aside[-1]}-wal")


def _list_aside(path: str) -> list[str]:
    """Return the damaged indexes that were moved aside, the last one last."""
    folder, name = os.path.split(path)
    ends = [each.removeprefix(name + _ASIDE) for each in os.listdir(folder) if each.startswith(name + _ASIDE)]
    return [f"{path}{_ASIDE}{number}" for number in sorted(int(end) for end in ends if end.isdecimal())]


def _open_sources(layout: Layout, scratch: str) -> Iterator[contextlib.AbstractContextManager[DamagedReader]]:
    """Yield what rows can be read from: the index itself, then the others, those that were written last first."""
    path = layout.index_path
    others = [copy_path(layout), *_list_aside(path)]
    for schema in range(SCHEMA_VERSION, 0, -1):
        others += find_copies(path, schema)
    others = [each for each in others if _is_file(each)]
    for each in [path, *sorted(others, key=lambda each: os.stat(each).st_mtime, reverse=True)]:
        if not _is_file(each):
            continue
        if not _is_file(f"{each}-wal"):
            yield open_damaged(each, scratch, with_wal=False)
            continue
        # A WAL may be of another index: what it makes of an intact one is not used before that.
        first = _is_intact(each, scratch, with_wal=True) or not _is_intact(each, scratch, with_wal=False)
        yield open_damaged(each, scratch, with_wal=first)
        yield open_damaged(each, scratch, with_wal=not first)


def _is_intact(path: str, scratch: str, *, with_wal: bool) -> bool:
    with open_damaged(path, scratch, with_wal=with_wal) as reader:
        return reader.is_intact


def _is_file(path: str) -> bool:
    try:
        state = os.stat(path)
    except OSError:
        return False
    return stat.S_ISREG(state.st_mode) and state.st_size > 0


def _fill(
    layout: Layout, new: str, sources: Sequence[DamagedReader], compare: Compare, roost_version: str
) -> RebuildReport:
    os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        # A file that was cut is begun again; but rows that refer to nothing have to be taken back.
        connection.execute("PRAGMA journal_mode = MEMORY").fetchall()
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        run_migrations(connection, _transact, {5: fill_contents}, roost_version)
        connection.execute("BEGIN")
        filler = IndexFiller(connection, layout)
        filler.fill(sources, lambda: restore_definitions(connection, layout))
        failpoint("rebuild.rows-added")
        restore_base_layers(connection, layout)
        restore_images(connection, sources)
        prefixes, lost_prefixes = restore_prefixes(connection, layout, sources, compare)
        lost_runs = restore_runs(connection, layout)
        reserve_numbers(connection, filler.unresolved)
        lost = [
            *_describe_losses(filler, bool(sources)),
            *(f"environment {version}: what it consists of can't be read" for version in sorted(filler.unresolved)),
            *lost_prefixes,
            *lost_runs,
        ]
        report = RebuildReport(
            index=layout.index_path,
            sources=tuple(source.description for source in sources),
            rows={table: count for table, count in sorted(filler.added.items()) if count},
            prefixes=tuple(prefixes),
            lost=tuple(lost),
        )
        append_event(connection, "index-rebuilt", {"lost": lost, "prefixes": len(prefixes), "at": utc_now()})
        connection.execute("COMMIT")
    descriptor = os.open(new, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return report


_MEANINGS = {
    "definitions": "definitions that were used",
    "sightings": "which files definitions were seen in",
    "settings": "settings of environments",
    "locks": "locks (definitions without one are solved again)",
    "bodies": "contents of versions of environments",
    "environments": "names of environments",
    "environment_origins": "which folders and repositories automatic names of environments belong to",
    "versions": "versions of environments",
    "removed_versions": "numbers of versions that were removed",
    "labels": "labels of versions",
    "generations": "which locks definitions had (those without one are solved again)",
    "builds": "the history of builds",
    "runs": "records of runs",
    "events": "events",
    "bases": "base images and results of docker steps",
    "images": "images that were built",
    "layers": "layers of images (they are written again)",
    "pins": "pins",
    "leases": "leases",
    "durations": "durations of past builds",
    "watches": "watched files",
}


def _describe_losses(filler: IndexFiller, has_sources: bool) -> Iterator[str]:
    """Yield a line for each table of which something was lost."""
    if not has_sources:
        yield (
            "all that only the index knew: names, versions and labels of environments, pins, builds, events, and locks "
            "and runs that are not listed as recovered"
        )
        return
    for table, reason in filler.incomplete.items():
        if table in _MEANINGS:
            yield f"{_MEANINGS[table]}: {reason}"


def _transact(connection: sqlite3.Connection, query: Query, name: str) -> None:
    connection.execute("BEGIN")
    query(connection)
    connection.execute("COMMIT")


def _move_aside(layout: Layout) -> list[str]:
    """Move the damaged index and its WAL aside; return their new paths. Whatever else has their names goes too."""
    path = layout.index_path
    numbers = itertools.count(1)
    target = next(
        name
        for name in (f"{path}{_ASIDE}{number}" for number in numbers)
        if not os.path.lexists(name) and not os.path.lexists(f"{name}-wal")
    )
    kept = []
    for end in ("", "-wal"):
        if os.path.lexists(path + end):
            rename(path + end, target + end)
            kept.append(target + end)
        failpoint(f"rebuild.aside{end}")
    remove_tree(f"{path}-shm")
    sync_folder(layout.root)
    failpoint("rebuild.aside-synced")
    return kept
