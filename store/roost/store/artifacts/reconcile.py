"""What to do about rows and content that do not fit each other: a pure function of what was found.

The rules, after a crash or an interference from outside:

- ``building``, and ``deleting`` that nobody holds: content away, row away. What was begun is never finished.
- ``deleting`` that a process holds: that process came before the first step of the deletion, so the prefix is whole.
  It is retired and stays as long as it is used.
- ``ready`` or ``retired`` without content: row away. With content but without a lease file: the file is made again.
- ``retired``, held by nobody, neither pinned nor leased: content away, row away.
- content or lease file without a row: away, unless a process holds it.

Content goes before its row: a crash in between leaves a row without content, which the next run drops.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from roost.model.records import ArtifactState


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact as the index has it. ``name`` is its folder's name under ``prefixes/``."""

    id: str
    name: str
    state: ArtifactState
    protected: bool = False
    """Pinned or leased."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What lies under ``prefixes/``: names of folders, names that have a lease file, and those whose lock is held."""

    prefixes: frozenset[str] = frozenset()
    leases: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One step. ``discard``: content and lease file of ``name`` away; ``restore-lease``: make the lease file of
    ``name``; ``drop``, ``retire``: of the row ``id``."""

    do: Literal["discard", "drop", "retire", "restore-lease"]
    name: str = ""
    id: str = ""


def reconcile(rows: list[Row], listing: Listing) -> list[Action]:
    """The actions that make rows and content fit, in the order to take them."""
    actions = [action for row in rows for action in _of_row(row, listing)]
    known = {row.name for row in rows}
    strays = (listing.prefixes | listing.leases) - known - listing.held
    return actions + [Action(do="discard", name=name) for name in sorted(strays)]


def _of_row(row: Row, listing: Listing) -> list[Action]:
    present, held = row.name in listing.prefixes, row.name in listing.held
    if _finished(row, present, held):
        return _keep(row, row.name in listing.leases)
    leftovers = present or row.name in listing.leases
    discard = [Action(do="discard", name=row.name)] if leftovers else []
    return [*discard, Action(do="drop", id=row.id)]


def _finished(row: Row, present: bool, held: bool) -> bool:
    """Whether the content is whole and has to stay."""
    if not present or row.state == "building":
        return False
    return row.state == "ready" or held or (row.state == "retired" and row.protected)


def _keep(row: Row, has_lease: bool) -> list[Action]:
    if row.state == "deleting":
        return [Action(do="retire", id=row.id)]
    return [] if has_lease else [Action(do="restore-lease", name=row.name)]
