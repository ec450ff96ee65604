"""What is on the disk and which prefixes have the files of which packages: pure, changed step by step by a plan."""

from __future__ import annotations

from collections import Counter

from roost.daemon.gc.ages import Ages
from roost.daemon.gc.values import RULES, RULES_OF_ITEMS, CollectionFacts, Rule, StoredPrefix
from roost.model.caches import CacheItem

Candidate = tuple[int, str, str, str]
"""Rank of its rule, last use, kind and id: candidates go in this order."""
_RANKS = {rule: rank for rank, rule in enumerate(RULES)}


class Content:
    """Everything under the root, with the number of prefixes that have the files of each cache item."""

    def __init__(self, facts: CollectionFacts) -> None:
        self._prefixes = {prefix.id: prefix for prefix in facts.prefixes}
        self._items = {(item.kind, item.id): item for item in facts.items}
        prefixes_by_key = Counter(prefix.key for prefix in facts.prefixes)
        self._links = {
            name: sum(prefixes_by_key[key] for key in set(item.linked_by)) for name, item in self._items.items()
        }
        self._linked: dict[str, list[CacheItem]] = {key: [] for key in prefixes_by_key}
        """Items whose files prefixes have, by the key of the prefixes."""
        for item in self._items.values():
            for key in set(item.linked_by):
                if key in self._linked:
                    self._linked[key].append(item)

    def count_bytes(self) -> int:
        """Return the bytes of everything, each counted once."""
        present = (item for name, item in self._items.items() if item.is_cached or self._links[name])
        return sum(prefix.bytes for prefix in self._prefixes.values()) + sum(item.bytes for item in present)

    def list_candidates(self, ages: Ages) -> list[Candidate]:
        """Return what nothing needs and whose removal frees something, in no order."""
        prefixes = [_rank_prefix(each, ages) for each in self._prefixes.values() if not each.protected_by]
        return prefixes + [_rank_item(each, ages) for each in self._items.values() if self._is_removable(each)]

    def _is_removable(self, item: CacheItem) -> bool:
        return item.is_cached and item.bytes > 0 and not item.needed_by and not self._links[item.kind, item.id]

    def remove(self, candidate: Candidate, ages: Ages) -> tuple[int, list[Candidate]]:
        """Remove a candidate. Return the bytes that this frees, and what can be removed from now on."""
        _, _, kind, name = candidate
        if kind != "prefix":
            return self._items.pop((kind, name)).bytes, []  # type: ignore[arg-type]
        prefix = self._prefixes.pop(name)
        freed, unlinked = prefix.bytes, []
        for item in self._linked[prefix.key]:
            self._links[item.kind, item.id] -= 1
            if self._links[item.kind, item.id]:
                continue
            if not item.is_cached:
                freed += item.bytes
            elif self._is_removable(item):
                unlinked.append(_rank_item(item, ages))
        return freed, unlinked


def find_prefix_rule(prefix: StoredPrefix) -> Rule:
    """Return the rule by which a prefix goes."""
    if prefix.is_retired:
        return "leftovers"
    return "abandoned-prefixes" if prefix.is_abandoned else "prefixes"


def _rank_prefix(prefix: StoredPrefix, ages: Ages) -> Candidate:
    return _RANKS[find_prefix_rule(prefix)], ages.clamp(prefix.last_used), "prefix", prefix.id


def _rank_item(item: CacheItem, ages: Ages) -> Candidate:
    return _RANKS[RULES_OF_ITEMS[item.kind]], ages.clamp(item.last_used), item.kind, item.id
