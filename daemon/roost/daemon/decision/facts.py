"""What a decision is made from: the request, and the facts about it. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from roost.daemon.oci.answers import Answer
from roost.model.definition import Definition
from roost.model.records import Artifact, BaseLayer, Estimate, Generation
from roost.wire.plans import Nearest, PackageMoveView, Reason

PREFIX_TARGETS = frozenset({"local"})
IMAGE_TARGETS = frozenset({"docker"})

BasePolicy = Literal["pin", "warn", "follow"]
"""What a moved tag of a base image means for a generation that keeps the old one: nothing, a reason in the plan, or a
new generation."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is requested: a definition for a target."""

    definition: Definition
    target: str = "auto"
    ignore_image: bool = False
    """Drop the base image and the docker steps of the definition."""
    rebuild: bool = False
    """Make a new generation with a new solve."""
    as_of: str | None = None
    """Make a new generation with a solve of packages up to this date."""


class ImageLocation(msgspec.Struct, frozen=True, kw_only=True):
    """A complete image in an engine or in a registry."""

    reference: str
    digest: str
    """Digest of the image's config."""
    manifest_digest: str | None = None
    """Digest of the manifest, in a registry."""
    bytes: int | None = None
    """In a registry: what a pull transfers at most. In an engine: the space that the image takes."""
    key: str | None = None
    """In a registry: the image key that the image's label states."""
    layers: tuple[BaseLayer, ...] = ()
    """In a registry."""


class RegistryAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """Whether registries have an image: the workspace's registry (``None``: it was not asked) and the catalogues."""

    workspace: Answer[ImageLocation] | None = None
    catalogues: tuple[Answer[ImageLocation], ...] = ()


class ImageFacts(RegistryAnswers, frozen=True, kw_only=True):
    """What is known about the image of a generation. An answer of ``None`` means that the question was not asked."""

    key: str | None = None
    """The image key; ``None`` if the generation has no base image yet."""
    id: str | None = None
    """Id of the artifact, if the image was made or pulled on this machine."""
    interpreter: str | None = None
    """Path of the Python in the image, if known."""
    engine: Answer[ImageLocation] | None = None
    repeatable: bool = True
    """Whether a build gives the same artifact again: there are no docker steps, or their result is stored."""
    base_policy: BasePolicy = "pin"
    editable_reasons: tuple[Reason, ...] = ()
    """For each editable install: whether the folder still has the content that is in the image."""
    current_base: Answer[str] | None = None
    """Digest that the base's tag names now; asked for by the policies ``warn`` and ``follow``."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a request, gathered before the decision and built once."""

    platform: str
    definition_known: bool = False
    """Whether this definition was seen on this machine before."""
    generation: Generation | None = None
    lock_digest: str | None = None
    prefix: Artifact | None = None
    """The ready prefix of the lock."""
    project: str | None = None
    """Name of the project that is installed on top of the lock; ``prefix`` is then that of the layer."""
    has_base_prefix: bool = False
    """Whether the prefix of the lock itself is ready; of meaning with a ``project`` only."""
    prefix_drift: Reason | None = None
    """Why that prefix can't be used although it is recorded as ready."""
    shared_lock: Reason | None = None
    """For a definition without a generation here: which registry has ``lock_digest`` for it."""
    registry_unknown: Reason | None = None
    """Code ``registry-unknown``: a registry that may have a lock of the definition did not answer."""
    missing_python: Reason | None = None
    """Code ``python-from-conda``: no Python of this machine fits a definition without conda packages, and the solve
    that its lock needs takes conda's."""
    unfit_lock: Reason | None = None
    """Code ``lock-unfit``: a registry has a lock for the definition, and no Python of this machine fits it."""
    differs_in_registry: Reason | None = None
    """Code ``lock-elsewhere``: a registry has another machine's lock for the definition, as of the last look there."""
    links_unanswered: Reason | None = None
    """Code ``links-unanswered``: a place of ``--find-links`` did not answer when the lock was made just now."""
    interpreter: Mapping[str, object] | None = None
    """User-managed definitions: path, version and mtime of the interpreter."""
    image: ImageFacts = ImageFacts()
    """Targets that run images only."""
    estimates: Mapping[str, Estimate] = {}
    """Kind of step to its predicted duration and size."""
    seconds: float | None = None
    """Predicted duration of everything that is left to do; ``None`` as long as that is not known (before a solve)."""
    nearest: Nearest | None = None
    changes: tuple[PackageMoveView, ...] = ()
    """For a lock that was solved for: what differs from the lock before the definition was edited."""

    @property
    def only_project_missing(self) -> bool:
        """Whether nothing but a project layer is left to build: a lock that is recorded needs no prefix below it."""
        return self.project is not None and (self.has_base_prefix or self.generation is not None)


def short_digest(digest: str) -> str:
    """Return the first twelve digits of a digest, for messages."""
    return digest.removeprefix("sha256:")[:12]
