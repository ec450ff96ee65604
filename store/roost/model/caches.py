"""What is in the caches of a root, as garbage collection sees it."""

from __future__ import annotations

from typing import Literal

import msgspec

CacheKind = Literal[
    "stage", "trash", "bytecode", "package", "wheel", "built-wheel", "shared-layer", "layer", "snapshot", "output"
]
"""``package``: a conda package, its archive and its unpacked folder together. ``wheel``: what uv caches of one.
``built-wheel``: one that was built or given, which no index has. ``shared-layer``: a layer that a registry has too.
``snapshot``: local content of versions. ``output``: of a run."""


class CacheItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that can be removed by itself, as it was recorded when it was stored.

    The bytes of a package are freed when the last name of its files goes: the cache's own, or that of the last prefix
    whose files are hard links to them.
    """

    kind: CacheKind
    id: str
    """Unique within its kind."""
    bytes: int
    last_used: str
    needed_by: tuple[str, ...] = ()
    """What it must not be removed for, as in ``protected_by`` of ``roost cache df``: ``process:<pid>``, ``run:<id>``,
    ``pin``, ``build:<id>``, ``version:<name>``, and ``unknown:<why>`` if that can't be told."""
    linked_by: tuple[str, ...] = ()
    """Lock digests whose prefixes may have hard links to its files."""
    is_cached: bool = True
    """False if only prefixes still have its files: it can't be removed, and goes with the last of them."""


class CachedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A row of what is in the caches: a file or a folder that is removed as a whole."""

    id: str
    """Path below the root."""
    kind: CacheKind
    key: str = ""
    """What locks call it (``roost.store.index.cache_keys``)."""
    bytes: int | None = None
    """On the disk, each inode once; ``None`` if it has not been measured."""
    stamp: int
    """mtime in ns when it was measured."""
    last_used: str
    files: int | None = None
    """``None`` if they were not counted."""
    sources: int | None = None
    """Python sources among them."""
    source_bytes: int | None = None


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a removal that was not done: the item is in use, or has vanished."""

    reason: str
    """``process:<pid>``, ``locked``, ``gone`` …, as in ``CacheItem.needed_by``."""
