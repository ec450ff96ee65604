"""Routes of curated environments: synchronise with catalogues, publish to one. They are listed with all others."""

from __future__ import annotations

import msgspec

from roost.daemon.curated.versions import choose_catalogue
from roost.daemon.oci.registries import normalize_location
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES, Services
from roost.model.errors import LookupFailedError
from roost.model.names import parse_reference


class SyncRequest(msgspec.Struct, kw_only=True):
    """Without ``registry``: all catalogues that are in use."""

    registry: str | None = None


class VersionName(msgspec.Struct, kw_only=True):
    """One version, and its origin."""

    name: str
    version: int
    origin: str | None
    definition_digest: str


class CatalogueView(msgspec.Struct, kw_only=True):
    """``versions`` is ``None`` if the registry has no catalogue."""

    registry: str
    versions: int | None


class SyncResponse(msgspec.Struct, kw_only=True):
    """The catalogues that were asked, and the versions that are new here."""

    catalogues: list[CatalogueView]
    added: list[VersionName]
    left_out: list[str]
    """``NAME:VERSION`` of versions that were skipped, because their names are those of environments that ship with
    roost."""


class PublishRequest(msgspec.Struct, kw_only=True):
    """``environment``: ``NAME[:VERSION|@LABEL]``. Without ``registry``: the one catalogue in use. Without ``name``:
    ``Roost-`` and the name of the environment."""

    environment: str
    registry: str | None = None
    name: str | None = None


class PublishResponse(msgspec.Struct, kw_only=True):
    """``added`` is false if the catalogue already had the content as its latest version."""

    name: str
    version: int
    definition_digest: str
    registry: str
    reference: str
    manifest_digest: str
    added: bool


async def _list_catalogues(services: Services) -> list[str]:
    return [each.location for each in await services.reloader.list_registries() if each.kind == "catalogue"]


async def sync_catalogues(call: Call[SyncRequest]) -> SyncResponse:
    services, registry = call.app[SERVICES], call.body.registry
    locations = [normalize_location(registry)] if registry is not None else await _list_catalogues(services)
    result = await services.curated.sync(locations)
    if registry is not None and result.versions[locations[0]] is None:
        raise LookupFailedError(f"{locations[0]} has no catalogue", hint="`roost curated publish` creates one.")
    return SyncResponse(
        catalogues=[CatalogueView(registry=location, versions=count) for location, count in result.versions.items()],
        added=[
            VersionName(
                name=each.name, version=each.version, origin=each.origin, definition_digest=each.definition_digest
            )
            for each in result.added
        ],
        left_out=result.left_out,
    )


async def publish_version(call: Call[PublishRequest]) -> PublishResponse:
    services, body = call.app[SERVICES], call.body
    version = await services.store.index.environments.get(parse_reference(body.environment))
    if body.registry is not None:
        location = normalize_location(body.registry)
    else:
        location = choose_catalogue(await _list_catalogues(services))
    publication = await services.curated.publish(version, location, body.name)
    return PublishResponse(
        name=publication.entry.name,
        version=publication.entry.version,
        definition_digest=publication.entry.definition_digest,
        registry=location,
        reference=publication.reference,
        manifest_digest=publication.digest,
        added=publication.added,
    )


ROUTES_CURATED = [
    Route(
        "POST",
        "/v1/curated/sync",
        sync_catalogues,
        request=SyncRequest,
        response=SyncResponse,
        summary="Import the versions of the catalogues that are not here, all or none",
    ),
    Route(
        "POST",
        "/v1/curated/publish",
        publish_version,
        request=PublishRequest,
        response=PublishResponse,
        summary="Add a version of an environment to a catalogue",
    ),
]
