"""Who uses how much of the disk: every stored thing once, divided among groups. Pure.

A thing belongs to the groups of all locks that are made of it. What belongs to one group alone is that group's own: it
is freed if everything else of the group goes. What belongs to several is shared by them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timezone

import msgspec

AGES = ((1, "last day"), (7, "last week"), (30, "last month"), (90, "last 3 months"))
"""Days, and what is called so that was used within them."""
OLDER = "older"
_COUNTED = {
    "package": "packages",
    "wheel": "wheels",
    "built-wheel": "wheels",
    "layer": "layers",
    "shared-layer": "layers",
}


class StoredThing(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A prefix, an image, or an item of the caches."""

    kind: str
    bytes: int
    """Of files that nothing else here has."""
    last_used: str
    groups: frozenset[str] = frozenset()
    """Environments or projects that it is for."""


class GroupUsage(msgspec.Struct, kw_only=True):
    """What one group uses."""

    name: str
    """Empty for what belongs to no group."""
    own_bytes: int = 0
    """Under the root, of no other group."""
    shared_bytes: int = 0
    """Under the root, of other groups as well."""
    image_bytes: int = 0
    """On the disks of engines."""
    prefixes: int = 0
    packages: int = 0
    wheels: int = 0
    layers: int = 0
    images: int = 0
    others: int = 0
    """Byte-code, outputs of runs, and whatever else is stored."""
    last_used: str = ""


def divide_usage(things: Iterable[StoredThing], groups_of: Callable[[StoredThing], frozenset[str]]) -> list[GroupUsage]:
    """Return the groups that have anything, those with the most of their own first."""
    found: dict[str, GroupUsage] = {}
    for thing in things:
        groups = groups_of(thing) or frozenset({""})
        for name in groups:
            group = found.setdefault(name, GroupUsage(name=name))
            _add(group, thing, is_shared=len(groups) > 1)
    return sorted(found.values(), key=lambda group: (-group.own_bytes - group.image_bytes, group.name))


def find_age(last_used: str, now: str) -> str:
    """Return what the age of a thing is called, by when it was used last; a time in the future is today."""
    days = (_parse(now) - _parse(last_used)).total_seconds() / 86_400
    return next((name for most, name in AGES if days <= most), OLDER)


def _add(group: GroupUsage, thing: StoredThing, *, is_shared: bool) -> None:
    group.last_used = max(group.last_used, thing.last_used)
    if thing.kind == "image":
        group.images += 1
        group.image_bytes += thing.bytes
        return
    if is_shared:
        group.shared_bytes += thing.bytes
    else:
        group.own_bytes += thing.bytes
    field = "prefixes" if thing.kind == "prefix" else _COUNTED.get(thing.kind, "others")
    setattr(group, field, getattr(group, field) + 1)


def _parse(moment: str) -> datetime:
    try:
        return datetime.strptime(moment[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return datetime.min.replace(tzinfo=timezone.utc)
