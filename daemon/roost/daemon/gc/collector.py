"""Collections of one root: plan, remove step by step, and plan again if something could not be removed.

One at a time. A step is the removal of one thing, by the protocol of its kind; it looks again at what uses the thing,
and never waits for a lock that somebody holds. What turns out to be in use counts as needed, and the rest is planned
again. Whatever is interrupted is left complete or is finished by the next recovery or collection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from roost.daemon.config.source import ConfigSource
from roost.daemon.gc.gathering import FactsGatherer
from roost.daemon.gc.inventory import CacheInventory, EngineImages
from roost.daemon.gc.limits import resolve_limits
from roost.daemon.gc.pauses import Pauses
from roost.daemon.gc.plan import collect
from roost.daemon.gc.texts import describe_protection
from roost.daemon.gc.values import CollectionFacts, CollectionLimits, CollectionPlan, CollectionStep
from roost.model.caches import CacheItem, Kept
from roost.model.errors import CodedError, LookupFailedError
from roost.store.artifacts.artifact_store import ArtifactStore
from roost.store.clock import utc_now
from roost.store.disk.file_ops import DiskSpace, measure_disk
from roost.store.failpoints import failpoint

log = logging.getLogger(__name__)
MOST_ROUNDS = 10
"""Plans of one collection. Each further one follows a step that was refused or interrupted."""
USED_SINCE = "used-since"
Name = tuple[str, str]
"""Kind and id."""


@dataclass(frozen=True)
class PlannedCollection:
    """A plan with what it was made from."""

    facts: CollectionFacts
    limits: CollectionLimits
    plan: CollectionPlan
    disk: DiskSpace


@dataclass(frozen=True)
class StepResult:
    """What became of a step: ``freed`` bytes, or ``kept`` for a reason."""

    step: CollectionStep
    freed: int = 0
    kept: str = ""


@dataclass
class Collection:
    """One collection: the first plan, and what was done so far."""

    planned: PlannedCollection
    results: list[StepResult] = field(default_factory=list)
    missing_bytes: int = 0
    missing_image_bytes: int = 0
    has_ended: bool = False

    @property
    def refused(self) -> dict[Name, str]:
        """Kind and id of what could not be removed, with the reason."""
        return {(each.step.kind, each.step.id): each.kept for each in self.results if each.kept}


class Collector:
    """Plans and runs collections."""

    def __init__(
        self,
        root: str,
        config: ConfigSource,
        gatherer: FactsGatherer,
        artifacts: ArtifactStore,
        caches: CacheInventory,
        images: EngineImages,
        pauses: Pauses,
    ) -> None:
        self._root = root
        self._config = config
        self._gatherer = gatherer
        self._artifacts = artifacts
        self._caches = caches
        self._images = images
        self._pauses = pauses
        self._turn = asyncio.Lock()

    async def list_cache_items(self) -> Sequence[CacheItem]:
        """Return what is in the caches."""
        return await self._caches.list_items()

    async def plan(
        self,
        *,
        everything: bool = False,
        leftovers: bool = False,
        refused: Mapping[Name, str] | None = None,
        since: str | None = None,
    ) -> PlannedCollection:
        """Return what a collection would do now. ``refused``: what counts as needed, and why; so does what was used
        after ``since``."""
        settings = self._config.config.cache
        disk = await asyncio.to_thread(measure_disk, self._root)
        facts = _protect(await self._gatherer.gather(settings.unmounted_days), refused or {}, since)
        limits = resolve_limits(settings, disk.total, everything=everything, leftovers=leftovers)
        return PlannedCollection(facts, limits, await asyncio.to_thread(collect, facts, limits, utc_now()), disk)

    async def run(self, *, everything: bool = False, leftovers: bool = False) -> AsyncIterator[Collection]:
        """Collect, and yield the collection as it is after the first plan, after each step, and at its end."""
        async with self._turn:
            began = utc_now()
            planned = await self.plan(everything=everything, leftovers=leftovers)
            collection = Collection(planned)
            yield collection
            for _ in range(MOST_ROUNDS):
                count, interruptions = len(collection.refused), self._pauses.interruptions
                items: dict[Name, CacheItem] = {(item.kind, item.id): item for item in planned.facts.items}
                for step in planned.plan.steps:
                    failpoint("collect.step")
                    remove = partial(self._remove, step, items)
                    collection.results.append(await self._pauses.run(remove))
                    yield collection
                if (len(collection.refused), self._pauses.interruptions) == (count, interruptions):
                    break
                planned = await self.plan(everything=everything, refused=collection.refused, since=began)
            collection.missing_bytes = planned.plan.missing_bytes
            collection.missing_image_bytes = planned.plan.missing_image_bytes
            collection.has_ended = True
            failpoint("collect.done")
            yield collection

    async def _remove(self, step: CollectionStep, items: Mapping[Name, CacheItem]) -> StepResult:
        """Remove one thing; an error is a reason why it stays."""
        try:
            result = await self._remove_by_kind(step, items)
        except LookupFailedError:
            return StepResult(step, kept="it no longer exists")
        except CodedError as error:
            log.warning("%s %s was not removed: %s", step.kind, step.id, error.message)
            return StepResult(step, kept=error.message)
        if isinstance(result, Kept):
            return StepResult(step, kept=describe_protection((result.reason,)))
        return StepResult(step, freed=result)

    async def _remove_by_kind(self, step: CollectionStep, items: Mapping[Name, CacheItem]) -> int | Kept:
        if step.kind == "image":
            return await self._images.remove(step.id)
        if step.kind != "prefix":
            return await self._caches.remove(items[step.kind, step.id])
        return await self._artifacts.remove(step.id, self._caches.reap)


def _protect(facts: CollectionFacts, refused: Mapping[Name, str], since: str | None) -> CollectionFacts:
    """Return ``facts`` in which what was refused is needed, and what was used after ``since``."""
    if not refused and since is None:
        return facts

    def reasons(kind: str, name: str, last_used: str) -> tuple[str, ...]:
        late = (USED_SINCE,) if since is not None and last_used > since else ()
        return (*late, refused[kind, name]) if (kind, name) in refused else late

    replace = msgspec.structs.replace
    prefixes = [
        replace(each, protected_by=(*each.protected_by, *reasons("prefix", each.id, each.last_used)))
        for each in facts.prefixes
    ]
    images = [
        replace(each, protected_by=(*each.protected_by, *reasons("image", each.id, each.last_used)))
        for each in facts.images
    ]
    items = [
        replace(each, needed_by=(*each.needed_by, *reasons(each.kind, each.id, each.last_used))) for each in facts.items
    ]
    return replace(facts, prefixes=tuple(prefixes), images=tuple(images), items=tuple(items))
