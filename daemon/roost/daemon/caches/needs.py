"""What needs an item that nobody uses at the moment: prefixes, locks, versions, bases, runs.

Most can be had again from a channel, an index or its own inputs, and is needed only by the prefixes that are linked
from it. What nothing else has is needed by everything that refers to it: locks and versions are stored for ever, and so
is what only this root can give them.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from roost.model.caches import CacheItem, CacheKind
from roost.store.disk.layer_files import digest_of_blob
from roost.store.disk.layout import Layout
from roost.store.disk.process_uses import find_process_uses
from roost.store.index.index import Index

_LAYER_KINDS: tuple[CacheKind, ...] = ("layer", "shared-layer")
_UNIQUE_KINDS: tuple[CacheKind, ...] = ("built-wheel", "snapshot")
_LOOKED_FOR: tuple[CacheKind, ...] = ("stage", "snapshot", "built-wheel")
"""Kinds that a process may have open although the daemon knows of no use."""
_FRESH_SECONDS = 24 * 3600.0
"""What was stored or referred to so lately may belong to a request that has not ended."""
_STEPS_LAYER = "steps:"
"""Keys of layers that came from docker steps, which never come out the same twice."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


class _LayerUse(msgspec.Struct, frozen=True):
    last_used: str
    needed_by: tuple[str, ...] = ()
    """Bases that need it because it can't be made again."""
    is_shared: bool = False


class Needs:
    """Finds what needs the items of one root."""

    def __init__(self, layout: Layout, index: Index) -> None:
        self._layout = layout
        self._index = index

    async def complete(self, items: Sequence[CacheItem]) -> list[CacheItem]:
        """Return ``items`` with what other rows than those of the caches say: what needs them, when layers were last
        used, and which of these a registry has."""
        kinds = {item.kind for item in items}
        referred = await self._index.caches.list_content_digests() if kinds & {*_UNIQUE_KINDS} else frozenset[str]()
        layers = await self._map_layers() if kinds & {*_LAYER_KINDS} else {}
        open_runs = {run.id for run in await self._index.runs.list_open()} if "output" in kinds else set[str]()
        return [await self._complete_one(item, referred, layers, open_runs) for item in items]

    async def _complete_one(
        self, item: CacheItem, referred: frozenset[str], layers: Mapping[str, _LayerUse], open_runs: set[str]
    ) -> CacheItem:
        if item.kind in _LAYER_KINDS and (layer := layers.get(digest_of_blob(item.id))) is not None:
            return msgspec.structs.replace(
                item,
                kind="shared-layer" if layer.is_shared else "layer",
                needed_by=(*item.needed_by, *layer.needed_by),
                last_used=max(item.last_used, layer.last_used),
            )
        if item.kind in _UNIQUE_KINDS and (user := await self._find_reference(item, referred)):
            return msgspec.structs.replace(item, needed_by=(*item.needed_by, user))
        if item.kind == "output" and (run := item.id.split("/")[1]) in open_runs:
            return msgspec.structs.replace(item, needed_by=(*item.needed_by, f"run:{run}"))
        return item

    async def find(self, item: CacheItem) -> str | None:
        """Return what needs a claimed item at this moment, ``None`` if nothing does."""
        users = await self._index.caches.find_users(item.id)
        if users:
            return f"prefix:{users[0]}"
        if item.kind in (*_LAYER_KINDS, "output", *_UNIQUE_KINDS):
            (completed,) = await self.complete([msgspec.structs.replace(item, needed_by=())])
            if completed.needed_by:
                return completed.needed_by[0]
        path = os.path.join(self._layout.root, item.id)
        if await asyncio.to_thread(is_fresh, item.kind, path):
            return "recent"
        if item.kind in _LOOKED_FOR:
            return next(iter((await asyncio.to_thread(find_process_uses, [path]))[path]), None)
        return None

    async def _find_reference(self, item: CacheItem, referred: frozenset[str]) -> str | None:
        """Return the lock or the version that needs a wheel or a snapshot which nothing else has."""
        if (digest := _DIGEST.search(item.id)) is not None and digest[0] in referred:
            return "version"
        if item.kind != "built-wheel":
            return None
        if await self._index.builds.list_open():
            return "build"
        folder = os.path.join(self._layout.root, item.id)
        for name in await asyncio.to_thread(_list_wheels, folder):
            try:
                distribution, version, _, _ = parse_wheel_filename(name)
            except InvalidWheelFilename:
                return "unknown:name"
            spellings = [str(version), name.split("-")[1]]
            if await self._index.caches.has_locked_wheel(distribution, spellings):
                return "lock"
        return None

    async def _map_layers(self) -> dict[str, _LayerUse]:
        """Return what the index knows of each blob, by digest."""
        bases = {
            layer.digest: f"base:{base.digest}"
            for base in await self._index.bases.list_all()
            for layer in base.layers
            if layer.stored and layer.digest
        }
        images = await self._index.images.list_all()
        shared = {layer.diff_id for image in images if image.registry_digests for layer in image.layers}
        uses: dict[str, _LayerUse] = {}
        for record, last_used in await self._index.layers.list_uses():
            unique = record.key.startswith(_STEPS_LAYER) and record.digest in bases
            before = uses.get(record.digest, _LayerUse(last_used))
            uses[record.digest] = _LayerUse(
                max(before.last_used, last_used),
                (bases[record.digest],) if unique else before.needed_by,
                before.is_shared or record.diff_id in shared,
            )
        return uses


def is_fresh(kind: CacheKind, path: str) -> bool:
    """Return whether a folder of a kind for which that matters was written or referred to lately. Blocks."""
    if kind not in ("stage", *_UNIQUE_KINDS):
        return False
    with suppress(OSError):
        return time.time() - os.stat(path).st_mtime < _FRESH_SECONDS
    return False


def _list_wheels(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".whl")]
    except OSError:
        return []
