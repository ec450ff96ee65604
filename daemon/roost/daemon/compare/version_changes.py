"""What changed from each version of an environment to the next, for lists of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from roost.model.canonical.differences import find_differences
from roost.model.records import EnvironmentVersion
from roost.store.index.definitions import CanonicalForms
from roost.store.index.index import Index
from roost.wire.environments import EnvironmentSummary
from roost.wire.plans import Difference


async def with_changes(
    index: Index, rows: Sequence[EnvironmentVersion], shown: Sequence[EnvironmentSummary]
) -> list[EnvironmentSummary]:
    """``shown``, the newest first, each with what it changed in the one behind it in ``rows``; these are one more where
    there is one, so that the last one shown has something behind it."""
    forms = await index.definitions.load_canonical_forms([(row.definition_digest, row.settings_digest) for row in rows])
    changes = await asyncio.to_thread(_changes, forms)
    told = [*changes, *[None] * (len(shown) - len(changes))]
    return [msgspec.structs.replace(each, changes=change) for each, change in zip(shown, told, strict=False)]


def _changes(forms: Sequence[CanonicalForms]) -> list[list[Difference]]:
    return [_between(before, after) for after, before in pairwise(forms)]


def _between(before: CanonicalForms, after: CanonicalForms) -> list[Difference]:
    return [
        Difference(**each)
        for old, new in zip(before, after, strict=True)
        if old != new
        for each in find_differences(old, new)
    ]
