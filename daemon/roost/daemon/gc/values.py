"""What a collection is decided from, and the decision: pure values.

Times are RFC 3339 UTC texts of one length, so that they compare as texts. Values of which there are many are not
tracked by Python's garbage collector (``gc=False``): it would look at all of them again and again.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from roost.model.caches import CacheItem, CacheKind

Rule = Literal[
    "leftovers",
    "bytecode",
    "packages",
    "shared-layers",
    "layers",
    "built-wheels",
    "abandoned-prefixes",
    "prefixes",
    "snapshots",
    "outputs",
    "images",
]
RULES: tuple[Rule, ...] = get_args(Rule)
"""From what is most easily replaced to what is not. Images have a bound of their own, since they are on the disk of an
engine."""

RULES_OF_ITEMS: dict[CacheKind, Rule] = {
    "stage": "leftovers",
    "trash": "leftovers",
    "bytecode": "bytecode",
    "package": "packages",
    "wheel": "packages",
    "shared-layer": "shared-layers",
    "layer": "layers",
    "built-wheel": "built-wheels",
    "snapshot": "snapshots",
    "output": "outputs",
}


class StoredPrefix(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A prefix on the disk."""

    id: str
    key: str
    """The lock digest."""
    bytes: int
    """Of files that it shares with nobody."""
    last_used: str
    protected_by: tuple[str, ...] = ()
    """``process:<pid>``, ``run:<id>``, ``lease:<id>``, ``build:<id>``, ``pin``, and ``unknown:<why>``."""
    is_retired: bool = False
    """Whether no plan uses it any more."""
    is_abandoned: bool = False
    """Whether all files that it was made for no longer exist."""


class StoredImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image of roost in an engine."""

    id: str
    key: str
    bytes: int
    last_used: str
    protected_by: tuple[str, ...] = ()


class CollectionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a collection is decided from."""

    prefixes: tuple[StoredPrefix, ...] = ()
    images: tuple[StoredImage, ...] = ()
    items: tuple[CacheItem, ...] = ()
    free_bytes: int
    """Of the root's disk, for this user."""


class CollectionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted. Sizes of 0 are no bound."""

    budget_bytes: int = 0
    """For everything under the root."""
    min_free_bytes: int = 0
    """Floor of the free space of the disk. Below it, what was used lately may go too."""
    image_bytes: int = 0
    """For the images of roost in engines."""
    prefix_days: float = 0.0
    """What was used more recently goes below the floor only: prefixes, images, snapshots."""
    package_days: float = 0.0
    """The same for packages, wheels and layers."""
    output_days: float = 0.0
    """Outputs of runs that ended more recently never go: nothing can make them again."""
    leftovers: bool = False
    """Whether what is left over goes although the limits are met."""
    everything: bool = False
    """Whether everything goes that nothing needs, without regard to sizes and ages."""


class CollectionStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One removal."""

    rule: Rule
    kind: str
    """``prefix``, ``image``, or that of the cache item."""
    id: str
    bytes: int
    """That are freed by this step: files whose last name goes with it."""
    last_used: str
    reason: str


class Remainder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something that stays, or ``count`` cache items of one kind and reason."""

    kind: str
    id: str
    bytes: int
    reason: str
    count: int = 1


class CollectionPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The decision: what goes, in its order, and what becomes of the limits."""

    steps: tuple[CollectionStep, ...] = ()
    kept: tuple[Remainder, ...] = ()
    used_bytes: int = 0
    """Under the root, before."""
    image_bytes: int = 0
    """In engines, before."""
    free_bytes: int = 0
    """On the disk, before."""
    freed_bytes: int = 0
    freed_image_bytes: int = 0
    missing_bytes: int = 0
    """What is still above the budget or below the floor after all steps; the rest is protected then."""
    missing_image_bytes: int = 0
