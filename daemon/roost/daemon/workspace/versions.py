"""Versions of environments: registered by hand, or when a run uses a definition that is not registered yet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from itertools import islice
from typing import TypeVar

import msgspec

from roost.daemon.definitions.resolved import RUN_FORMAT, ResolvedDefinition
from roost.daemon.jobs.events import Events
from roost.daemon.launch.folder import LaunchFolder, invalidate_launch_plans
from roost.daemon.workspace.local_content import store_local_content
from roost.model.errors import InvalidRequestError
from roost.model.locks.lock import Lock
from roost.model.names import CURATED_PREFIX, check_new_label, check_new_name, derive_name, parse_reference
from roost.model.origins import NameClaim, NameOrigin, format_origin, list_candidates
from roost.model.records import EnvironmentBody, EnvironmentVersion, NewGeneration, NewVersion, RegistrationResult
from roost.store.index.removals import RemovedVersions
from roost.store.store import Store
from roost.wire.protocol import WarningView

_MOST_CANDIDATES = 1000
"""Names that are tried for one origin."""
_MOST_LOOKED_AT = 4
"""Names whose owners are looked for on the disk."""
ResolvedT = TypeVar("ResolvedT", bound=ResolvedDefinition)


class EnvironmentVersions:
    """Registers, labels, archives and removes the versions of environments in one store.

    Every change invalidates launch plans, so that no plan is left that names the version which was the latest.
    """

    def __init__(self, store: Store, events: Events, launches: LaunchFolder) -> None:
        self._store = store
        self._events = events
        self._launches = launches

    async def register(
        self,
        resolved: ResolvedDefinition,
        name: str | None,
        labels: Sequence[str] = (),
        origin: str | None = None,
        number: int | None = None,
    ) -> RegistrationResult:
        """Register ``resolved`` as the next version of ``name``, unless one of its versions has the same content.

        ``name`` defaults to the name in the definition, or to that of its folder. ``origin``: the version that this one
        was made from. ``number``: the number that the version must get. Raises NameInvalidError, InvalidRequestError if
        there is no name, VersionTakenError, and what :meth:`add` raises.
        """
        if name is None:
            if not resolved.source.name:
                raise InvalidRequestError(
                    "The definition has no name of its own", hint="Give one: `roost env register --name NAME …`."
                )
            resolved = await self.claim_name(resolved)
            name = derive_name(resolved.source.name)
        else:
            await self._claim_own_name(resolved, name)
        checked_name = check_new_name(name)
        checked_labels = tuple(check_new_label(label) for label in labels)
        checked_origin = origin and str(parse_reference(origin))
        new = make_new_version(resolved, checked_name, labels=checked_labels, origin=checked_origin)
        return await self.add(msgspec.structs.replace(new, number=number))

    async def add(self, new: NewVersion, locked: tuple[NewGeneration, Lock] | None = None) -> RegistrationResult:
        """Store the local content of ``new``, and register it. ``locked``: a lock that was imported with it, and the
        generation to record for it. Raises what ``store_local_content`` raises."""
        definition = await store_local_content(self._store.layout, new.body.definition)
        new = msgspec.structs.replace(new, body=msgspec.structs.replace(new.body, definition=definition))
        async with invalidate_launch_plans(self._launches):
            index = self._store.index
            registered = await (index.register_locked(new, *locked) if locked else index.environments.register(new))
        version = registered.version
        if registered.created:
            await self._events.append(
                "environment-registered",
                name=version.name,
                version=version.version,
                definition_digest=version.definition_digest,
            )
        return registered

    async def ensure_registered(self, resolved: ResolvedT) -> ResolvedT:
        """Return ``resolved`` with its name and version, after registering it if this is the first run that uses it.

        What a recorded run used is returned unchanged, and so is what options chose or added for this run alone.
        """
        if resolved.environment is not None or resolved.chosen or resolved.parsed.format == RUN_FORMAT:
            return resolved
        resolved = await self.claim_name(resolved)
        name = derive_name(resolved.source.name)
        version = await self._store.index.environments.find_same(name, resolved.digest, resolved.settings_digest)
        if version is None:
            version = (await self.add(make_new_version(resolved, name, by_hand=False))).version
        return msgspec.structs.replace(resolved, environment=(version.name, version.version))

    async def claim_name(self, resolved: ResolvedT) -> ResolvedT:
        """Return ``resolved`` with the automatic name that belongs to its origin from now on, and a warning if it would
        have another one, were that not another's."""
        origin = resolved.origin
        if origin is None:
            return resolved
        claim = await self._claim_any(origin, resolved.digest, tuple(islice(list_candidates(origin), _MOST_CANDIDATES)))
        if claim is None:
            return resolved
        warnings = resolved.warnings
        if claim.wanted is not None:
            owner = format_origin(claim.owner)
            message = f"The environment is named {claim.name}, since {claim.wanted} is that of {owner}"
            warnings = [*warnings, WarningView(code="name-taken", message=message)]
        source = msgspec.structs.replace(resolved.source, name=claim.name)
        return msgspec.structs.replace(resolved, source=source, origin=None, warnings=warnings)

    async def _claim_own_name(self, resolved: ResolvedDefinition, name: str) -> None:
        """Claim a name that somebody gave, if it is the automatic one: later runs belong to the same environment."""
        if resolved.origin is not None and name == next(list_candidates(resolved.origin)):
            await self._claim_any(resolved.origin, resolved.digest, (name,))

    async def _claim_any(self, origin: NameOrigin, digest: str, names: tuple[str, ...]) -> NameClaim | None:
        """Claim the first of ``names`` that may belong to ``origin``."""
        index = self._store.index
        owners = await index.list_owners(names[:_MOST_LOOKED_AT])
        gone = await asyncio.to_thread(_find_gone, owners) if owners else frozenset[str]()
        return await index.claim_name(origin, names, digest, gone)

    async def set_labels(self, name: str, labels: Sequence[str], version: int) -> EnvironmentVersion:
        """Set or move labels, all of them or none. Raises NameInvalidError, EnvironmentUnknownError."""
        checked = [check_new_label(label) for label in labels]
        async with invalidate_launch_plans(self._launches):
            labelled = await self._store.index.environments.put_labels(name, checked, version)
        for label in checked:
            await self._events.append("environment-labelled", name=name, version=version, label=label)
        return labelled

    async def remove_label(self, name: str, label: str) -> None:
        """Remove a label. Raises NameInvalidError, EnvironmentUnknownError."""
        check_new_label(label)
        async with invalidate_launch_plans(self._launches):
            await self._store.index.environments.delete_label(name, label)
        await self._events.append("environment-unlabelled", name=name, label=label)

    async def set_archived(self, name: str, version: int | None, *, archived: bool) -> None:
        """Archive a version or restore it; all versions of ``name`` if ``version`` is ``None``. Raises
        EnvironmentUnknownError."""
        async with invalidate_launch_plans(self._launches):
            await self._store.index.environments.set_archived(name, version, archived)
        kind = "environment-archived" if archived else "environment-restored"
        await self._events.append(kind, name=name, version=version)

    async def remove(self, name: str, version: int | None, *, force: bool) -> RemovedVersions:
        """Remove a version; all versions of ``name`` if ``version`` is ``None``. ``force``: although runs or labels
        refer to it.

        Raises EnvironmentUnknownError, VersionInUseError, InvalidRequestError if it is curated.
        """
        if name.startswith(CURATED_PREFIX):
            raise InvalidRequestError(
                f"{name} is curated: it came from a catalogue, which would register it again",
                hint=f"`roost env archive {name}` hides it.",
            )
        async with invalidate_launch_plans(self._launches):
            removed = await self._store.index.remove_versions(name, version, force=force)
        for number in removed.versions:
            await self._events.append("environment-removed", name=name, version=number)
        return removed


def _find_gone(paths: Sequence[str]) -> frozenset[str]:
    """Return those of ``paths`` that no longer exist. Blocks."""
    return frozenset(path for path in paths if not os.path.lexists(path))


def make_new_version(
    resolved: ResolvedDefinition,
    name: str,
    *,
    labels: tuple[str, ...] = (),
    by_hand: bool = True,
    origin: str | None = None,
) -> NewVersion:
    """Return the row that registers ``resolved`` as a version of ``name``. ``by_hand``: not by a run. ``origin``
    defaults to the registered version that was resolved."""
    if origin is None and resolved.environment is not None:
        origin = "{}:{}".format(*resolved.environment)
    return NewVersion(
        name=name,
        body=EnvironmentBody(definition=resolved.definition, settings=resolved.settings, defaults=resolved.defaults),
        definition_digest=resolved.digest,
        settings_digest=resolved.settings_digest,
        canonical=resolved.canonical,
        settings_canonical=resolved.settings_canonical,
        kind="user-managed" if resolved.definition.python.user_managed else "system-managed",
        labels=labels,
        by_hand=by_hand,
        origin=origin,
    )
