"""Base images and images: what went into them, and where they were put.

A row in ``images`` says what an image is made of. Whether it may be used is for the ``artifacts`` row and for the
engine or registry that has it.
"""

from __future__ import annotations

import sqlite3

import msgspec

from roost.model.records import BaseRecord, ImageRecord
from roost.store.clock import utc_now
from roost.store.index.queries import Queries, Read, Scan, Write

_BASE = msgspec.json.Decoder(BaseRecord)
_IMAGE = msgspec.json.Decoder(ImageRecord)


def put_base(connection: sqlite3.Connection, base: BaseRecord) -> None:
    """Keep a base; what is known later (where a registry has it) takes the place of what was known before."""
    connection.execute(
        "INSERT OR REPLACE INTO bases (digest, created, record) VALUES (?, ?, ?)",
        (base.digest, utc_now(), msgspec.json.encode(base)),
    )


def find_base(connection: sqlite3.Connection, digest: str) -> BaseRecord | None:
    """The base of that config digest."""
    row = connection.execute("SELECT record FROM bases WHERE digest = ?", (digest,)).fetchone()
    return _BASE.decode(row["record"]) if row else None


def put_image(connection: sqlite3.Connection, image: ImageRecord) -> ImageRecord:
    """Keep an image; the places of an earlier row of the same content stay known."""
    before = find_image(connection, image.key)
    if before is not None and before.config_digest == image.config_digest:
        image = msgspec.structs.replace(image, places={**before.places, **image.places}, created=before.created)
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
    """The image of that key."""
    row = connection.execute("SELECT record FROM images WHERE key = ?", (key,)).fetchone()
    return _IMAGE.decode(row["record"]) if row else None


def list_images(connection: sqlite3.Connection) -> list[ImageRecord]:
    """All of them, the latest first."""
    return [_IMAGE.decode(row["record"]) for row in connection.execute("SELECT * FROM images ORDER BY created DESC")]


class BaseTable(Queries):
    """``index.bases``: base images, by their config digest."""

    put = Write(put_base)
    find = Read(find_base)


class ImageTable(Queries):
    """``index.images``, by image key."""

    put = Write(put_image)
    find = Read(find_image)
    list_all = Scan(list_images)
