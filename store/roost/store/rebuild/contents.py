"""Prefixes and runs that are on the disk, for an index that no longer has them. All functions block.

A prefix is described by its record, which carries its own digest and lies beside it, or by its row in what is left of
the index. Neither makes it ready: every byte of it is compared with its manifest, and that with its lock.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.locks.lock import Lock
from roost.model.records import Artifact, BaseRecord, FileStamp, LayerRecord, NewGeneration
from roost.store.artifacts.usage import measure_prefix
from roost.store.disk.layer_files import is_intact, read_stamp
from roost.store.disk.layout import Layout
from roost.store.disk.prefix_records import PrefixRecord, read_record
from roost.store.disk.run_folders import read_begun
from roost.store.failpoints import failpoint
from roost.store.index.tables.artifacts import restore_artifact
from roost.store.index.tables.generations import add_generation, find_current_generation, list_generations
from roost.store.index.tables.layers import put_layer
from roost.store.index.tables.locks import find_lock, put_lock
from roost.store.index.tables.upkeep import restore_definition, restore_run
from roost.store.rebuild.reading import DamagedReader
from roost.store.rebuild.rows import decode_prefix

Compare = Callable[[Artifact, Lock], "tuple[FileStamp, ...] | str"]
"""Compares every byte of a prefix with its manifest, and that with the lock; returns new stamps, or what differs."""


def restore_prefixes(
    connection: sqlite3.Connection, layout: Layout, sources: Iterable[DamagedReader], compare: Compare
) -> tuple[list[str], list[str]]:
    """Add the prefixes that are what their manifests say. Return their paths, and a line for each other folder."""
    rows = _read_prefix_rows(sources)
    served: list[str] = []
    lost: list[str] = []
    keys: set[str] = set()
    found = [_describe(connection, path, rows.get(path)) for path in _list_folders(layout.prefixes)]
    for path, record in sorted(found, key=lambda each: each[1].artifact.created if each[1] else "", reverse=True):
        reason = _restore_prefix(connection, record, keys, compare)
        failpoint("rebuild.prefix-compared")
        if reason:
            lost.append(f"{path}: {reason}; it is built again when it is needed")
        else:
            served.append(path)
    return sorted(served), sorted(lost)


def _read_prefix_rows(sources: Iterable[DamagedReader]) -> dict[str, Artifact]:
    """Return the complete prefixes of all sources by their path; the first source that has one counts."""
    found: dict[str, Artifact] = {}
    for source in sources:
        for row in source.rows("artifacts"):
            artifact = decode_prefix(row)
            if artifact is not None:
                found.setdefault(artifact.path, artifact)
    return found


def _list_folders(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))


def _describe(connection: sqlite3.Connection, path: str, row: Artifact | None) -> tuple[str, PrefixRecord | None]:
    record = read_record(path)
    if record is None and row is not None:
        lock = find_lock(connection, row.key)
        record = PrefixRecord(artifact=row, lock=lock) if lock is not None else None
    return path, record


def _restore_prefix(
    connection: sqlite3.Connection, record: PrefixRecord | None, keys: set[str], compare: Compare
) -> str:
    """Make a prefix ready in the new index if it is whole. Return why it is not, else nothing."""
    if record is None:
        return "neither its record nor its row with its lock can be read"
    if not record.artifact.manifest or record.artifact.manifest == digest_bytes(b""):
        return "it has no manifest to compare it with"
    if record.artifact.key in keys:
        return "another prefix has the same content"
    stamps = compare(record.artifact, record.lock)
    if isinstance(stamps, str):
        return stamps
    total, shared = measure_prefix(record.artifact.path)
    put_lock(connection, record.lock)
    ready = msgspec.structs.replace(record.artifact, state="ready", stamps=stamps, bytes=total, shared_bytes=shared)
    restore_artifact(connection, ready)
    if record.generation is not None:
        _restore_generation(connection, record.generation, record)
    keys.add(record.artifact.key)
    return ""


def _restore_generation(connection: sqlite3.Connection, new: NewGeneration, record: PrefixRecord) -> None:
    """Add the generation that a prefix was built for, unless it is known. It is current, as it was made then, unless a
    later one is known."""
    known = list_generations(connection, new.definition_digest)
    if any((each.platform, each.lock_digest) == (new.platform, record.artifact.key) for each in known):
        return
    if new.origin == "file":
        add_generation(connection, new, record.lock)
        return
    current = find_current_generation(connection, new.definition_digest, new.platform)
    if current is None or current.created < record.artifact.created:
        add_generation(connection, new, record.lock)


def restore_images(connection: sqlite3.Connection, sources: Iterable[DamagedReader]) -> None:
    """Add the rows of images whose content is known: their engine is asked at every use whether it has them."""
    for source in sources:
        for row in source.rows("artifacts"):
            known = "SELECT 1 FROM images WHERE key = ?"
            if row.get("kind") != "image" or row.get("state") != "ready":
                continue
            if connection.execute(known, (row["key"],)).fetchone() is None:
                continue
            fields: Mapping[str, object] = {
                name: row[name] for name in ("id", "kind", "key", "platform", "state", "path", "bytes", "created")
            }
            try:
                restore_artifact(connection, msgspec.convert({**fields, "last_used": row["last_used"]}, Artifact))
            except msgspec.ValidationError:
                continue


def restore_definitions(connection: sqlite3.Connection, layout: Layout) -> None:
    """Add the definitions and settings of runs that only the folders of the runs have."""
    for folder in _list_folders(layout.runs):
        begun = read_begun(folder)
        if begun is not None:
            restore_definition(connection, begun)


def restore_runs(connection: sqlite3.Connection, layout: Layout) -> list[str]:
    """Add the runs that only their folders have. Return a line for each folder of which no record can be read. The ends
    of runs are in their folders too, and are read at the next start."""
    lost: list[str] = []
    for folder in _list_folders(layout.runs):
        name = os.path.basename(folder)
        known = connection.execute("SELECT 1 FROM runs WHERE id = ?", (name,)).fetchone() is not None
        if not known and not restore_run(connection, folder):
            lost.append(f"run {name}: only its output and its end are left, in {folder}")
    return lost


def restore_base_layers(connection: sqlite3.Connection, layout: Layout) -> None:
    """Add the layers of bases and of results of docker steps whose blobs have their digests: no other machine can make
    the same ones again."""
    for row in connection.execute("SELECT record FROM bases").fetchall():
        base = msgspec.json.decode(row["record"], type=BaseRecord)
        for layer in base.layers:
            if layer.digest is None or not layer.stored:
                continue
            record = LayerRecord(
                key=f"{'base' if base.below is None else 'steps'}:{layer.diff_id}",
                diff_id=layer.diff_id,
                digest=layer.digest,
                size=layer.size,
                stamp=read_stamp(layout, layer.digest),
            )
            known = connection.execute("SELECT 1 FROM layers WHERE digest = ?", (layer.digest,)).fetchone()
            if known is None and is_intact(layout, record, thorough=True):
                put_layer(connection, record)
