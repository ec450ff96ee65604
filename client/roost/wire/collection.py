"""Garbage collection: the request, the plan with its numbers, and the lines of its stream."""

from __future__ import annotations

from typing import Literal

import msgspec

from roost.wire.protocol import ErrorBody


class CollectionRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Remove what is not needed until the limits of `[cache]` are met."""

    dry_run: bool = False
    """Answer with the plan and remove nothing."""
    everything: bool = False
    """Remove everything that nothing needs, regardless of sizes and ages; outputs of young runs stay."""


class CollectionLimitsView(msgspec.Struct, kw_only=True):
    """The limits in force; a size of 0 is no bound."""

    budget_bytes: int
    min_free_bytes: int
    image_bytes: int
    prefix_days: float
    package_days: float
    output_days: float


class CollectionStepView(msgspec.Struct, kw_only=True):
    """One removal: planned, done, or not done because something needs the thing by now."""

    rule: str
    kind: str
    """``prefix``, ``image``, or a kind of what is in the caches: ``package``, ``wheel``, ``bytecode`` …"""
    id: str
    bytes: int
    """That only this step frees; what other prefixes or the caches have too is freed with the last of them."""
    last_used: str
    reason: str
    """Why it goes, or why it stayed."""
    state: Literal["planned", "removed", "kept"] = "planned"


class RemainderView(msgspec.Struct, kw_only=True):
    """What stays: a prefix, an image, or ``count`` things of a cache together, without an id."""

    kind: str
    id: str
    bytes: int
    reason: str
    count: int = 1


class NextCollectionView(msgspec.Struct, kw_only=True):
    """When roost collects by itself."""

    at: str | None
    """RFC 3339: not before this time, in idleness; ``None``: as soon as the daemon has nothing to do."""
    idle_seconds: float
    """For which the daemon must have had nothing to do."""
    begins: str | None = None
    """Until this time it only reports, since an older version filled the root."""


class CollectionView(msgspec.Struct, kw_only=True):
    """A collection: its numbers, what goes or went, and what stays."""

    dry_run: bool
    limits: CollectionLimitsView
    used_bytes: int
    """Under the root, each file counted once, however many names it has."""
    image_bytes: int
    """Of images in engines."""
    free_bytes: int
    disk_bytes: int
    steps: list[CollectionStepView]
    kept: list[RemainderView]
    freed_bytes: int
    """By the steps that are planned or done."""
    freed_image_bytes: int
    missing_bytes: int
    """Still above the budget or below the floor afterwards: what is left is needed, or was used lately."""
    missing_image_bytes: int
    next: NextCollectionView


class CollectionMessage(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of the stream. ``event`` determines the fields; the last line is ``result`` or ``error``."""

    event: Literal["step", "heartbeat", "result", "error"]
    step: CollectionStepView | None = None
    number: int | None = None
    """Of the step, beginning with 1."""
    total: int | None = None
    """Number of planned steps."""
    result: CollectionView | None = None
    error: ErrorBody | None = None


class ImagesRemoval(msgspec.Struct, kw_only=True):
    """What became of all images that roost made or fetched, by their names in the engine."""

    removed: list[str]
    kept: dict[str, str]
    """With the reason."""


class PinRequest(msgspec.Struct, kw_only=True):
    """Protect something from collection until it is unpinned."""

    subject: str
    """The id of an artifact, a lock digest, or ``NAME[:VERSION|@LABEL]``: the locks of its current generations."""


class PinsResponse(msgspec.Struct, kw_only=True):
    """Pinned subjects: ids of artifacts and lock digests."""

    pins: list[str]
    changed: list[str] = []
    """Those that the request added or removed."""
