"""Which prefix a plan is for if the definition's file has a project: that of the layer, not of the dependencies.

Separate from ``layer``, which is pure.
"""

from __future__ import annotations

from roost.model.definition import ProjectSource
from roost.model.records import Artifact
from roost.store.index.index import Index


async def find_ready_layer(index: Index, lock_digest: str, project: ProjectSource) -> Artifact | None:
    """Return the ready prefix of the layer of ``project`` on a lock; ``None`` if there is none."""
    files = project.digest.removeprefix("sha256:")
    key = await index.locks.find_project_layer(lock_digest, project.folder, files)
    return await index.artifacts.find_ready("prefix", key) if key is not None else None
