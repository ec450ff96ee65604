"""The facts of a collection: from the index, the lease files, ``/proc``, the engines and the disk, all at once.

What can't be told counts as needed: images of an engine that does not answer, prefixes of environment files whose disk
is not mounted.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from datetime import datetime, timezone

import msgspec

from roost.daemon.gc.ages import subtract_days
from roost.daemon.gc.inventory import CacheInventory, EngineImages
from roost.daemon.gc.projects import Presence, ProjectProbe
from roost.daemon.gc.values import CollectionFacts, StoredImage, StoredPrefix
from roost.model.records import Artifact, RunRecord, UsageRow
from roost.store.artifacts.artifact_store import ArtifactStore
from roost.store.clock import utc_now
from roost.store.disk.file_ops import measure_disk
from roost.store.index.index import Index

ENGINE_SILENT = ("unknown:the engine does not answer",)
HANDED_OUT = "handed-out"
HANDED_OUT_SECONDS = 10.0
"""For so long a prefix that was just published is about to be used: whoever asked for it has not begun yet. Whoever
comes later finds it removed, and asks again."""


class _Sources(msgspec.Struct):
    """The files that a prefix was made for, and whether it may have come without one."""

    paths: set[str]
    is_for_more: bool = False


class FactsGatherer:
    """Gathers the facts of one root."""

    def __init__(
        self,
        root: str,
        index: Index,
        artifacts: ArtifactStore,
        caches: CacheInventory,
        images: EngineImages,
        projects: ProjectProbe | None = None,
    ) -> None:
        self._root = root
        self._index = index
        self._artifacts = artifacts
        self._caches = caches
        self._images = images
        self._projects = projects or ProjectProbe()

    async def gather(self, unmounted_days: float) -> CollectionFacts:
        """Return the facts of now."""
        usage = {row.id: row for row in await self._artifacts.list_usage()}
        artifacts = await self._index.artifacts.list_all()
        runs = await self._index.runs.list_open()
        return CollectionFacts(
            prefixes=await self._gather_prefixes(artifacts, usage, runs, unmounted_days),
            images=await self._gather_images(artifacts, usage, runs),
            items=tuple(await self._caches.list_items()),
            free_bytes=(await asyncio.to_thread(measure_disk, self._root)).free,
        )

    async def _gather_prefixes(
        self, artifacts: list[Artifact], usage: Mapping[str, UsageRow], runs: list[RunRecord], unmounted_days: float
    ) -> tuple[StoredPrefix, ...]:
        prefixes = [each for each in artifacts if each.kind == "prefix" and each.id in usage]
        sources = await self._find_sources()
        created = {each.key: _parse_seconds(each.created) for each in prefixes}
        seen: dict[str, float] = {}
        for key, known in sources.items():
            for path in known.paths:
                seen[path] = min(seen.get(path, created[key]), created[key]) if key in created else 0.0
        presence = await self._projects.find_presence(seen)
        unmounted_since = subtract_days(utc_now(), unmounted_days)
        found = []
        for each in prefixes:
            row, source = usage[each.id], sources.get(each.key)
            missing = _find_unknown(source, presence) if row.last_used > unmounted_since else ()
            found.append(
                StoredPrefix(
                    id=each.id,
                    key=each.key,
                    bytes=row.bytes - row.shared_bytes,
                    last_used=row.last_used,
                    protected_by=(*_protections(each, row, runs), *missing),
                    is_retired=each.state in ("retired", "deleting"),
                    is_abandoned=_is_abandoned(source, presence),
                )
            )
        return tuple(found)

    async def _find_sources(self) -> dict[str, _Sources]:
        found: dict[str, _Sources] = {}
        for lock, path, is_registered in await self._index.collection.list_sources():
            sources = found.setdefault(lock, _Sources(paths=set()))
            if os.path.isabs(path):
                sources.paths.add(path)
            if is_registered or not os.path.isabs(path):
                sources.is_for_more = True
        return found

    async def _gather_images(
        self, artifacts: list[Artifact], usage: Mapping[str, UsageRow], runs: list[RunRecord]
    ) -> tuple[StoredImage, ...]:
        images = [each for each in artifacts if each.kind == "image" and each.id in usage]
        if not images:  # an engine that roost does not use is not asked
            return ()
        uses = await self._images.find_uses()
        digests = {record.key: record.config_digest for record in await self._index.images.list_all()}
        found = []
        for each in images:
            users = ENGINE_SILENT if uses is None else uses.get(digests.get(each.key, ""), ())
            protected = (*_protections(each, usage[each.id], runs), *users)
            found.append(
                StoredImage(
                    id=each.id,
                    key=each.key,
                    bytes=each.bytes,
                    last_used=usage[each.id].last_used,
                    protected_by=protected,
                )
            )
        return tuple(found)


def _protections(artifact: Artifact, row: UsageRow, runs: list[RunRecord]) -> tuple[str, ...]:
    """Return what of the root needs an artifact: processes, leases and pins, its build, runs that are open, and who
    asked for it a moment ago."""
    building = ("build:in progress",) if artifact.state == "building" and not row.protected_by else ()
    users = [f"run:{run.id}" for run in runs if artifact.id == run.artifact_id or artifact.key == run.lock_digest]
    unused = artifact.state == "ready" and row.last_used == artifact.last_used  # else a process has touched the lease
    age = abs(time.time() - _parse_seconds(artifact.last_used))
    handed_out = (HANDED_OUT,) if unused and age < HANDED_OUT_SECONDS else ()
    return (*row.protected_by, *building, *users, *handed_out)


def _find_unknown(sources: _Sources | None, presence: Mapping[str, Presence]) -> tuple[str, ...]:
    """Return why a prefix may be of use to files that can't be seen."""
    if sources is None:
        return ()
    unknown = sorted(path for path in sources.paths if presence.get(path) == "unknown")
    return (f"unknown:the disk of {unknown[0]} may not be mounted",) if unknown else ()


def _is_abandoned(sources: _Sources | None, presence: Mapping[str, Presence]) -> bool:
    if sources is None or sources.is_for_more or not sources.paths:
        return False
    return all(presence.get(path) == "absent" for path in sources.paths)


def _parse_seconds(moment: str) -> float:
    try:
        parsed = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return 0.0
    return parsed.timestamp()
