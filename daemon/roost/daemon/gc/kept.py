"""What stays, and why: pure. Prefixes and images one by one, cache items in groups, since there may be many of them."""

from __future__ import annotations

from collections.abc import Collection

from roost.daemon.gc.ages import Ages
from roost.daemon.gc.content import find_prefix_rule
from roost.daemon.gc.texts import describe_late_use, describe_protection
from roost.daemon.gc.values import RULES_OF_ITEMS, CollectionFacts, Remainder, Rule
from roost.model.caches import CacheItem

Name = tuple[str, str]
"""Kind and id."""


def list_kept(facts: CollectionFacts, gone: Collection[Name], ages: Ages) -> tuple[Remainder, ...]:
    """Return what stays after the steps ``gone``, with the reason of each."""
    found = []
    for prefix in facts.prefixes:
        if ("prefix", prefix.id) not in gone:
            reason = _find_reason(prefix.protected_by, find_prefix_rule(prefix), prefix.last_used, ages)
            found.append(Remainder(kind="prefix", id=prefix.id, bytes=prefix.bytes, reason=reason))
    for image in facts.images:
        if ("image", image.id) not in gone:
            reason = _find_reason(image.protected_by, "images", image.last_used, ages)
            found.append(Remainder(kind="image", id=image.id, bytes=image.bytes, reason=reason))
    return (*found, *_group_items(facts, gone, ages))


def _group_items(facts: CollectionFacts, gone: Collection[Name], ages: Ages) -> list[Remainder]:
    left = {prefix.key for prefix in facts.prefixes if ("prefix", prefix.id) not in gone}
    sizes: dict[tuple[str, str], list[int]] = {}
    for item in facts.items:
        if (item.kind, item.id) in gone:
            continue
        is_linked = not left.isdisjoint(item.linked_by)
        if is_linked or item.is_cached:
            sizes.setdefault((item.kind, _find_item_reason(item, is_linked, ages)), []).append(item.bytes)
    return [
        Remainder(kind=kind, id="", count=len(each), bytes=sum(each), reason=reason)
        for (kind, reason), each in sorted(sizes.items())
    ]


def _find_item_reason(item: CacheItem, is_linked: bool, ages: Ages) -> str:
    if is_linked:
        return "prefixes that stay have the same files"
    return _find_reason(item.needed_by, RULES_OF_ITEMS[item.kind], item.last_used, ages)


def _find_reason(protections: tuple[str, ...], rule: Rule, last_used: str, ages: Ages) -> str:
    if protections:
        return describe_protection(protections)
    return describe_late_use(rule) if ages.is_late(rule, last_used) else "nothing needs it; there is space enough"
