"""Layers of images that were written on this machine: which content is in which blob.

A row means that the blob ``layers/<digest>.tar.gz`` is complete: it is committed after the blob is synced and in place.
``key`` is a digest over everything that the layer's bytes depend on, so that the same content is packed once. Several
keys may have the same blob.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from roost.model.records import LayerRecord
from roost.store.clock import utc_now
from roost.store.index.queries import Queries, Read, Scan, Write

_LAYER_DECODER = msgspec.json.Decoder(LayerRecord)


def put_layer(connection: sqlite3.Connection, layer: LayerRecord) -> None:
    """Store a layer whose blob is complete, synced and in place; a later one of the same key replaces it."""
    now = utc_now()
    connection.execute(
        "INSERT OR REPLACE INTO layers (key, digest, created, last_used, record) VALUES (?, ?, ?, ?, ?)",
        (layer.key, layer.digest, now, now, msgspec.json.encode(layer)),
    )


def find_layers(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, LayerRecord]:
    """Return key to layer, for those of ``keys`` that are stored."""
    marks = ",".join("?" * len(keys))
    rows = connection.execute(f"SELECT * FROM layers WHERE key IN ({marks})", tuple(keys))
    return {row["key"]: _decode_layer(row) for row in rows}


def list_layers(connection: sqlite3.Connection) -> list[LayerRecord]:
    """Return all layers, the last used first."""
    return [_decode_layer(row) for row in connection.execute("SELECT * FROM layers ORDER BY last_used DESC, key")]


def list_layer_uses(connection: sqlite3.Connection) -> list[tuple[LayerRecord, str]]:
    """Return all layers with their last uses."""
    return [(_decode_layer(row), row["last_used"]) for row in connection.execute("SELECT * FROM layers")]


def touch_layers(connection: sqlite3.Connection, keys: Iterable[str]) -> None:
    """Record a use of layers, now."""
    now = utc_now()
    connection.executemany("UPDATE layers SET last_used = ? WHERE key = ?", [(now, key) for key in keys])


def delete_layers(connection: sqlite3.Connection, digests: Iterable[str]) -> None:
    """Delete the rows of blobs; the caller deletes the blobs afterwards."""
    connection.executemany("DELETE FROM layers WHERE digest = ?", [(digest,) for digest in digests])


def _decode_layer(row: sqlite3.Row) -> LayerRecord:
    return _LAYER_DECODER.decode(row["record"])


class LayerTable(Queries):
    """``index.layers``: layers, by their key."""

    put = Write(put_layer)
    find = Read(find_layers)
    list_all = Scan(list_layers)
    list_uses = Scan(list_layer_uses)
    touch = Write(touch_layers)
    delete = Write(delete_layers)
