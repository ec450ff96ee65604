"""Editable installs in images: whether a folder still is what it was when its content went into a lock.

The digest of a definition covers the build files of an editable folder and not its sources. An image holds the content
that the folder had when the generation was made, and keeps it, as every generation does; a plan therefore states it,
and whether the folder has changed since.
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
_CACHED_FOLDERS = 1000
"""Folders whose digests are cached; beyond that the cache is emptied."""


class EditableFolders:
    """Compares folders with the content that locks recorded. Digests are cached as long as no stat differs."""

    def __init__(self) -> None:
        self._digests: dict[str, tuple[str, str]] = {}
        """Folder to the stamp and the digest of its content."""

    async def compare(self, lock: Lock, generation: Generation | None) -> tuple[Reason, ...]:
        """Return a reason for each folder whose content is in ``lock``: unchanged, changed or unreadable."""
        wheels = [wheel for wheel in lock.wheels if wheel.folder is not None]
        return tuple([await asyncio.to_thread(self._compare_folder, wheel, generation) for wheel in wheels])

    def _compare_folder(self, wheel: Wheel, generation: Generation | None) -> Reason:
        folder = wheel.folder or ""
        since = f" when generation {generation.number} was made, {generation.created[:10]}" if generation else ""
        held = f"{wheel.name} {wheel.version} has the content of {folder}{since}"
        try:
            is_same = self._folder_digest(folder) == wheel.origin
        except OSError as error:
            return Reason(code=UNKNOWN, message=f"{held}; it can't be read now ({error.strerror or error})")
        if is_same:
            return Reason(code=FROZEN, message=held)
        return Reason(code=CHANGED, message=f"{held}; it has changed since: --rebuild uses its current content")

    def _folder_digest(self, folder: str) -> str:
        stamp = LocalFiles().tree_stamp(folder)
        cached = self._digests.get(folder)
        if cached is None or cached[0] != stamp:
            cached = self._digests[folder] = stamp, LocalFiles().tree_digest(folder)
            if len(self._digests) > _CACHED_FOLDERS:
                self._digests.clear()
        return cached[1]


def has_editables(items: Iterable[PipItem]) -> bool:
    """Whether any line is an editable install, lines of nested files included."""
    return any(item.kind == "editable" or has_editables(item.items) for item in items)


def editable_warnings(reasons: Sequence[Reason]) -> list[WarningView]:
    """Return a warning for each reason about a folder that changed or can't be read."""
    return [WarningView(code=each.code, message=each.message) for each in reasons if each.code in (CHANGED, UNKNOWN)]
