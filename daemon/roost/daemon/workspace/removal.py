"""What is left of environments after their versions were removed: artifacts, files that have the same definition.

Separate because registering knows nothing of artifacts.
"""

from __future__ import annotations

from roost.store.index.index import Index
from roost.store.index.removals import RemovedVersions
from roost.wire.environments import EnvironmentRemoval, RemainingArtifact


async def describe_removal(index: Index, removed: RemovedVersions) -> EnvironmentRemoval:
    """Return what was removed, and what stays: roost deletes artifacts for space only."""
    locks: set[str] = set()
    for digest in removed.definitions:
        locks |= {each.lock_digest for each in await index.generations.list_by_definition(digest)}
    images = {image.key for image in await index.images.list_all() if image.lock_digest in locks}
    remaining = [
        RemainingArtifact(
            kind=each.kind,
            id=each.id,
            path=each.path,
            bytes=each.bytes - each.shared_bytes,
            protected_by=list(await index.artifacts.list_protections(each.id)),
        )
        for each in await index.artifacts.list_all()
        if each.state == "ready" and each.key in (locks if each.kind == "prefix" else images)
    ]
    others = {
        f"{version.name}:{version.version}"
        for digest in removed.definitions
        for version in await index.environments.list_by_definition(digest)
    }
    return EnvironmentRemoval(
        name=removed.name,
        versions=list(removed.versions),
        labels=list(removed.labels),
        runs=removed.runs,
        latest=removed.latest,
        artifacts=remaining,
        same_as=sorted(others),
    )
