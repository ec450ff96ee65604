"""Everything that is stored, and for whom: from the index, without a look at the disk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from roost.daemon.inspection.shares import GroupUsage, StoredThing, divide_usage, find_age
from roost.model.caches import CacheItem
from roost.model.records import ImageRecord
from roost.store.clock import utc_now
from roost.store.disk.layer_files import digest_of_blob
from roost.store.index.index import Index
from roost.store.store import Store

Grouping = Literal["environment", "project", "kind", "age"]


class UsageByView(msgspec.Struct, kw_only=True):
    """Disk usage divided among groups. ``used_bytes`` and ``image_bytes`` count each thing once."""

    by: Grouping
    groups: list[GroupUsage]
    used_bytes: int
    """Under the root."""
    image_bytes: int
    """On the disks of engines."""


async def divide_by(store: Store, items: Sequence[CacheItem], by: Grouping) -> UsageByView:
    """Return who uses how much. ``items``: what is in the caches."""
    names = await _name_locks(store.index, by)
    things = await _list_things(store, items, names, by)
    now = utc_now()
    if by == "kind":
        groups = divide_usage(things, lambda thing: frozenset({thing.kind}))
    elif by == "age":
        groups = divide_usage(things, lambda thing: frozenset({find_age(thing.last_used, now)}))
    else:
        groups = divide_usage(things, lambda thing: thing.groups)
    return UsageByView(
        by=by,
        groups=groups,
        used_bytes=sum(thing.bytes for thing in things if thing.kind != "image"),
        image_bytes=sum(thing.bytes for thing in things if thing.kind == "image"),
    )


async def _name_locks(index: Index, by: Grouping) -> Mapping[str, frozenset[str]]:
    """Return the environments, or the folders of the files, that each lock is for."""
    found: dict[str, set[str]] = {}
    if by == "environment":
        for lock, name in await index.collection.list_environments():
            found.setdefault(lock, set()).add(name)
    elif by == "project":
        for lock, path, _ in await index.collection.list_sources():
            if os.path.isabs(path):
                found.setdefault(lock, set()).add(os.path.dirname(path))
    return {lock: frozenset(names) for lock, names in found.items()}


async def _list_things(
    store: Store, items: Sequence[CacheItem], names: Mapping[str, frozenset[str]], by: Grouping
) -> list[StoredThing]:
    index = store.index
    images = {image.key: image for image in await index.images.list_all()}
    layers = await _map_layers(index, images)
    runs = await _map_runs(index, items, by)

    def name_all(locks: Sequence[str]) -> frozenset[str]:
        return frozenset().union(*(names.get(lock, frozenset()) for lock in locks))

    things = []
    for row in await store.artifacts.list_usage():
        image = images.get(row.key)
        lock = (image.lock_digest if image is not None else None) if row.kind == "image" else row.key
        size = row.bytes if row.kind == "image" else row.bytes - row.shared_bytes
        groups = name_all([lock] if lock else [])
        things.append(StoredThing(kind=row.kind, bytes=size, last_used=row.last_used, groups=groups))
    for item in items:
        groups = name_all(item.linked_by)
        if item.kind in ("layer", "shared-layer"):
            groups = name_all(layers.get(digest_of_blob(item.id), ()))
        elif item.kind == "output":
            groups = runs.get(item.id.split("/")[1], frozenset())
        things.append(StoredThing(kind=item.kind, bytes=item.bytes, last_used=item.last_used, groups=groups))
    return things


async def _map_layers(index: Index, images: Mapping[str, ImageRecord]) -> dict[str, list[str]]:
    """Return the locks of the images that have each stored layer, by the digest of its blob."""
    if not images:
        return {}
    locks: dict[str, list[str]] = {}
    for image in images.values():
        for layer in image.layers:
            if image.lock_digest:
                locks.setdefault(layer.diff_id, []).append(image.lock_digest)
    return {record.digest: locks.get(record.diff_id, []) for record, _ in await index.layers.list_uses()}


async def _map_runs(index: Index, items: Sequence[CacheItem], by: Grouping) -> Mapping[str, frozenset[str]]:
    """Return the environment, or the working folder, of each run that has an output."""
    ids = [item.id.split("/")[1] for item in items if item.kind == "output"]
    if not ids or by not in ("environment", "project"):
        return {}
    found = await index.collection.map_runs(ids)
    named = ((run, environment if by == "environment" else folder) for run, (environment, folder) in found.items())
    return {run: frozenset({name}) for run, name in named if name}
