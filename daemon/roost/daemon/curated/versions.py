"""Curated environments, shipped with roost or published in catalogues, as registered versions.

They are versions of kind ``curated``, under names that nobody else may register. Their numbers are their publisher's,
so that ``Roost-Minimal:1`` means the same everywhere.
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
    make_curated_version,
    make_entry,
)
from roost.daemon.curated.portability import find_portability_fault, make_portable
from roost.daemon.curated.registry import CataloguePublication, CatalogueRegistry
from roost.daemon.curated.shipped import load_shipped_names, load_shipped_versions
from roost.daemon.curated.validation import read_versions
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.events import Events
from roost.daemon.launch.folder import LaunchFolder, invalidate_launch_plans
from roost.model.errors import CodedError, InvalidDefinitionError, InvalidRequestError, LookupFailedError
from roost.model.names import CURATED_PREFIX, VersionReference
from roost.model.records import EnvironmentBody, EnvironmentVersion, NewVersion, RegistrationResult
from roost.store.index.tables.environments import VersionTakenError
from roost.store.store import Store

log = logging.getLogger(__name__)


class NotPortableError(InvalidDefinitionError):
    """A definition can't be published, because it has a meaning on this machine only."""

    code = "not-portable"


class SyncResult(msgspec.Struct, kw_only=True):
    """Result of synchronising with catalogues."""

    versions: dict[str, int | None] = {}
    """Registry to the number of versions in its catalogue; ``None`` if it has no catalogue."""
    added: list[EnvironmentVersion] = []
    left_out: list[str] = []
    """``NAME:VERSION`` of versions that were skipped, because only roost itself adds versions to shipped names."""


class CuratedVersions:
    """Registers the curated versions of one store, and publishes versions to catalogues."""

    def __init__(self, store: Store, engines: Engines, events: Events, launches: LaunchFolder) -> None:
        self._index = store.index
        self._engines = engines
        self._events = events
        self._launches = launches
        self._registry = CatalogueRegistry(engines)

    async def register_shipped(self) -> None:
        """Register the versions that ship with this roost and are missing in the store.

        Failures are logged and never raised: a daemon without these versions is still useful.
        """
        try:
            shipped = await asyncio.to_thread(load_shipped_versions)
            missing = [new for new in shipped if not await self._is_registered(new)]
            if missing:
                await self._register_missing(missing)
        except (CodedError, OSError) as error:
            log.warning("The environments shipped with roost could not be registered: %s", error)

    async def _is_registered(self, new: NewVersion) -> bool:
        environments = self._index.environments
        return await environments.find_same(new.name, new.definition_digest, new.settings_digest) is not None

    async def _register_missing(self, missing: Sequence[NewVersion]) -> None:
        try:
            await self._index.environments.register_all(missing)
        except VersionTakenError:  # a catalogue used a name before roost did: its version stays, the others are added
            for new in missing:
                try:
                    await self._index.environments.register(new)
                except VersionTakenError as error:
                    log.warning("%s", error.message)

    async def sync(self, locations: Sequence[str]) -> SyncResult:
        """Register every version of the catalogues of ``locations`` that is missing here, all of them or none.

        Raises CatalogueInvalidError, VersionTakenError, CatalogueUnknownError, ServiceUnreachableError.
        """
        result, new = SyncResult(), list[NewVersion]()
        for location in locations:
            fetched = await self._registry.fetch(location)
            result.versions[location] = len(fetched.catalogue.entries) if fetched is not None else None
            if fetched is not None:
                new += await self._read_checked(fetched.catalogue, location)
        reserved = await asyncio.to_thread(load_shipped_names)
        result.left_out = [f"{each.name}:{each.number}" for each in new if each.name.lower() in reserved]
        new = [each for each in new if each.name.lower() not in reserved]
        result.added = [each.version for each in await self._register_synced(new) if each.created]
        if result.added:
            names = [f"{version.name}:{version.version}" for version in result.added]
            await self._events.append("curated-synced", registries=list(locations), added=names)
        return result

    async def find_newer(self, location: str) -> dict[str, tuple[int, int | None]]:
        """Return the environments of a catalogue whose latest version is not known here: name to that version, and to
        the latest one that is known. Registers nothing.

        Raises: CatalogueInvalidError, CatalogueUnknownError, ServiceUnreachableError.
        """
        fetched = await self._registry.fetch(location)
        latest: dict[str, int] = {}
        for entry in fetched.catalogue.entries if fetched is not None else ():
            latest[entry.name] = max(entry.version, latest.get(entry.name, 0))
        reserved = await asyncio.to_thread(load_shipped_names)
        found: dict[str, tuple[int, int | None]] = {}
        for name, version in latest.items():
            known = await self._index.environments.find_latest_number(name)
            if name.lower() not in reserved and (known is None or known < version):
                found[name] = version, known
        return found

    async def _register_synced(self, new: Sequence[NewVersion]) -> list[RegistrationResult]:
        try:
            async with invalidate_launch_plans(self._launches):
                return await self._index.environments.register_all(new)
        except VersionTakenError as error:
            raise await self._explain_conflict(error, new) from None

    async def _explain_conflict(self, error: VersionTakenError, new: Sequence[NewVersion]) -> VersionTakenError:
        """Return ``error`` with the origins of the two versions that have the same number."""
        name, number = str(error.fields["name"]), int(str(error.fields["version"]))
        rivals = [each for each in new if (each.name, each.number) == (name, number)]
        first: EnvironmentVersion | NewVersion = rivals[0]
        with suppress(LookupFailedError):
            first = await self._index.environments.get(VersionReference(name=name, version=number))
        other = next(each for each in rivals if _content_digests(each) != _content_digests(first))
        return VersionTakenError(
            f"{name}:{number} in the catalogue of {other.origin} is not what {first.origin} has under that number",
            hint="Versions never change; nothing was imported. Publish the change as the next version.",
            fields={**error.fields, "registry": other.origin},
        )

    async def _read_checked(self, catalogue: Catalogue, location: str) -> list[NewVersion]:
        """Return all versions of a catalogue, with their match specs checked too, which only the conda engine can do.

        Raises CatalogueInvalidError.
        """
        new = await asyncio.to_thread(read_versions, catalogue, location)
        for each in new:
            specs = each.body.definition.conda.dependencies
            if not specs or await self._index.definitions.find(each.definition_digest) is not None:
                continue
            try:
                await self._engines.conda_rules().check_specs(specs)
            except InvalidDefinitionError as error:
                raise CatalogueInvalidError(
                    f"The catalogue of {each.origin} is not valid, {each.name}:{each.number}: {error.message}",
                    hint="Nothing was imported from it.",
                    fields={"registry": each.origin, "at": f"{each.name}:{each.number}"},
                ) from None
        return new

    async def publish(self, version: EnvironmentVersion, location: str, name: str | None) -> CataloguePublication:
        """Add a version of an environment to the catalogue of ``location``, as the next version of ``name``.

        ``name`` defaults to the environment's name with the curated prefix.

        Raises: NameInvalidError; InvalidRequestError if ``name`` ships with roost; NotPortableError; and what
        ``CatalogueRegistry.publish`` raises.
        """
        own_name = version.name if version.kind == "curated" else CURATED_PREFIX + version.name
        name = check_curated_name(name or own_name)
        if name.lower() in await asyncio.to_thread(load_shipped_names):
            raise InvalidRequestError(
                f"{name} is shipped with roost, and catalogues can't add versions to it",
                hint="Choose another name with --as.",
            )
        body = await self._index.environments.load_body(version.name, version.version)
        body = msgspec.structs.replace(body, definition=make_portable(body.definition))
        fault = _find_publication_fault(version, body, name)
        if fault is not None:
            raise NotPortableError(
                f"{version.name}:{version.version} can't be published: {fault}",
                hint="Change that with `roost env edit`, and publish the result.",
            )

        def make(number: int) -> CatalogueEntry:
            return make_entry(name, number, body)

        publication = await self._registry.publish(location, make, self._read_checked)
        if publication.added:
            entry = f"{publication.entry.name}:{publication.entry.version}"
            await self._events.append("curated-published", environment=entry, reference=publication.reference)
        return publication


def choose_catalogue(locations: Sequence[str]) -> str:
    """Return the only catalogue in use, for a request that names none. Raises LookupFailedError if there is none,
    InvalidRequestError if there are several."""
    if not locations:
        raise LookupFailedError("No catalogue is in use", hint="Name one: --registry HOST[:PORT][/PREFIX].")
    if len(locations) > 1:
        raise InvalidRequestError(
            f"There are {len(locations)} catalogues", hint=f"Choose one with --registry {' or '.join(locations)}."
        )
    return locations[0]


def _content_digests(version: EnvironmentVersion | NewVersion) -> tuple[str, str]:
    return version.definition_digest, version.settings_digest


def _find_publication_fault(version: EnvironmentVersion, body: EnvironmentBody, name: str) -> str | None:
    """Return why readers of the catalogue would refuse ``body``, the portable form of ``version``."""
    fault = find_portability_fault(body.definition, body.settings)
    if fault is not None:
        return fault
    try:
        read_versions(Catalogue(entries=(make_entry(name, 1, body),)), "this machine")
    except CatalogueInvalidError as error:
        return error.message
    portable = make_curated_version(name, 1, body.definition, body.settings, body.defaults, "")
    same = portable.definition_digest == version.definition_digest
    return None if same else "its digest depends on files of this machine"
