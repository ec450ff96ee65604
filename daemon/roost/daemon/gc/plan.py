"""The decision of a collection: a pure function of the facts, the limits and the time.

The steps come from the first rule that has a candidate, the least recently used first, until the limits are met. So a
package whose last prefix goes by a step goes before a further prefix does: it is the more easily replaced. First only
what was not used lately is a candidate; what was used lately goes for the floor of free space only, by the same rules.

Bytes count once, however many names their files have (``content``): those of a package are freed when the last of its
names goes, which is the cache's or that of a prefix that was linked from it. A package that a prefix is linked to is no
candidate, because its removal would free nothing.
"""

from __future__ import annotations

import heapq

from roost.daemon.gc.ages import Ages
from roost.daemon.gc.content import Candidate, Content
from roost.daemon.gc.kept import list_kept
from roost.daemon.gc.texts import describe_step
from roost.daemon.gc.values import RULES, CollectionFacts, CollectionLimits, CollectionPlan, CollectionStep


def collect(facts: CollectionFacts, wanted: CollectionLimits, now: str) -> CollectionPlan:
    """Return what has to go, so that what is stored fits ``wanted`` at the time ``now``."""
    ages, content = Ages(wanted, now), Content(facts)
    used, image_bytes = content.count_bytes(), sum(image.bytes for image in facts.images)
    excess = _Excess(used, facts.free_bytes, wanted)
    steps = []
    for recent in (False, True):
        queue = [each for each in content.list_candidates(ages) if ages.may_go(each, recent=recent)]
        heapq.heapify(queue)
        while queue and (excess.is_unmet(recent=recent) or (wanted.leftovers and RULES[queue[0][0]] == "leftovers")):
            candidate = heapq.heappop(queue)
            freed, unlinked = content.remove(candidate, ages)
            excess.reduce(freed)
            steps.append(_create_step(candidate, freed, now))
            for each in unlinked:
                if ages.may_go(each, recent=recent):
                    heapq.heappush(queue, each)
    images = _collect_images(facts, wanted, ages, image_bytes, now)
    freed_bytes, freed_image_bytes = (sum(step.bytes for step in each) for each in (steps, images))
    return CollectionPlan(
        steps=(*steps, *images),
        kept=list_kept(facts, {(step.kind, step.id) for step in (*steps, *images)}, ages),
        used_bytes=used,
        image_bytes=image_bytes,
        free_bytes=facts.free_bytes,
        freed_bytes=freed_bytes,
        freed_image_bytes=freed_image_bytes,
        missing_bytes=max(0, excess.above_budget, excess.below_floor),
        missing_image_bytes=max(0, image_bytes - freed_image_bytes - wanted.image_bytes) if wanted.image_bytes else 0,
    )


class _Excess:
    """What is still to be freed."""

    def __init__(self, used: int, free: int, wanted: CollectionLimits) -> None:
        self._everything = wanted.everything
        self.above_budget = used - wanted.budget_bytes if wanted.budget_bytes else 0
        self.below_floor = wanted.min_free_bytes - free

    def is_unmet(self, *, recent: bool) -> bool:
        """``recent``: as far as what was used lately may go for it."""
        return self._everything or self.below_floor > 0 or (not recent and self.above_budget > 0)

    def reduce(self, freed: int) -> None:
        self.above_budget -= freed
        self.below_floor -= freed


def _create_step(candidate: Candidate, freed: int, now: str) -> CollectionStep:
    rank, last_used, kind, name = candidate
    reason = describe_step(RULES[rank], kind, last_used, now)
    return CollectionStep(rule=RULES[rank], kind=kind, id=name, bytes=freed, last_used=last_used, reason=reason)


def _collect_images(
    facts: CollectionFacts, wanted: CollectionLimits, ages: Ages, stored: int, now: str
) -> list[CollectionStep]:
    """Return the images that go for ``image_bytes``: only those that were not used lately, since an engine has no
    floor that roost knows."""
    bytes_by_id = {image.id: image.bytes for image in facts.images if not image.protected_by}
    ranked: list[Candidate] = [
        (RULES.index("images"), ages.clamp(image.last_used), "image", image.id)
        for image in facts.images
        if not image.protected_by
    ]
    steps: list[CollectionStep] = []
    for candidate in sorted(ranked):
        is_above = wanted.image_bytes > 0 and stored > wanted.image_bytes
        if wanted.everything or (is_above and ages.may_go(candidate, recent=False)):
            steps.append(_create_step(candidate, bytes_by_id[candidate[3]], now))
            stored -= bytes_by_id[candidate[3]]
    return steps
