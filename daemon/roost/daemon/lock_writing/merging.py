"""The new content of a lock file. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.definition import NO_CHOICES, Choices
from roost.model.lock_files.lock_file import LockFile
from roost.model.locks.lock import Lock, digest_lock
from roost.wire.edits import LockSectionView


class MergedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A lock file, and how its sections came about."""

    file: LockFile
    sections: tuple[LockSectionView, ...]


def merge_locks(
    former: LockFile | None,
    canonical: bytes,
    locks: Mapping[str, Lock],
    *,
    choices: Choices = NO_CHOICES,
    whole: bool,
) -> MergedFile:
    """Return the file with ``locks`` (by scope) for the definition with the form ``canonical`` and its ``choices``.

    Sections of ``former`` for other scopes stay if they are for the same definition, and are dropped if they are for
    another one; all of them are dropped if the file is replaced as a ``whole``.
    """
    known = former.locks if former is not None else {}
    fits = former is not None and former.definition_digest == digest_bytes(canonical) and not whole
    kept = {scope: lock for scope, lock in known.items() if fits and scope not in locks}
    file = LockFile(canonical=canonical, choices=choices, locks={**kept, **locks})
    sections = [_view(scope, known.get(scope), file.locks.get(scope)) for scope in sorted({*known, *file.locks})]
    return MergedFile(file=file, sections=tuple(sections))


def _view(scope: str, before: Lock | None, after: Lock | None) -> LockSectionView:
    lock = after or before
    assert lock is not None
    if after is None:
        state = "dropped"
    elif before is None:
        state = "new"
    else:
        state = "kept" if before == after else "changed"
    packages = len(lock.conda) + len(lock.wheels) + len(lock.jars) + len(lock.r)
    return msgspec.convert(
        {"scope": scope, "state": state, "lock_digest": digest_lock(lock), "packages": packages}, LockSectionView
    )
