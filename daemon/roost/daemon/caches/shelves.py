"""Which folders have what is cached: each entry of a shelf is one item, which is stored and removed as a whole.

Only the names in these folders are read, and one stat for each: the content of an item is never looked at here.
Entries that are being filled have other names (``.…``, ``stage-…``) in all of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from roost.daemon.engines.uv.unpacked.removal import find_distribution
from roost.daemon.jobs.holds import CONDA_INDEX, LAYERS
from roost.model.caches import CacheKind
from roost.store.disk.layout import Layout
from roost.store.index.cache_keys import conda_key, file_key, wheel_key

_SHA256 = re.compile(r"[0-9a-f]{64}")
ASIDE = ".tmp-removed-"
"""How the names begin of what is being removed and could not be moved into the trash. Engines delete it, too."""
_CHANNELS = "packages/conda/index/"
_UV = "wheels/uv/"
_ANSWERS = (_CHANNELS, _UV)
_ARCHIVES = re.compile(r"archive-v\d+")
_POINTERS = re.compile(r"wheels-v(\d+)")


class FoundItem(msgspec.Struct, frozen=True):
    """An entry of a shelf."""

    id: str
    """Path below the root."""
    kind: CacheKind
    stamp: int
    """mtime in ns: it changes when something is added to or replaced in the entry itself."""


def list_items(layout: Layout) -> Iterator[FoundItem]:
    """Yield what builds leave in the caches. Blocks: a few milliseconds for 1,000 items."""
    conda = os.path.join(layout.packages, "conda")
    yield from _list_shelf(layout, os.path.join(conda, "packages"), "package", folders=True)
    yield from _list_shelf(layout, os.path.join(conda, "archives"), "package", folders=True, named=_SHA256)
    yield from _list_shelf(layout, os.path.join(conda, "index"), "package")
    yield from _list_shelf(layout, os.path.join(layout.packages, "bytecode"), "bytecode", folders=True, named=_SHA256)
    yield from _list_uv(layout, os.path.join(layout.wheels, "uv"))
    yield from _list_shelf(layout, os.path.join(layout.wheels, "fetched"), "wheel", folders=True, named=_SHA256)
    for name in ("built", "given"):
        yield from _list_shelf(layout, os.path.join(layout.wheels, name), "built-wheel", folders=True, named=_SHA256)
    yield from _list_shelf(layout, layout.layers, "layer", named=_SHA256)
    yield from _list_shelf(layout, layout.snapshots, "snapshot", folders=True)


def list_outputs(layout: Layout) -> Iterator[FoundItem]:
    """Yield the outputs of runs, also of those that go on. Blocks: one stat for each run."""
    for name in _list_names(layout.runs):
        path = os.path.join(layout.runs, name, "output")
        with suppress(OSError):
            yield FoundItem(_item_id(layout, path), "output", os.stat(path).st_mtime_ns)


def list_leftovers(layout: Layout) -> Iterator[FoundItem]:
    """Yield what is in ``stage/`` and ``trash/``, complete or not. Blocks."""
    yield from _list_shelf(layout, layout.stage, "stage")
    yield from _list_shelf(layout, layout.trash, "trash")


def is_answers(item_id: str) -> bool:
    """Return whether an item has answers of channels and indexes, which change with every solve."""
    return item_id.startswith(_ANSWERS) and not _ARCHIVES.match(item_id.removeprefix(_UV))


def find_key(layout: Layout, item: FoundItem) -> str:
    """Return what locks call an item that prefixes are linked from; empty for any other. Blocks."""
    name = os.path.basename(item.id)
    if is_answers(item.id) or _SHA256.fullmatch(name):
        return ""
    if item.kind == "package":
        return conda_key(name)
    if item.kind == "bytecode":
        return file_key(name[:64])
    if item.kind == "wheel":
        distribution = find_distribution(os.path.join(layout.root, item.id))
        return wheel_key(*distribution) if distribution else ""
    return ""


def find_hold(layout: Layout, item: FoundItem) -> str:
    """Return under which key the daemon holds an item while it uses it; empty if it never does. Blocks."""
    if item.id.startswith("layers/"):
        return LAYERS
    if item.id.startswith(_CHANNELS):
        return CONDA_INDEX
    if item.kind in ("package", "wheel", "built-wheel") and (sha256 := _SHA256.fullmatch(os.path.basename(item.id))):
        return file_key(sha256[0])
    return find_key(layout, item)


def _list_uv(layout: Layout, cache: str) -> Iterator[FoundItem]:
    """Yield uv's unpacked wheels one by one, and its other folders, except for the current one of pointers to wheels:
    pointers go with their wheels."""
    buckets = [name for name in _list_names(cache) if os.path.isdir(os.path.join(cache, name))]
    current = max((name for name in buckets if _POINTERS.fullmatch(name)), key=_bucket_number, default=None)
    for name in buckets:
        path = os.path.join(cache, name)
        if _ARCHIVES.fullmatch(name):
            yield from _list_shelf(layout, path, "wheel", folders=True)
        elif name != current:
            yield FoundItem(_item_id(layout, path), "wheel", _stamp_bucket(path))


def _bucket_number(name: str) -> int:
    return int(name.rpartition("-v")[2])


def _stamp_bucket(path: str) -> int:
    """Return the latest mtime of a folder and its folders: files are replaced in the latter."""
    latest = 0
    with suppress(OSError):
        latest = os.stat(path).st_mtime_ns
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    latest = max(latest, entry.stat(follow_symlinks=False).st_mtime_ns)
    return latest


def _list_shelf(
    layout: Layout, folder: str, kind: CacheKind, *, folders: bool = False, named: re.Pattern[str] | None = None
) -> Iterator[FoundItem]:
    """Yield the entries of ``folder``, only ``folders`` or also files, whose names begin as ``named`` says."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(ASIDE):
                yield FoundItem(_item_id(layout, entry.path), "trash", 0)
            if entry.name.startswith(".") or (named is not None and named.match(entry.name) is None):
                continue
            if folders and not entry.is_dir(follow_symlinks=False):
                continue
            with suppress(FileNotFoundError):
                yield FoundItem(_item_id(layout, entry.path), kind, entry.stat(follow_symlinks=False).st_mtime_ns)


def _item_id(layout: Layout, path: str) -> str:
    return path[len(layout.root) + 1 :]


def _list_names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError:
        return []
