"""How a version differs from the one that it was cloned or edited from."""

from __future__ import annotations

from roost.model.canonical.differences import find_differences
from roost.model.canonical.form import canonicalise_definition, canonicalise_settings
from roost.model.errors import LookupFailedError
from roost.model.names import NameInvalidError, parse_reference
from roost.model.records import EnvironmentBody, EnvironmentVersion
from roost.store.index.index import Index
from roost.wire.plans import Difference


async def since_origin(index: Index, version: EnvironmentVersion, body: EnvironmentBody) -> list[Difference] | None:
    """The fields of definition and settings in which ``version``, whose body is given, differs from its origin.

    ``None`` where that is no version that is known here: a file, a registry, or nothing.
    """
    first = await _origin(index, version)
    if first is None:
        return None
    if (first.definition_digest, first.settings_digest) == (version.definition_digest, version.settings_digest):
        return []
    before = await index.environments.load_body(first.name, first.version)
    found = [
        *find_differences(
            canonicalise_definition(before.definition, before.defaults),
            canonicalise_definition(body.definition, body.defaults),
        ),
        *find_differences(canonicalise_settings(before.settings), canonicalise_settings(body.settings)),
    ]
    return [Difference(**each) for each in found]


async def _origin(index: Index, version: EnvironmentVersion) -> EnvironmentVersion | None:
    if version.origin is None or version.kind == "curated":
        return None
    try:
        reference = parse_reference(version.origin)
        return await index.environments.get(reference) if reference.version is not None else None
    except (NameInvalidError, LookupFailedError):
        return None
