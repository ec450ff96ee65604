"""Which prefix a plan is for if the definition's file has a project: that of the layer, not of the dependencies."""

from __future__ import annotations

from roost.daemon.projects.layer import add_project
from roost.model.definition import ProjectSource
from roost.model.locks.lock import digest_lock
from roost.model.records import Artifact
from roost.store.index.index import Index

_KNOWN_KEYS = 1000
"""Layers whose keys are cached; beyond that the cache is emptied. To compute one, the whole lock is read."""


class ProjectLayers:
    """Finds ready layers."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._keys: dict[tuple[str, str, str, str], str] = {}

    async def find_ready(self, lock_digest: str, project: ProjectSource) -> Artifact | None:
        """Return the ready prefix of the layer of ``project`` on a lock; ``None`` if there is none yet."""
        key = await self._find_key(lock_digest, project)
        return await self._index.artifacts.find_ready("prefix", key) if key is not None else None

    async def _find_key(self, lock_digest: str, project: ProjectSource) -> str | None:
        asked = (lock_digest, project.name, project.folder, project.digest)
        if asked in self._keys:
            return self._keys[asked]
        lock = await self._index.locks.find(lock_digest)
        if lock is None:
            return None
        if len(self._keys) >= _KNOWN_KEYS:
            self._keys.clear()
        self._keys[asked] = digest_lock(add_project(lock, project))
        return self._keys[asked]
