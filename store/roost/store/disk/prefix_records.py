"""The record beside a prefix (``<prefix>.record``): what the index knows of it, so that a lost index can be rebuilt.

It is written before the prefix is synced, and so exists whenever the prefix is ready. Its first line is the sha256 of
the rest: a record is whole or none. All functions block.
"""

from __future__ import annotations

import os

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.errors import MALFORMED_JSON
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import Artifact, NewGeneration
from roost.store.disk.file_ops import write_new_file
from roost.store.disk.layout import Layout
from roost.store.disk.regular_files import read_regular

FORMAT = 1
MAX_BYTES = 256 * 2**20
"""The lock of a large environment has a few MB."""


class PrefixRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A prefix with the digest of its manifest and how it is activated, its lock, and the generation that it was built
    for. Its sizes are those of before the sync."""

    artifact: Artifact
    lock: Lock
    generation: NewGeneration | None = None
    format: int = FORMAT


def encode_record(record: PrefixRecord) -> bytes:
    """Return the bytes of the file."""
    body = msgspec.json.encode(record)
    return digest_bytes(body).encode() + b"\n" + body


def decode_record(content: bytes) -> PrefixRecord | None:
    """Return the record in ``content``; ``None`` if it is cut, altered, or of a format that this version does not
    know."""
    digest, _, body = content.partition(b"\n")
    if digest != digest_bytes(body).encode():
        return None
    try:
        record = msgspec.json.decode(body, type=PrefixRecord)
        consistent = record.format == FORMAT and digest_lock(record.lock) == record.artifact.key
    except (*MALFORMED_JSON, ValueError):
        return None
    return record if consistent else None


def write_record(record: PrefixRecord) -> None:
    """Create the file beside the prefix. It is not durable before the file system is synced."""
    write_new_file(Layout.record_of(record.artifact.path), encode_record(record))


def read_record(prefix: str) -> PrefixRecord | None:
    """Return the record of the prefix at that path; ``None`` without a valid one for that very path."""
    try:
        record = decode_record(read_regular(Layout.record_of(prefix), MAX_BYTES))
    except OSError:
        return None
    return record if record is not None and os.path.normpath(record.artifact.path) == os.path.normpath(prefix) else None
