"""Actions for rows and content that disagree: a pure function of what was found.

The rules, after a crash or an interference from outside:

- ``building``, and ``deleting`` without a holder: delete content and row. What was begun is never completed.
- ``deleting`` with a holder: that process came before the first step of the deletion, so the prefix is complete. It is
  retired and stays as long as it is used.
- ``ready`` or ``retired`` without content: delete the row. With content but without a lease file: create the file.
- ``retired`` without a holder, neither pinned nor leased: delete content and row.
- Content, a lease file, a manifest or a record without a row: delete it, unless a process holds it.

Content is deleted before its row: a crash in between leaves a row without content, which the next run deletes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from roost.model.records import ArtifactState


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix as the index records it. ``name`` is the name of its folder under ``prefixes/``."""

    id: str
    name: str
    state: ArtifactState
    protected: bool = False
    """Pinned or leased."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """Content of ``prefixes/``: names of folders, names with a lease file, names with a manifest or a record, and names
    whose lease file is locked."""

    prefixes: frozenset[str] = frozenset()
    leases: frozenset[str] = frozenset()
    described: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One step. ``discard``: delete content of ``name`` and what is beside it; ``restore-lease``: create the lease
    file of ``name``; ``drop`` or ``retire``: the row ``id``."""

    do: Literal["discard", "drop", "retire", "restore-lease"]
    name: str = ""
    id: str = ""


def reconcile(rows: list[Row], listing: Listing) -> list[Action]:
    """Return the actions that make rows and content agree, in their order."""
    actions = [action for row in rows for action in _row_actions(row, listing)]
    known = {row.name for row in rows}
    strays = (listing.prefixes | listing.leases | listing.described) - known - listing.held
    return actions + [Action(do="discard", name=name) for name in sorted(strays)]


def _row_actions(row: Row, listing: Listing) -> list[Action]:
    present, held = row.name in listing.prefixes, row.name in listing.held
    if _is_complete(row, present, held):
        if row.state == "deleting":
            return [Action(do="retire", id=row.id)]
        return [] if row.name in listing.leases else [Action(do="restore-lease", name=row.name)]
    leftovers = present or row.name in listing.leases or row.name in listing.described
    discard = [Action(do="discard", name=row.name)] if leftovers else []
    return [*discard, Action(do="drop", id=row.id)]


def _is_complete(row: Row, present: bool, held: bool) -> bool:
    """Return whether the content is complete and has to stay."""
    if not present or row.state == "building":
        return False
    return row.state == "ready" or held or (row.state == "retired" and row.protected)
