"""Requests for images, and their results."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from roost.daemon.bases.push import PushedImage
from roost.daemon.bases.resolve import ResolvedBase
from roost.daemon.decision.facts import Facts, ImageLocation, Request
from roost.daemon.decision.images import follows_moved_base, is_unmodified
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.images.config import image_key
from roost.daemon.layers.grouping import PREFIX_IN_IMAGE
from roost.daemon.oci.platforms import image_platform, parse_platform
from roost.model.definition import Base, Defaults
from roost.model.locks.lock import CondaPython, Lock, digest_lock
from roost.model.records import Artifact, BaseRecord, Generation, ImageLayer, ImageRecord, NewGeneration, VariableChange

INTERPRETER = f"{PREFIX_IN_IMAGE}/bin/python"
"""Path of the Python in images with packages of roost."""


def empty_lock(platform: str) -> Lock:
    """Return the lock of an unmodified image: it has no packages, and makes the image's generations like all others."""
    return Lock(platform=platform, provider=CondaPython())


def image_key_of(lock_digest: str, platform: str, base_digest: str, steps_digest: str | None) -> str:
    """Return the image key for a lock, a base and the result of docker steps; an empty lock does not count."""
    is_empty = lock_digest == digest_lock(empty_lock(platform))
    return image_key(None if is_empty else lock_digest, base_digest, steps_digest)


class ImageJob(msgspec.Struct, frozen=True, kw_only=True):
    """What a build of an image is made from."""

    resolved: TargetedDefinition
    request: Request
    facts: Facts
    pulls: bool
    """Whether the plan is to pull the image from a registry."""
    lock: Lock
    defaults: Defaults
    build_id: str
    new_generation: bool
    """Whether a new generation is requested."""
    pinned: bool
    """Whether an older generation or a lock is requested: nothing else will do."""
    push: str | None = None
    """Location of the registry that the image is for; ``None`` if it is for the engine."""
    credentials: Mapping[str, str] = {}
    environ: Mapping[str, str] = {}

    @property
    def generation(self) -> Generation | None:
        """The generation that the image is for, if there is one already."""
        generation = None if self.new_generation else self.facts.generation
        return generation if generation is not None and generation.lock_digest == digest_lock(self.lock) else None

    @property
    def follows_moved_base(self) -> bool:
        """Whether a new generation begins because the base's tag moved."""
        return follows_moved_base(self.facts.generation, self.facts.image)

    @property
    def platform(self) -> str:
        """The image's platform as engines write it (``linux/amd64``)."""
        return image_platform(self.resolved.platform)

    @property
    def is_unmodified(self) -> bool:
        """Whether the image is the base image and nothing else."""
        return is_unmodified(self.resolved.definition)

    @property
    def requested_platform(self) -> str | None:
        """The platform that the definition names, as engines write it."""
        return str(parse_platform(self.base.platform)) if self.base.platform else None

    @property
    def base(self) -> Base:
        return self.resolved.definition.base or Base()

    @property
    def base_reference(self) -> str:
        """The base image as the definition or the defaults name it."""
        return self.base.image or self.defaults.base_image


class ImageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An image to build. ``generation`` is recorded, or gets its base, in the transaction that makes the image
    ready."""

    lock: Lock
    base: ResolvedBase
    definition_digest: str
    name: str | None
    build_id: str
    generation: NewGeneration | Generation | None
    interpreter: str | None = None
    """User-managed definitions: what must be in the image when it is loaded."""
    load: bool = True
    """Whether the image is for the engine."""
    can_run_scripts: bool = True
    """Whether an engine is there to run link scripts."""
    push: str | None = None
    """Location of the registry that the image is for."""
    is_unmodified: bool = False
    """Whether the image is the base itself, byte for byte."""
    requested_platform: str | None = None
    """Platform of the base, if the definition names it."""
    base_changes: tuple[VariableChange, ...] = ()
    """Changes to the base's variables, so that the lock wins over them."""
    credentials: Mapping[str, str] = {}
    environ: Mapping[str, str] = {}

    @property
    def adds_packages(self) -> bool:
        """Whether the lock's packages are put on the base."""
        return bool(self.lock.conda)

    @property
    def key(self) -> str:
        """The image key."""
        base = self.base
        return image_key_of(digest_lock(self.lock), self.lock.platform, base.base_digest, base.steps_digest)


class PullRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An image of a registry to load into the engine."""

    location: ImageLocation
    lock: Lock
    definition_digest: str
    name: str | None
    generation: NewGeneration | Generation | None
    is_unmodified: bool = False


class ImageResult(msgspec.Struct, frozen=True, kw_only=True):
    """An image that is ready in the engine or in a registry."""

    image: ImageRecord
    artifact: Artifact | None
    generation: Generation | None = None
    recorded: NewGeneration | Generation | None = None
    """The requested generation that was recorded with the image."""
    pushed: PushedImage | None = None
    reused: bool = False
    """Whether the image was ready before it was requested."""
    seconds_worked: float | None = None
    """Seconds that the steps took; ``None`` if nothing was done, or in the background."""
    seconds_waited: float = 0.0
    """Seconds of waiting for other builds."""


class AssembledImage(msgspec.Struct, frozen=True, kw_only=True):
    """The config and all layers of an image, stored here or known by their digests."""

    record: BaseRecord
    layers: tuple[ImageLayer, ...]


def image_layers(record: BaseRecord) -> tuple[ImageLayer, ...]:
    """Return the layers of a base as layers of an image, without package names."""
    return tuple(ImageLayer(diff_id=layer.diff_id, size=layer.size) for layer in record.layers)
