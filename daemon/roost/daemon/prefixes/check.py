"""Find what differs in a prefix: tree and manifest, manifest and lock, modes; all functions block.

A prefix of format 1 has no manifest. Its files are compared with what its packages state: those of conda packages with
the digests in ``conda-meta``, those of wheels with RECORD. What no package has is not noticed in one.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from typing import Literal

import msgspec

from roost.daemon.engines.conda.cache import file_digest
from roost.daemon.engines.uv.prefix import find_altered_wheel_files
from roost.daemon.integrity.folders import find_unsealed
from roost.daemon.integrity.manifest import ManifestDamagedError
from roost.daemon.integrity.records import LinkedFile, find_lock_mismatches, read_linked_files
from roost.daemon.integrity.trees import find_differences, load_manifest
from roost.daemon.prefixes.bytecode_digests import load_late_bytecode
from roost.daemon.prefixes.linked_bytecode import add_linked
from roost.model.errors import MALFORMED_JSON
from roost.model.locks.lock import Lock
from roost.model.records import Artifact
from roost.store.disk.layout import Layout


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """A path in a prefix, and how it differs: ``missing``, ``changed``, ``extra``, ``writable`` (a folder that should
    be read-only), ``not-locked`` (a package that the lock does not have, or has and the prefix does not)."""

    path: str
    """Absolute."""
    change: Literal["missing", "changed", "extra", "writable", "not-locked"]


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """Result of checking one prefix."""

    changes: tuple[FileChange, ...] = ()
    """What makes it another prefix; sorted by path."""
    rewritten: tuple[str, ...] = ()
    """Absolute paths of byte-code that Python replaced, which is no alteration."""
    unknown: tuple[str, ...] = ()
    """Absolute paths of byte-code that nothing is known of: most likely Python has written it."""

    @property
    def summary(self) -> str:
        """The first change in words, and how many more there are."""
        first, *others = self.changes
        more = f" and {len(others)} more" if others else ""
        return f"{first.path} {first.change}{more}"

    @property
    def only_modes(self) -> bool:
        """Whether nothing but modes of folders differs."""
        return all(change.change == "writable" for change in self.changes)


def inspect_prefix(artifact: Artifact, lock: Lock) -> Inspection:
    """Compare a prefix with its manifest, and that with ``lock``. Reads every byte: about a second for 400 MB."""
    prefix = artifact.path
    if not artifact.manifest:
        return Inspection(changes=tuple(_by_records(prefix, lock)))
    path = Layout.manifest_of(prefix)
    try:
        manifest = load_manifest(path, artifact.manifest)
    except ManifestDamagedError:
        damaged = FileChange(path=path, change="changed" if os.path.exists(path) else "missing")
        return Inspection(changes=(*_by_records(prefix, lock), damaged))
    found = find_differences(prefix, add_linked(prefix, manifest), load_late_bytecode(prefix))
    changes = [
        *(FileChange(path=os.path.join(prefix, name), change="missing") for name in found.missing),
        *(FileChange(path=os.path.join(prefix, name), change="changed") for name in found.changed),
        *(FileChange(path=os.path.join(prefix, name), change="extra") for name in found.extra),
        *(
            FileChange(path=os.path.join(prefix, name), change="not-locked")
            for name in find_lock_mismatches(manifest, lock)
        ),
        *(FileChange(path=folder, change="writable") for folder, _ in find_unsealed(prefix)),
    ]
    return Inspection(
        changes=tuple(sorted(changes, key=lambda each: each.path)),
        rewritten=tuple(os.path.join(prefix, name) for name in found.rewritten),
        unknown=tuple(os.path.join(prefix, name) for name in found.unknown),
    )


def _by_records(prefix: str, lock: Lock) -> Iterator[FileChange]:
    for path in find_altered_files(prefix, lock):
        yield FileChange(path=path, change="changed" if os.path.lexists(path) else "missing")


def find_altered_files(prefix: str, lock: Lock) -> list[str]:
    """Return the absolute paths, sorted, of the files that no longer exist or have other content than their package
    states. A record of a package that is missing counts as such a file."""
    found = set(_find_altered_conda(prefix, lock))
    for wheel in lock.wheels:
        if wheel.kind != "editable":
            found.update(find_altered_wheel_files(prefix, wheel))
    return sorted(found)


def _find_altered_conda(prefix: str, lock: Lock) -> Iterator[str]:
    meta = os.path.join(prefix, "conda-meta")
    locked = {os.path.join(meta, f"{p.name}-{p.version}-{p.build}.json") for p in lock.conda}
    for record in locked | set(glob.glob(os.path.join(glob.escape(meta), "*.json"))):
        try:
            files = read_linked_files(record)
        except (OSError, *MALFORMED_JSON):
            yield record
            continue
        paths = ((os.path.join(prefix, file.path), file) for file in files)
        yield from (path for path, file in paths if not _is_intact(path, file))


def _is_intact(path: str, file: LinkedFile) -> bool:
    if file.digest is None:
        return os.path.lexists(path)
    try:
        return file_digest(path, "sha256") == file.digest
    except OSError:
        return False
