"""Routes of curated environments: taken from catalogues, and published to one. Listed they are with all others."""

from __future__ import annotations

import msgspec

from roost.daemon.curated.versions import SyncResult, choose_catalogue
from roost.daemon.oci.registries import normalize_location
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES, Services
from roost.model.errors import LookupFailedError
from roost.model.names import parse_reference


class SyncRequest(msgspec.Struct, kw_only=True):
    """``registry`` left out: all catalogues that are in use."""

    registry: str | None = None


class VersionName(msgspec.Struct, kw_only=True):
    """One version, and where it is from."""

    name: str
    version: int
    origin: str | None
    definition_digest: str


class CatalogueView(msgspec.Struct, kw_only=True):
    """``versions`` is ``None`` where the registry has no catalogue."""

    registry: str
    versions: int | None


class SyncResponse(msgspec.Struct, kw_only=True):
    """What was asked, and what was not here before."""

    catalogues: list[CatalogueView]
    added: list[VersionName]
    left_out: list[str]
    """``NAME:VERSION`` under names that are roost's own."""


class PublishRequest(msgspec.Struct, kw_only=True):
    """``environment``: ``NAME[:VERSION|@LABEL]``; ``registry`` left out: the one catalogue in use; ``name`` left out:
    ``Roost-`` and the environment's."""

    environment: str
    registry: str | None = None
    name: str | None = None


class PublishResponse(msgspec.Struct, kw_only=True):
    """``added`` is false where the catalogue has it as its latest version already."""

    name: str
    version: int
    definition_digest: str
    registry: str
    reference: str
    manifest_digest: str
    added: bool


async def _catalogues(work: Services) -> list[str]:
    return [place.location for place in await work.reloader.list_registries() if place.kind == "catalogue"]


async def sync(call: Call[SyncRequest]) -> SyncResponse:
    work, asked = call.app[SERVICES], call.body.registry
    locations = [normalize_location(asked)] if asked is not None else await _catalogues(work)
    synced = await work.curated.sync(locations)
    if asked is not None and synced.versions[locations[0]] is None:
        raise LookupFailedError(f"{locations[0]} has no catalogue", hint="`roost curated publish` begins one.")
    return _view(synced)


def _view(synced: SyncResult) -> SyncResponse:
    return SyncResponse(
        catalogues=[CatalogueView(registry=place, versions=count) for place, count in synced.versions.items()],
        added=[
            VersionName(name=v.name, version=v.version, origin=v.origin, definition_digest=v.definition_digest)
            for v in synced.added
        ],
        left_out=synced.left_out,
    )


async def publish(call: Call[PublishRequest]) -> PublishResponse:
    work, body = call.app[SERVICES], call.body
    version = await work.store.index.environments.get(parse_reference(body.environment))
    named = body.registry
    location = normalize_location(named) if named is not None else choose_catalogue(await _catalogues(work))
    published = await work.curated.publish(version, location, body.name)
    return PublishResponse(
        name=published.entry.name,
        version=published.entry.version,
        definition_digest=published.entry.definition_digest,
        registry=location,
        reference=published.reference,
        manifest_digest=published.digest,
        added=published.added,
    )


ROUTES_CURATED = [
    Route(
        "POST",
        "/v1/curated/sync",
        sync,
        request=SyncRequest,
        response=SyncResponse,
        summary="Take the versions of the catalogues that are not here, all or none",
    ),
    Route(
        "POST",
        "/v1/curated/publish",
        publish,
        request=PublishRequest,
        response=PublishResponse,
        summary="Add a version of an environment to a catalogue",
    ),
]
