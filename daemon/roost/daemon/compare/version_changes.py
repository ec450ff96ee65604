"""Changes of registered versions: against the version before, and against the version that one was made from."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from roost.daemon.compare.diff import diff_canonical_forms
from roost.model.canonical.form import canonicalise_definition, canonicalise_settings
from roost.model.errors import LookupFailedError
from roost.model.names import NameInvalidError, parse_reference
from roost.model.records import EnvironmentBody, EnvironmentVersion
from roost.store.index.index import Index
from roost.store.index.tables.definitions import CanonicalForms
from roost.wire.environments import EnvironmentSummary
from roost.wire.plans import Difference


async def add_changes(
    index: Index, rows: Sequence[EnvironmentVersion], summaries: Sequence[EnvironmentSummary]
) -> list[EnvironmentSummary]:
    """Return ``summaries``, the newest first, each with what it changed in the version before.

    ``rows``: the versions of ``summaries``, and the one before the last of them if there is one. The first version of
    all has no changes (``None``).
    """
    forms = await index.definitions.load_canonical_forms([(row.definition_digest, row.settings_digest) for row in rows])
    changes: list[list[Difference] | None] = [*await asyncio.to_thread(_diff_neighbours, forms)]
    changes += [None] * (len(summaries) - len(changes))
    return [msgspec.structs.replace(each, changes=change) for each, change in zip(summaries, changes, strict=False)]


def _diff_neighbours(forms: Sequence[CanonicalForms]) -> list[list[Difference]]:
    return [_diff_forms(before, after) for after, before in pairwise(forms)]


def _diff_forms(before: CanonicalForms, after: CanonicalForms) -> list[Difference]:
    return [each for old, new in zip(before, after, strict=True) for each in diff_canonical_forms(old, new)]


async def find_changes_since_origin(
    index: Index, version: EnvironmentVersion, body: EnvironmentBody
) -> list[Difference] | None:
    """Return how ``version``, with its ``body``, differs from the version that it was cloned or edited from.

    ``None`` if its origin is not a version that is registered here: a file, a registry, or unknown.
    """
    origin = await _find_origin(index, version)
    if origin is None:
        return None
    if (origin.definition_digest, origin.settings_digest) == (version.definition_digest, version.settings_digest):
        return []
    before = await index.environments.load_body(origin.name, origin.version)
    return [
        *diff_canonical_forms(
            canonicalise_definition(before.definition, before.defaults),
            canonicalise_definition(body.definition, body.defaults),
        ),
        *diff_canonical_forms(canonicalise_settings(before.settings), canonicalise_settings(body.settings)),
    ]


async def _find_origin(index: Index, version: EnvironmentVersion) -> EnvironmentVersion | None:
    if version.origin is None or version.kind == "curated":
        return None
    try:
        reference = parse_reference(version.origin)
        return await index.environments.get(reference) if reference.version is not None else None
    except (NameInvalidError, LookupFailedError):
        return None
