"""The seal of a prefix: its manifest and the stamps that guard it. All functions block.

A prefix is sealed when it is complete. If a guard has changed later, the manifest tells whether anything else has: a
backup or a copy tool may only have touched a folder.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence

import msgspec

from roost.daemon.definitions.stamps import is_unchanged, stamp_in_prefix
from roost.daemon.engines.uv.unpacked.content import FileState
from roost.daemon.integrity.folders import create_bytecode_folders, seal_folders
from roost.daemon.integrity.manifest import ManifestDamagedError, PrefixManifest, encode_manifest
from roost.daemon.integrity.records import load_known_files
from roost.daemon.integrity.trees import collect_manifest, find_differences, load_manifest
from roost.daemon.prefixes.bytecode_digests import load_late_bytecode
from roost.daemon.prefixes.linked_bytecode import add_linked
from roost.daemon.prefixes.linked_wheels import KnownContent
from roost.model.records import Artifact, FileStamp
from roost.store.disk.file_ops import TreeCount
from roost.store.disk.layout import Layout


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored with a prefix to notice that it was changed."""

    stamps: tuple[FileStamp, ...]
    manifest: bytes
    dropped: int = 0
    """How many byte-code files were deleted, since the stored ones had been altered: they are to be compiled again."""
    count: TreeCount | None = None
    """All names of the prefix; ``None`` if some were deleted after they had been counted."""


def seal_prefix(
    prefix: str,
    guarded: Sequence[str],
    bytecode: Mapping[str, str],
    changed_after: int,
    read: Mapping[FileState, str] | None = None,
) -> Seal:
    """Return the seal of a complete prefix, and protect the folders that installing a package by hand touches.

    ``guarded`` are paths of further files that guard every use, ``bytecode`` are the digests of byte-code that was
    linked from the store, ``changed_after`` is the time (ns) at which filling the prefix began, ``read`` are the
    digests of what was read since.
    """
    known = load_known_files(prefix)
    count = TreeCount()
    manifest = collect_manifest(prefix, {**bytecode, **known.digests}, changed_after, count, read)
    for folder in create_bytecode_folders(prefix, manifest.files):
        count.add(folder)
    linked = {path: digest for path, digest in bytecode.items() if path not in known.digests}
    manifest, dropped = _drop_altered(prefix, manifest, linked)
    return _protect(prefix, guarded, manifest, known.wheel_folders, None if dropped else count, dropped)


def seal_known(prefix: str, guarded: Sequence[str], content: KnownContent) -> Seal:
    """Return the seal of a prefix that has exactly this content, and protect its folders. ``guarded`` as above."""
    return _protect(prefix, guarded, content.manifest, content.wheel_folders, content.count, 0)


def _protect(
    prefix: str,
    guarded: Sequence[str],
    manifest: PrefixManifest,
    wheel_folders: Collection[str],
    count: TreeCount | None,
    dropped: int,
) -> Seal:
    paths = dict.fromkeys([*guarded, *seal_folders(prefix, manifest.folders, wheel_folders)])
    return Seal(stamps=_stamp(list(paths)), manifest=encode_manifest(manifest), dropped=dropped, count=count)


def _drop_altered(prefix: str, manifest: PrefixManifest, linked: Mapping[str, str]) -> tuple[PrefixManifest, int]:
    """Delete the byte-code that has another digest than the store states: what is found is never taken for the truth.
    Return the manifest without it, and how many files that are."""
    wrong = {path for path, digest in linked.items() if manifest.files.get(path, (0, digest))[1] != digest}
    for path in wrong:
        os.unlink(os.path.join(prefix, path))
    left = {path: file for path, file in manifest.files.items() if path not in wrong}
    return msgspec.structs.replace(manifest, files=left), len(wrong)


def seal_older(prefix: Artifact) -> Seal:
    """Return the seal of a prefix of format 1, which was found unaltered, and protect it. Reads every file."""
    guarded = [guard.path for guard in prefix.stamps if not os.path.isdir(guard.path)]
    return seal_prefix(prefix.path, guarded, {}, 0)


def renew_stamps(prefix: Artifact) -> tuple[FileStamp, ...] | None:
    """Return new stamps of a prefix whose guards have changed although nothing in it has; ``None`` if it is altered.

    The folders are protected again. A file outside of the prefix (the interpreter of a virtual environment) must not
    have changed, for the manifest says nothing about it.
    """
    inside = os.path.realpath(prefix.path) + os.sep
    outside = [guard for guard in prefix.stamps if not os.path.realpath(guard.path).startswith(inside)]
    if not all(map(is_unchanged, outside)):
        return None
    try:
        manifest = load_manifest(Layout.manifest_of(prefix.path), prefix.manifest)
        seal_folders(prefix.path, manifest.folders, load_known_files(prefix.path).wheel_folders)
    except (ManifestDamagedError, OSError):
        return None
    own = [guard.path for guard in prefix.stamps if guard not in outside]
    stamps = (*_stamp(own), *outside)  # before the content is read: later changes must show
    found = find_differences(prefix.path, add_linked(prefix.path, manifest), load_late_bytecode(prefix.path))
    if found.altered or not all(map(is_unchanged, stamps)):
        return None
    return stamps


def _stamp(paths: Sequence[str]) -> tuple[FileStamp, ...]:
    return tuple(stamp_in_prefix(path) for path in paths)
