"""The workspace: makes versions of environments from definitions, by hand and when a run uses an unregistered one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.jobs.events import Events
from roost.daemon.launch.folder import LaunchFolder, invalidate_launch_plans
from roost.daemon.workspace import local_content
from roost.model.definition import Definition
from roost.model.errors import InvalidRequestError
from roost.model.locks.lock import Lock
from roost.model.names import check_new_label, check_new_name, derive_name, parse_reference
from roost.model.records import (
    EnvironmentBody,
    EnvironmentKind,
    EnvironmentVersion,
    NewGeneration,
    NewVersion,
    RegistrationResult,
)
from roost.store.store import Store

Resolved = TypeVar("Resolved", bound=ResolvedDefinition)


class EnvironmentVersions:
    """Named environments over one store."""

    def __init__(self, store: Store, events: Events, launches: LaunchFolder) -> None:
        self._store = store
        self._events = events
        self._launches = launches

    async def register(
        self, resolved: ResolvedDefinition, name: str | None, labels: Sequence[str] = (), origin: str | None = None
    ) -> RegistrationResult:
        """Make ``resolved`` the next version of ``name`` (by default what its file says, or its folder), unless it is
        one already. Raises NameInvalidError, InvalidRequestError where there is no name."""
        chosen = check_new_name(name if name is not None else _own_name(resolved))
        checked = tuple(check_new_label(label) for label in labels)
        new = new_version(resolved, chosen, labels=checked, origin=origin and str(parse_reference(origin)))
        return await self.add(new)

    async def add(self, new: NewVersion, locked: tuple[NewGeneration, Lock] | None = None) -> RegistrationResult:
        """Register ``new``, and keep the local things that it refers to. ``locked``: the lock that came along with it.

        No plan file is left behind that names the version which was the latest. Raises what ``kept_files.keep`` does.
        """
        definition = await local_content.keep(self._store.layout, new.body.definition)
        new = msgspec.structs.replace(new, body=msgspec.structs.replace(new.body, definition=definition))
        async with invalidate_launch_plans(self._launches):
            index = self._store.index
            registered = await (index.register_locked(new, *locked) if locked else index.environments.register(new))
        await self._tell(registered)
        return registered

    async def recorded(self, resolved: Resolved) -> Resolved:
        """``resolved`` as a version of an environment, registered now where a run uses it for the first time."""
        if resolved.environment is not None or resolved.parsed.format == "run":
            return resolved
        name = derive_name(resolved.source.name)
        version = await self._store.index.environments.find_same(name, resolved.digest, resolved.settings_digest)
        if version is None:
            version = (await self.add(new_version(resolved, name, by_hand=False))).version
        return msgspec.structs.replace(resolved, environment=(version.name, version.version))

    async def label(self, name: str, labels: Sequence[str], version: int) -> EnvironmentVersion:
        """Set or move labels, all of them or none. Raises NameInvalidError, EnvironmentUnknownError."""
        checked = [check_new_label(label) for label in labels]
        async with invalidate_launch_plans(self._launches):
            found = await self._store.index.environments.put_labels(name, checked, version)
        for label in checked:
            await self._events.append("environment-labelled", name=name, version=version, label=label)
        return found

    async def unlabel(self, name: str, label: str) -> None:
        """Take a label away. Raises NameInvalidError, EnvironmentUnknownError."""
        check_new_label(label)
        async with invalidate_launch_plans(self._launches):
            await self._store.index.environments.delete_label(name, label)
        await self._events.append("environment-unlabelled", name=name, label=label)

    async def archive(self, name: str, version: int | None, *, archived: bool) -> None:
        """Hide it or bring it back. Raises EnvironmentUnknownError."""
        async with invalidate_launch_plans(self._launches):
            await self._store.index.environments.set_archived(name, version, archived)
        kind = "environment-archived" if archived else "environment-restored"
        await self._events.append(kind, name=name, version=version)

    async def _tell(self, registered: RegistrationResult) -> None:
        version = registered.version
        if registered.created:
            await self._events.append(
                "environment-registered",
                name=version.name,
                version=version.version,
                definition_digest=version.definition_digest,
            )


def new_version(
    resolved: ResolvedDefinition,
    name: str,
    *,
    labels: tuple[str, ...] = (),
    by_hand: bool = True,
    kind: EnvironmentKind | None = None,
    origin: str | None = None,
) -> NewVersion:
    """What the index needs to number ``resolved`` as a version of ``name``."""
    if origin is None and resolved.environment is not None:
        origin = "{}:{}".format(*resolved.environment)
    return NewVersion(
        name=name,
        body=EnvironmentBody(definition=resolved.definition, settings=resolved.settings, defaults=resolved.defaults),
        definition_digest=resolved.digest,
        settings_digest=resolved.settings_digest,
        canonical=resolved.canonical,
        settings_canonical=resolved.settings_canonical,
        kind=kind or kind_of(resolved.definition),
        labels=labels,
        by_hand=by_hand,
        origin=origin,
    )


def kind_of(definition: Definition) -> EnvironmentKind:
    """Of an environment that is not curated: who installs its packages."""
    return "user-managed" if definition.python.user_managed else "system-managed"


def _own_name(resolved: ResolvedDefinition) -> str:
    if not resolved.source.name:
        raise InvalidRequestError(
            "The definition has no name of its own", hint="Give one: `roost env register --name NAME …`."
        )
    return derive_name(resolved.source.name)
