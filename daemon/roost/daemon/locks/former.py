"""The former lock of an edited definition, and what moved since.

Which one: 1. the one that comes with the definition (an edit that roost makes, a ``roost.lock`` that does not fit any
more); 2. for a definition that options made of another one, the current generation of that one; 3. for a file, the
current generation of the definition that was built or run from the same path last, if that had other content (or other
options: with these, what differs is no effect of an edit, and is not reported); 4. for a
version of an environment, that of the version before. There is none if the two differ in which version is chosen of
several that fit (``--resolution lowest``): uv drops its own lock then, too.

That the history of a path has a part in a solve is no ambient influence. Only a first solve on this machine has
preferences, and its result is a lock like any other: it satisfies the definition, stands in the index and in the
registry, and whoever has it has the same content. The digest of the definition knows nothing of it, a lock that a
registry has comes before any solve, and ``--rebuild`` chooses without preferences.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from roost.daemon.definitions.resolved import RUN_FORMAT, FormerLock, TargetedDefinition
from roost.model.canonical.form import list_choice_rules
from roost.model.errors import StoreError
from roost.model.locks.lock import Lock
from roost.model.locks.moves import MOST_LINES, count_rest, find_moves
from roost.store.index.index import Index
from roost.wire.plans import PackageMoveView


async def find_former_lock(index: Index, resolved: TargetedDefinition) -> FormerLock | None:
    """Return what a solve of ``resolved`` prefers; ``None`` if nothing was there before."""
    if resolved.former is not None:
        return resolved.former
    scope, digest = resolved.generation_scope, resolved.digest
    generation, base, path, is_compared = None, resolved.base, resolved.source.path, True
    if base is not None:
        generation = await index.generations.find_current(base.digest, scope)
    if generation is None and resolved.environment is not None:
        name, version = resolved.environment
        generation = await index.generations.find_of_earlier_version(digest, scope, name, version)
    elif generation is None and path is not None:
        generation = await index.generations.find_last_of_path(digest, scope, path)
        is_compared = not resolved.chosen
    if generation is None:
        return None
    lock = await index.locks.find(generation.lock_digest)
    known = await index.definitions.find(generation.definition_digest)
    if lock is None or (
        known is not None and list_choice_rules(known.canonical) != list_choice_rules(resolved.canonical)
    ):
        return None
    return FormerLock(lock=lock, canonical=known.canonical if known else None, is_compared=is_compared)


async def note_use(index: Index, resolved: TargetedDefinition) -> None:
    """Record that this is what the file has now, for the next edit; builds and runs record it themselves. What is ready
    is not held up by a full disk."""
    path = resolved.sighted_path
    if path is None or resolved.parsed.format == RUN_FORMAT:
        return
    with suppress(StoreError):
        await index.definitions.record_sighting(resolved.digest, resolved.canonical, resolved.source.name, path)


async def list_moves(former: FormerLock, lock: Lock, resolved: TargetedDefinition) -> list[PackageMoveView]:
    """Return what moved from ``former`` to ``lock``, the new lock of ``resolved``; nothing if that is not compared."""
    if not former.is_compared:
        return []
    moves = await asyncio.to_thread(find_moves, former.lock, lock, former.canonical, resolved.canonical)
    return msgspec.convert(msgspec.to_builtins(moves), list[PackageMoveView])


def format_lines(moves: Sequence[PackageMoveView]) -> list[str]:
    """Return a short list for people: ten lines at most, and the number of what is left out."""
    return count_rest([move.text for move in moves], MOST_LINES)
