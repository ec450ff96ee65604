"""Base images and images: what went into them, and where they were put.

A row in ``images`` says what an image is made of. Whether it may be used is for the ``artifacts`` row and for the
engine or registry that has it.
"""

from __future__ import annotations

import sqlite3

import msgspec

from roost.model.locks.lock import Lock
from roost.model.records import Artifact, BaseRecord, Generation, ImageRecord, NewGeneration
from roost.store.clock import utc_now
from roost.store.disk.failpoints import failpoint
from roost.store.index import artifacts, generations
from roost.store.index.definitions import put_lock

_BASE = msgspec.json.Decoder(BaseRecord)
_IMAGE = msgspec.json.Decoder(ImageRecord)


def put_base(connection: sqlite3.Connection, base: BaseRecord) -> None:
    """Keep a base; what is known later (where a registry has it) takes the place of what was known before."""
    connection.execute(
        "INSERT OR REPLACE INTO bases (digest, created, record) VALUES (?, ?, ?)",
        (base.digest, utc_now(), msgspec.json.encode(base)),
    )


def base(connection: sqlite3.Connection, digest: str) -> BaseRecord | None:
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


def images(connection: sqlite3.Connection) -> list[ImageRecord]:
    """All of them, the latest first."""
    return [_IMAGE.decode(row["record"]) for row in connection.execute("SELECT * FROM images ORDER BY created DESC")]


def publish_image(
    connection: sqlite3.Connection,
    artifact: Artifact | None,
    image: ImageRecord,
    lock: Lock,
    generation: NewGeneration | Generation | None,
) -> tuple[Artifact | None, Generation | None]:
    """One transaction: the lock, the generation (a new one, or one that gets its base), the image, and with
    ``artifact`` that the engine has it."""
    put_lock(connection, lock)
    numbered = _settle(connection, generation, image, lock)
    put_image(connection, image)
    ready = _make_ready(connection, artifact) if artifact is not None else None
    failpoint("image.in-transaction")
    return ready, numbered


def _settle(
    connection: sqlite3.Connection, generation: NewGeneration | Generation | None, image: ImageRecord, lock: Lock
) -> Generation | None:
    if isinstance(generation, NewGeneration):
        whole = msgspec.structs.replace(generation, base_digest=image.base_digest, steps_digest=image.steps_digest)
        return generations.add_generation(connection, whole, lock)
    if generation is not None and generation.base_digest is None:
        return generations.complete(connection, generation, image.base_digest, image.steps_digest)
    return generation


def _make_ready(connection: sqlite3.Connection, artifact: Artifact) -> Artifact:
    """The one row of a key; an image that was lost and made again keeps its id."""
    there = artifacts.ready_artifact(connection, artifact.kind, artifact.key)
    if there is not None:
        connection.execute(
            "UPDATE artifacts SET path = ?, bytes = ?, last_used = ? WHERE id = ?",
            (artifact.path, artifact.bytes, artifact.last_used, there.id),
        )
        return msgspec.structs.replace(there, path=artifact.path, bytes=artifact.bytes, last_used=artifact.last_used)
    artifacts.insert_ready(connection, artifact)
    return artifact
