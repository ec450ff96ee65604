"""A root with a prefix and something in each cache, and the collector of the daemon for it without a daemon."""

from __future__ import annotations

import dataclasses
import os
import time
from types import SimpleNamespace

from tests.support.store_child import publish

from roost.daemon.caches.ledger import CacheLedger
from roost.daemon.caches.remover import CacheRemover
from roost.daemon.config.config import Config
from roost.daemon.config.schema import CacheSettings, ConfigFile
from roost.daemon.config.source import ConfigSource
from roost.daemon.gc.collector import Collection, Collector
from roost.daemon.gc.gathering import FactsGatherer
from roost.daemon.gc.pauses import Pauses
from roost.daemon.jobs.holds import Holds
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.model.caches import Kept
from roost.store.disk.removal import delete_counting
from roost.store.store import Store

SHA = "ab" * 32
CACHED = (
    "packages/conda/packages/six-1.17-0/info/index.json",
    f"packages/bytecode/{SHA}-cpython-311-a70d/digests.json",
    "wheels/uv/archive-v0/Zg0E/greet.py",
    f"wheels/fetched/{SHA}/greet-1.0-py3-none-any.whl",
    f"layers/{SHA}.tar.gz",
    "trash/old.1/file",
)
"""One file of each item."""
EVERYTHING = CacheSettings(budget_bytes=1, min_free_bytes=0, prefix_days=0, package_days=0, image_bytes=0)


class NoImages:
    """An engine without images."""

    async def find_uses(self) -> dict[str, tuple[str, ...]]:
        return {}

    async def remove(self, artifact_id: str) -> int | Kept:
        return Kept(reason="gone")


async def reap(path: str, shrinks: bool) -> int:
    return delete_counting(path)


def create_collector(store: Store, cache: CacheSettings = EVERYTHING) -> Collector:
    source = ConfigSource(dataclasses.replace(Config(), settings=ConfigFile(cache=cache)))
    engines = SimpleNamespace(holds=Holds(), workers=None)
    caches = CacheRemover(store.layout, store.index, engines, reap)  # type: ignore[arg-type]
    images, root = NoImages(), store.layout.root
    gatherer = FactsGatherer(root, store.index, store.artifacts, caches, images)
    pauses = Pauses(Lifecycle(0), quiet=0)
    return Collector(root, source, gatherer, store.artifacts, caches, images, pauses)


async def fill_caches(store: Store) -> None:
    """Put something into each cache, and record it."""
    for path in CACHED:
        target = os.path.join(store.layout.root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as stream:
            stream.write(b"x" * 5000)
    await CacheLedger(store.layout, store.index).take_inventory()


async def age_prefixes(store: Store) -> None:
    """Let the time pass for which what was just published is about to be used."""
    for artifact in await store.index.artifacts.list_all():
        os.utime(artifact.lease_path, (time.time() + 1, time.time() + 1))


async def stock(store: Store) -> None:
    """A scenario of ``store_child``: everything that a collection removes."""
    await publish(store, "a")
    await fill_caches(store)


async def run_collection(collector: Collector) -> Collection:
    collection = None
    async for latest in collector.run():
        collection = latest
    assert collection is not None
    return collection


async def collect(store: Store) -> None:
    """A scenario of ``store_child``: collect everything, whatever an earlier collection has left."""
    await age_prefixes(store)
    await CacheLedger(store.layout, store.index).take_inventory()
    await run_collection(create_collector(store))


SCENARIOS = {"stock": stock, "collect": collect}
