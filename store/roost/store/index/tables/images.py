"""Base images and images: their content, and the engines and registries that have them.

A row in ``images`` records the content of an image. Whether the image may be used depends on its row in ``artifacts``
and on the engine or registry that has it.
"""

from __future__ import annotations

import sqlite3

import msgspec

from roost.model.records import BaseRecord, ImageRecord
from roost.store.clock import utc_now
from roost.store.index.queries import Queries, Read, Scan, Write

_BASE_DECODER = msgspec.json.Decoder(BaseRecord)
_IMAGE_DECODER = msgspec.json.Decoder(ImageRecord)


def put_base(connection: sqlite3.Connection, base: BaseRecord) -> None:
    """Store a base; a later record of the same digest replaces it (it may name a registry in addition)."""
    connection.execute(
        "INSERT OR REPLACE INTO bases (digest, created, record) VALUES (?, ?, ?)",
        (base.digest, utc_now(), msgspec.json.encode(base)),
    )


def find_base(connection: sqlite3.Connection, digest: str) -> BaseRecord | None:
    """Return the base of that config digest."""
    row = connection.execute("SELECT record FROM bases WHERE digest = ?", (digest,)).fetchone()
    return _BASE_DECODER.decode(row["record"]) if row else None


def list_bases(connection: sqlite3.Connection) -> list[BaseRecord]:
    """Return all bases."""
    return [_BASE_DECODER.decode(row["record"]) for row in connection.execute("SELECT record FROM bases")]


def put_image(connection: sqlite3.Connection, image: ImageRecord) -> ImageRecord:
    """Store an image and return its record. An earlier row of the same content passes its places and its creation time
    on."""
    before = find_image(connection, image.key)
    if before is not None and before.config_digest == image.config_digest:
        image = msgspec.structs.replace(
            image, registry_digests={**before.registry_digests, **image.registry_digests}, created=before.created
        )
    image = msgspec.structs.replace(image, created=image.created or utc_now())
    connection.execute(
        "INSERT OR REPLACE INTO images (key, config_digest, definition_digest, lock_digest, created, record) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            image.key,
            image.config_digest,
            image.definition_digest,
            image.lock_digest,
            image.created,
            msgspec.json.encode(image),
        ),
    )
    return image


def find_image(connection: sqlite3.Connection, key: str) -> ImageRecord | None:
    """Return the image of that key."""
    row = connection.execute("SELECT record FROM images WHERE key = ?", (key,)).fetchone()
    return _IMAGE_DECODER.decode(row["record"]) if row else None


def list_images(connection: sqlite3.Connection) -> list[ImageRecord]:
    """Return all images, the latest first."""
    return [
        _IMAGE_DECODER.decode(row["record"]) for row in connection.execute("SELECT * FROM images ORDER BY created DESC")
    ]


class BaseTable(Queries):
    """``index.bases``: base images, by their config digest."""

    put = Write(put_base)
    find = Read(find_base)
    list_all = Scan(list_bases)


class ImageTable(Queries):
    """``index.images``: images, by their image key."""

    put = Write(put_image)
    find = Read(find_image)
    list_all = Scan(list_images)
