"""The layers of images that were written here: which content became which blob.

A row says that the blob ``layers/<digest>.tar.gz`` is complete: it is committed after the blob is synced and in place.
``key`` is a digest over everything that the layer's bytes depend on, so that one content is packed once. Two keys may
lead to one blob.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from roost.model.records import LayerRecord
from roost.store.clock import utc_now
from roost.store.index.queries import Queries, Read, Scan, Write

_RECORD = msgspec.json.Decoder(LayerRecord)


def put_layer(connection: sqlite3.Connection, layer: LayerRecord) -> None:
    """Keep a layer; a later one of the same key takes its place."""
    now = utc_now()
    connection.execute(
        "INSERT OR REPLACE INTO layers (key, digest, created, last_used, record) VALUES (?, ?, ?, ?, ?)",
        (layer.key, layer.digest, now, now, msgspec.json.encode(layer)),
    )


def find_layers(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, LayerRecord]:
    """Key to layer, for those of ``keys`` that are kept."""
    marks = ",".join("?" * len(keys))
    rows = connection.execute(f"SELECT * FROM layers WHERE key IN ({marks})", tuple(keys))
    return {row["key"]: _layer(row) for row in rows}


def list_layers(connection: sqlite3.Connection) -> list[LayerRecord]:
    """Every layer, the one that was used last first."""
    return [_layer(row) for row in connection.execute("SELECT * FROM layers ORDER BY last_used DESC, key")]


def touch_layers(connection: sqlite3.Connection, keys: Iterable[str]) -> None:
    """Record a use."""
    now = utc_now()
    connection.executemany("UPDATE layers SET last_used = ? WHERE key = ?", [(now, key) for key in keys])


def delete_layers(connection: sqlite3.Connection, digests: Iterable[str]) -> None:
    """Forget the blobs of those digests; the caller takes them away afterwards."""
    connection.executemany("DELETE FROM layers WHERE digest = ?", [(digest,) for digest in digests])


def _layer(row: sqlite3.Row) -> LayerRecord:
    return _RECORD.decode(row["record"])


class LayerTable(Queries):
    """``index.layers``."""

    put = Write(put_layer)
    find = Read(find_layers)
    list_all = Scan(list_layers)
    touch = Write(touch_layers)
    delete = Write(delete_layers)
