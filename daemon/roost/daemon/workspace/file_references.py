"""Registered environments that a file names: an Azure job, a run configuration.

Separate from ``resolver``, which is about selectors of requests.
"""

from __future__ import annotations

import msgspec

from roost.daemon.definitions.resolve import resolve_version
from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.model.canonical.form import canonicalise_settings, digest_bytes
from roost.model.definition import ContainerSettings, RegisteredEnvironment, Settings
from roost.model.errors import LookupFailedError
from roost.model.names import parse_reference
from roost.model.readers.azure_jobs import IMPORT_HINT
from roost.store.store import Store


async def follow_reference(store: Store, resolved: ResolvedDefinition) -> ResolvedDefinition:
    """Return ``resolved`` with the definition of the registered environment that its file names, if it names one.

    The settings of the file come on top of those of the environment. With settings of its own, the file is a definition
    of its own, and a run of it makes no version of the environment.

    Raises: EnvironmentUnknownError, with the place in the file, if there is no such environment.
    """
    reference = resolved.parsed.registered
    if reference is None:
        return resolved
    version = await _find_version(store, resolved, reference)
    settings = _merge_settings(version.settings, resolved.settings)
    is_same = settings == version.settings
    canonical = canonicalise_settings(settings)
    parsed = msgspec.structs.replace(
        resolved.parsed, definition=version.definition, settings=settings, name=version.parsed.name
    )
    source = msgspec.structs.replace(resolved.source, name=version.parsed.name if is_same else resolved.source.name)
    return msgspec.structs.replace(
        resolved,
        parsed=parsed,
        digest=version.digest,
        canonical=version.canonical,
        settings_digest=digest_bytes(canonical),
        settings_canonical=canonical,
        source=source,
        defaults=version.defaults,
        environment=version.environment if is_same else None,
    )


async def _find_version(
    store: Store, resolved: ResolvedDefinition, reference: RegisteredEnvironment
) -> ResolvedDefinition:
    try:
        version = await store.index.environments.get(parse_reference(reference.reference))
        return await resolve_version(store, version, resolved.config)
    except LookupFailedError as error:
        error.location = reference.location
        error.hint = f"{IMPORT_HINT} {error.hint}".rstrip()
        raise


def _merge_settings(below: Settings, above: Settings) -> Settings:
    """Return the settings of an environment with those of a file that names it on top."""
    own = above.container
    return Settings(
        variables={**below.variables, **above.variables},
        container=ContainerSettings(
            shm_size=own.shm_size or below.container.shm_size, arguments=own.arguments or below.container.arguments
        ),
        interpreter=above.interpreter or below.interpreter,
        passthrough={**below.passthrough, **above.passthrough},
    )
