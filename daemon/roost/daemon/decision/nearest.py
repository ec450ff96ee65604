"""The known definition that is nearest to an unknown one, and what differs. Pure.

A module of its own: it compares definitions, and the rest of the decision does not look at other definitions.
"""

from __future__ import annotations

from collections.abc import Sequence

from roost.model.canonical.differences import find_differences, measure_similarity
from roost.model.records import KnownDefinition
from roost.wire.plans import Difference, Nearest


def choose_nearest(
    form: bytes, name: str | None, source: str | None, known: Sequence[KnownDefinition]
) -> Nearest | None:
    """Return the last definition from the same path or of the same name, else the most similar of ``known``, which is
    sorted latest first.

    ``None`` if nothing is known, or nothing has anything in common with ``form``, a canonical form.
    """
    same = next((each for each in known if source is not None and each.source == source), None)
    same = same or next((each for each in known if name is not None and each.name == name), None)
    best = same or max(known, key=lambda candidate: measure_similarity(form, candidate.canonical), default=None)
    if best is None or (same is None and measure_similarity(form, best.canonical) == 0):
        return None
    return Nearest(
        definition_digest=best.digest,
        differences=[Difference(**each) for each in find_differences(best.canonical, form)],
        name=best.name,
        source=best.source,
    )
