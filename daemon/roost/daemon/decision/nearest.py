"""The nearest known definition to one that is not known, and what differs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from roost.model.forms.differences import differences, similarity
from roost.model.records import Known
from roost.wire.plans import Difference, Nearest


def choose_nearest(form: bytes, name: str | None, source: str | None, known: Sequence[Known]) -> Nearest | None:
    """The last one from the same path or name, else the most similar of ``known`` (latest first).

    ``None`` where nothing is known, or nothing has anything in common.
    """
    same = next((k for k in known if source is not None and k.source == source), None)
    same = same or next((k for k in known if name is not None and k.name == name), None)
    best = same or max(known, key=lambda candidate: similarity(form, candidate.canonical), default=None)
    if best is None or (same is None and similarity(form, best.canonical) == 0):
        return None
    return Nearest(
        definition_digest=best.digest,
        differences=[Difference(**d) for d in differences(best.canonical, form)],
        name=best.name,
        source=best.source,
    )
