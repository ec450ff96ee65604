"""What a decision is made from: the request, and what is known. Pure values; ``planner`` and ``image_facts`` gather
them, ``decide`` and ``decide_images`` read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from roost.daemon.oci.answers import Answer
from roost.model.definition import Definition
from roost.model.records import Artifact, Estimate, Generation
from roost.wire.plans import Nearest, Reason

PREFIX_TARGETS = frozenset({"local"})
IMAGE_TARGETS = frozenset({"docker"})

BasePolicy = Literal["pin", "warn", "follow"]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asked for."""

    definition: Definition
    target: str = "auto"
    ignore_image: bool = False
    rebuild: bool = False
    as_of: str | None = None


class ImageLocation(msgspec.Struct, frozen=True, kw_only=True):
    """An image, complete, where it was found: in an engine or in a registry."""

    reference: str
    digest: str
    """Of its config."""
    manifest_digest: str | None = None
    """In a registry."""
    bytes: int | None = None
    """In a registry: what pulling moves at most. In an engine: what it takes there."""
    key: str | None = None
    """In a registry: the image key that it says is its own."""


class ImageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about the image of a generation. ``None`` for an answer: it was not asked for."""

    key: str | None = None
    """The image key; ``None`` where the generation has no base image yet."""
    id: str | None = None
    """Of the artifact, where one was made on this machine."""
    interpreter: str | None = None
    """Path of the Python in it, where that is known."""
    engine: Answer[ImageLocation] | None = None
    workspace: Answer[ImageLocation] | None = None
    catalogues: tuple[Answer[ImageLocation], ...] = ()
    repeatable: bool = True
    """Building gives the same artifact again: there are no docker steps, or what they made is kept here."""
    base_policy: BasePolicy = "pin"
    editable_reasons: tuple[Reason, ...] = ()
    """Of editable installs: what of them is in the image."""
    current_base: Answer[str] | None = None
    """Digest of what the base's tag names now; asked for by the policies ``warn`` and ``follow``."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about it, all of it gathered beforehand."""

    platform: str
    definition_known: bool = False
    generation: Generation | None = None
    lock_digest: str | None = None
    lock_bytes: int | None = None
    """Bytes of all packages in the lock."""
    lock_packages: int | None = None
    prefix: Artifact | None = None
    """The ready prefix for the lock."""
    prefix_drift: Reason | None = None
    """Why that prefix can't be used as it is."""
    shared_lock: Reason | None = None
    """Of a definition without a generation here: which registry has ``lock_digest`` for it."""
    registry_unknown: Reason | None = None
    """Code ``registry-unknown``: a registry may have a lock for it, and can't be asked."""
    differs_in_registry: Reason | None = None
    """Code ``lock-elsewhere``: another machine's lock is in a registry, as the last look there found."""
    solved_now: bool = False
    """The lock was solved for this plan (``--solve``) and is kept nowhere."""
    interpreter: Mapping[str, object] | None = None
    """User-managed: path, version and mtime of the interpreter."""
    image: ImageFacts = ImageFacts()
    """Targets that run images only."""
    estimates: Mapping[str, Estimate] = {}
    nearest: Nearest | None = None


def short_digest(digest: str) -> str:
    """Enough of a digest for a person."""
    return digest.removeprefix("sha256:")[:12]
