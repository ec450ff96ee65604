"""A virtual environment that roost links by itself: what is in it is known without looking, byte-code included.

All functions block.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from roost.daemon.background.code import PackageCode
from roost.daemon.engines.uv.parts.linking import LinkedWheels
from roost.daemon.integrity.folders import create_bytecode_folders
from roost.daemon.integrity.manifest import CACHE_FOLDER, PrefixManifest
from roost.daemon.integrity.trees import collect_manifest
from roost.daemon.prefixes.bytecode import link_for_sources
from roost.daemon.prefixes.wheel_code import describe_code
from roost.model.locks.lock import Wheel
from roost.store.disk.file_ops import TreeCount


@dataclass
class KnownContent:
    """Everything that is in a prefix, and how it is measured."""

    manifest: PrefixManifest
    count: TreeCount
    wheel_folders: frozenset[str] = frozenset()
    """Relative paths of the folders in which wheels have files."""
    bytecode_due: bool = False


def list_venv(prefix: str, began: int) -> KnownContent:
    """Return the content of a venv that has no package yet."""
    count = TreeCount()
    return KnownContent(collect_manifest(prefix, {}, began, count), count)


def complete_venv(venv: KnownContent, linked: LinkedWheels, prefix: str, store: str, tag: str) -> KnownContent:
    """Link the stored byte-code of all wheels, which were linked into ``venv``, for a Python of ``tag``; return the
    content of the prefix then."""
    folders = [*venv.manifest.folders, *(each for each in linked.folders if os.path.basename(each) != CACHE_FOLDER)]
    files, is_due = {**venv.manifest.files, **linked.files}, False
    count = venv.count
    count.add_all(linked.count)
    for path in create_bytecode_folders(prefix, files):
        count.add(path)
    for sha256, part in linked.parts.items():
        own = [each for each in part.linked if not each.path.startswith("/")]
        stamps = {each.path: _pack(each.time // 10**9) + _pack(each.size) for each in own if each.path.endswith(".py")}
        shipped = {each.path for each in own if each.path.endswith(".pyc")}
        found = link_for_sources(f"{prefix}/{part.site}", stamps, shipped, f"{store}/{sha256}-{tag}", tag, count)
        files.update((f"{part.site}/{path}", file) for path, file in found.files.items())
        is_due = is_due or found.is_due
    manifest = PrefixManifest(files=files, links=venv.manifest.links, folders=folders)
    return KnownContent(manifest, count, frozenset(map(os.path.dirname, linked.files)), is_due)


def _pack(number: int) -> bytes:
    return (number & 0xFFFFFFFF).to_bytes(4, "little")


def list_part_code(linked: LinkedWheels, wheels: Sequence[Wheel]) -> Iterator[PackageCode]:
    """Yield the code of the linked ``wheels``."""
    for wheel in wheels:
        part = linked.parts[wheel.sha256]
        outer = (path[1:] for path in part.list_paths() if path.startswith("/"))
        yield from describe_code(wheel, outer)
