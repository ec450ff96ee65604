"""What is asked of builds of images, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from roost.daemon.bases.push import PushedImage
from roost.daemon.bases.resolve import ResolvedBase
from roost.daemon.decision.facts import ImageLocation
from roost.daemon.images.config import image_key
from roost.daemon.layers.grouping import PREFIX_IN_IMAGE
from roost.model.locks.lock import CondaPython, Lock, digest_lock
from roost.model.records import Artifact, BaseRecord, Generation, ImageLayer, ImageRecord, NewGeneration

INTERPRETER = f"{PREFIX_IN_IMAGE}/bin/python"


def empty_lock(platform: str) -> Lock:
    """Return the lock of an unmodified image: it has no packages, and makes the image's generations like all others."""
    return Lock(platform=platform, provider=CondaPython())


def image_key_of(lock_digest: str, platform: str, base_digest: str, steps_digest: str | None) -> str:
    """Return the image key for a lock, a base and the result of docker steps; an empty lock does not count."""
    is_empty = lock_digest == digest_lock(empty_lock(platform))
    return image_key(None if is_empty else lock_digest, base_digest, steps_digest)


class ImageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An image that somebody wants. ``generation`` is recorded, or gets its base, in the transaction that makes the
    image ready."""

    lock: Lock
    settled: ResolvedBase
    definition_digest: str
    name: str | None
    build_id: str
    generation: NewGeneration | Generation | None
    interpreter: str | None = None
    """User-managed: what must be in the image where it is loaded."""
    load: bool = True
    """Into the engine."""
    scripts: bool = True
    """An engine is there to run link scripts."""
    push: str | None = None
    """To the registry at this location."""
    as_it_is: bool = False
    """The base itself, byte for byte."""
    platform: str | None = None
    """Of the base, where the definition names it."""
    credentials: Mapping[str, str] = {}
    environ: Mapping[str, str] = {}

    @property
    def adds(self) -> bool:
        """Whether the lock's packages are put on the base."""
        return bool(self.lock.conda)

    @property
    def key(self) -> str:
        settled = self.settled
        return image_key_of(digest_lock(self.lock), self.lock.platform, settled.base_digest, settled.steps_digest)


class PullRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An image that a registry has, wanted in the engine."""

    place: ImageLocation
    lock: Lock
    definition_digest: str
    name: str | None
    generation: NewGeneration | Generation | None
    as_it_is: bool = False


class ImageResult(msgspec.Struct, frozen=True, kw_only=True):
    """``reused``: it was there before anyone asked. ``recorded``: whose generation was recorded with it."""

    image: ImageRecord
    artifact: Artifact | None
    generation: Generation | None = None
    recorded: NewGeneration | Generation | None = None
    pushed: PushedImage | None = None
    reused: bool = False


class Assembled(msgspec.Struct, frozen=True, kw_only=True):
    """An image as it will be, all its parts here or known."""

    whole: BaseRecord
    layers: tuple[ImageLayer, ...]
