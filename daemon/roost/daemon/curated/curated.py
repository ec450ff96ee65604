"""Curated environments: those that come with roost, and those of the catalogues, as versions in the index.

They are versions like all others, of kind ``curated`` and under names that nobody else may register. Their numbers are
their publisher's, so that ``Roost-Minimal:1`` means the same everywhere.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from roost.daemon.curated.catalogue import (
    Catalogue,
    CatalogueEntry,
    CatalogueInvalidError,
    check_curated_name,
    curated_version,
    entry_of,
    versions_of,
)
from roost.daemon.curated.portability import fault_of, portable
from roost.daemon.curated.registry import CatalogueRegistry, Published
from roost.daemon.curated.shipped import shipped, shipped_names
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.events import Events
from roost.daemon.launch.folder import LaunchFolder, invalidate_launch_plans
from roost.model.errors import CodedError, InvalidDefinitionError, InvalidRequestError, LookupFailedError
from roost.model.names import CURATED_PREFIX, VersionReference
from roost.model.records import EnvironmentBody, EnvironmentVersion, NewVersion, RegistrationResult
from roost.store.index.environments import VersionTakenError
from roost.store.store import Store

log = logging.getLogger(__name__)


class NotPortableError(InvalidDefinitionError):
    """A definition that means something on this machine only was to be published."""

    code = "not-portable"


class Synced(msgspec.Struct, kw_only=True):
    """What came of asking catalogues."""

    versions: dict[str, int | None] = {}
    """Registry to how many versions its catalogue has; ``None``: it has no catalogue."""
    added: list[EnvironmentVersion] = []
    left_out: list[str] = []
    """``NAME:VERSION`` of those whose names are roost's own: nothing but roost adds to them."""


class Curated:
    """Keeps the curated environments of one workspace."""

    def __init__(self, store: Store, engines: Engines, events: Events, launches: LaunchFolder) -> None:
        self._index = store.index
        self._engines = engines
        self._events = events
        self._launches = launches
        self._registry = CatalogueRegistry(engines)

    # ------------------------------------------------------------------------------------------- what comes with roost
    async def ship(self) -> None:
        """Register what comes with this roost and is not here. Never raises: a daemon without them is of use too."""
        try:
            missing = [new for new in await asyncio.to_thread(shipped) if not await self._has(new)]
            if missing:
                await self._ship(missing)
        except (CodedError, OSError) as error:
            log.warning("What comes with roost could not be registered: %s", error)

    async def _has(self, new: NewVersion) -> bool:
        found = await self._index.environments.find_same(new.name, new.definition_digest, new.settings_digest)
        return found is not None

    async def _ship(self, missing: Sequence[NewVersion]) -> None:
        try:
            await self._index.environments.register_all(missing)
        except VersionTakenError:  # a catalogue had that name before roost did: that stays, and the others come
            for new in missing:
                try:
                    await self._index.environments.register(new)
                except VersionTakenError as error:
                    log.warning("%s", error.message)

    # ------------------------------------------------------------------------------------------------- from catalogues
    async def sync(self, locations: Sequence[str]) -> Synced:
        """Register every version of the catalogues of ``locations`` that is not here, all of them or none.

        Raises CatalogueInvalidError, VersionTakenError, CatalogueUnknownError, ServiceUnreachableError.
        """
        synced, new = Synced(), list[NewVersion]()
        for location in locations:
            fetched = await self._registry.fetch(location)
            synced.versions[location] = len(fetched.catalogue.entries) if fetched is not None else None
            if fetched is not None:
                new += await self._checked(fetched.catalogue, location)
        own = await asyncio.to_thread(shipped_names)
        synced.left_out = [f"{each.name}:{each.number}" for each in new if each.name.lower() in own]
        new = [each for each in new if each.name.lower() not in own]
        synced.added = [each.version for each in await self._register(new) if each.created]
        if synced.added:
            names = [f"{version.name}:{version.version}" for version in synced.added]
            await self._events.append("curated-synced", registries=list(locations), added=names)
        return synced

    async def _register(self, new: Sequence[NewVersion]) -> list[RegistrationResult]:
        try:
            async with invalidate_launch_plans(self._launches):
                return await self._index.environments.register_all(new)
        except VersionTakenError as error:
            raise await self._taken(error, new) from None

    async def _taken(self, error: VersionTakenError, new: Sequence[NewVersion]) -> VersionTakenError:
        """The same, with who says what."""
        name, number = str(error.fields["name"]), int(str(error.fields["version"]))
        rivals = [each for each in new if (each.name, each.number) == (name, number)]
        first: EnvironmentVersion | NewVersion = rivals[0]
        with suppress(LookupFailedError):
            first = await self._index.environments.get(VersionReference(name=name, version=number))
        other = next(each for each in rivals if _content(each) != _content(first))
        return VersionTakenError(
            f"{name}:{number} in the catalogue of {other.origin} is not what {first.origin} has under that number",
            hint="A version never changes, and nothing was taken. A change belongs into the next version.",
            fields={**error.fields, "registry": other.origin},
        )

    async def _checked(self, catalogue: Catalogue, location: str) -> list[NewVersion]:
        """All versions, if all are right: whether a match spec is one is the engine's to say."""
        new = await asyncio.to_thread(versions_of, catalogue, location)
        for each in new:
            specs = each.body.definition.conda.dependencies
            if not specs or await self._index.definitions.find(each.definition_digest) is not None:
                continue
            try:
                (await self._engines.conda()).check_specs(specs)
            except InvalidDefinitionError as error:
                raise CatalogueInvalidError(
                    f"The catalogue of {each.origin} is no good, {each.name}:{each.number}: {error.message}",
                    hint="Nothing of it was taken.",
                    fields={"registry": each.origin, "at": f"{each.name}:{each.number}"},
                ) from None
        return new

    # -------------------------------------------------------------------------------------------------- into catalogues
    async def publish(self, version: EnvironmentVersion, location: str, name: str | None) -> Published:
        """Add a version of an environment to the catalogue of ``location``, as the next version of ``name``.

        Raises NameInvalidError, NotPortableError, and what ``CatalogueRegistry.publish`` raises.
        """
        name = check_curated_name(name or _curated_name(version))
        if name.lower() in await asyncio.to_thread(shipped_names):
            raise InvalidRequestError(
                f"{name} comes with roost, and no catalogue adds to it", hint="Choose another name with --as."
            )
        body = await self._index.environments.load_body(version.name, version.version)
        body = msgspec.structs.replace(body, definition=portable(body.definition))
        _check_portable(version, body, name)

        def make(number: int) -> CatalogueEntry:
            return entry_of(name, number, body)

        published = await self._registry.publish(location, make, self._checked)
        if published.added:
            entry = f"{published.entry.name}:{published.entry.version}"
            await self._events.append("curated-published", environment=entry, reference=published.reference)
        return published


def _content(version: EnvironmentVersion | NewVersion) -> tuple[str, str]:
    return version.definition_digest, version.settings_digest


def one_catalogue(locations: Sequence[str]) -> str:
    """The catalogue that is meant where none was named. Raises LookupFailedError, InvalidRequestError."""
    if not locations:
        raise LookupFailedError("No catalogue is in use", hint="Name one: --registry HOST[:PORT][/PREFIX].")
    if len(locations) > 1:
        raise InvalidRequestError(
            f"There are {len(locations)} catalogues", hint=f"--registry {' or '.join(locations)}."
        )
    return locations[0]


def _curated_name(version: EnvironmentVersion) -> str:
    return version.name if version.kind == "curated" else CURATED_PREFIX + version.name


def _check_portable(version: EnvironmentVersion, body: EnvironmentBody, name: str) -> None:
    """What every reader would refuse is not published. Raises NotPortableError."""
    called = f"{version.name}:{version.version}"
    fault = fault_of(body.definition, body.settings)
    if fault is None:
        entry = entry_of(name, 1, body)
        same = curated_version(name, 1, body.definition, body.settings, body.defaults, "").definition_digest
        try:
            versions_of(Catalogue(entries=(entry,)), "this machine")
        except CatalogueInvalidError as error:
            fault = error.message
        else:
            fault = None if same == version.definition_digest else "its digest hangs on files of this machine"
    if fault is not None:
        raise NotPortableError(
            f"{called} can't be published: {fault}",
            hint="Change that with `roost env edit`, and publish the result.",
        )
