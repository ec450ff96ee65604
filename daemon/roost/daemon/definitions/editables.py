"""Editable installs in images: an image holds what a folder held, and a plan says so, and whether that is so still.

The definition's digest covers a folder's build files and not its sources: an image keeps what its generation was made
of, as every generation does, and that must not go unseen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from roost.model.definition import PipItem
from roost.model.locks.lock import Lock, Wheel
from roost.model.records import Generation
from roost.store.sources.files import LocalFiles
from roost.wire.plans import Reason
from roost.wire.protocol import WarningView

CHANGED = "editable-changed"
FROZEN = "editable-frozen"
UNKNOWN = "editable-unknown"
_REMEMBERED = 1000
"""Folders; beyond, all are digested again."""


class FrozenFolders:
    """Compares folders with what locks say they held. Remembers what it digested, as long as no stat differs."""

    def __init__(self) -> None:
        self._digests: dict[str, tuple[str, str]] = {}

    async def reasons(self, lock: Lock, generation: Generation | None) -> tuple[Reason, ...]:
        """What there is to say of each folder whose content is in the lock."""
        frozen = [wheel for wheel in lock.wheels if wheel.folder is not None]
        return tuple([await asyncio.to_thread(self._reason, wheel, generation) for wheel in frozen])

    def _reason(self, wheel: Wheel, generation: Generation | None) -> Reason:
        folder = wheel.folder or ""
        since = f" when generation {generation.number} was made, {generation.created[:10]}" if generation else ""
        held = f"{wheel.name} {wheel.version} is what {folder} held{since}"
        try:
            same = self._digest(folder) == wheel.origin
        except OSError as error:
            return Reason(code=UNKNOWN, message=f"{held}; it can't be read now ({error.strerror or error})")
        if same:
            return Reason(code=FROZEN, message=held)
        return Reason(code=CHANGED, message=f"{held}; it has changed since: --rebuild takes it as it is now")

    def _digest(self, folder: str) -> str:
        stamp = LocalFiles().tree_stamp(folder)
        known = self._digests.get(folder)
        if known is None or known[0] != stamp:
            known = self._digests[folder] = stamp, LocalFiles().tree_digest(folder)
            if len(self._digests) > _REMEMBERED:
                self._digests.clear()
        return known[1]


def has_editables(items: Iterable[PipItem]) -> bool:
    """Whether any line, those of nested files too, is an editable install."""
    return any(item.kind == "editable" or has_editables(item.items) for item in items)


def warnings_of(reasons: Sequence[Reason]) -> list[WarningView]:
    """Those of a plan's reasons that whoever runs it should hear of."""
    return [WarningView(code=each.code, message=each.message) for each in reasons if each.code in (CHANGED, UNKNOWN)]
