"""Routes of the store: artifacts with their sizes, verification."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from roost.daemon.prefixes.verify import Verification, verify_ready_prefixes
from roost.daemon.runs.runs import Runs
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.model.errors import ServiceUnreachableError
from roost.model.records import UsageRow
from roost.store.index.index import Index


class Totals(msgspec.Struct, kw_only=True):
    """``bytes`` counts the files that an artifact shares with the package cache, once for each artifact; ``own_bytes``
    does not count them."""

    artifacts: int
    bytes: int
    own_bytes: int


class ArtifactsResponse(msgspec.Struct, kw_only=True):
    totals: Totals
    artifacts: list[UsageRow]


class VerifyRequest(msgspec.Struct, kw_only=True):
    """``repair``: replace prefixes that differ."""

    repair: bool = False


async def list_artifacts(call: Call[None]) -> ArtifactsResponse:
    services = call.app[SERVICES]
    rows = [
        await _add_containers(services.store.index, services.runs, row)
        for row in await services.store.artifacts.list_usage(measure=True)
    ]
    totals = Totals(
        artifacts=len(rows),
        bytes=sum(row.bytes for row in rows),
        own_bytes=sum(row.bytes - row.shared_bytes for row in rows),
    )
    return ArtifactsResponse(totals=totals, artifacts=rows)


async def _add_containers(index: Index, runs: Runs, row: UsageRow) -> UsageRow:
    """Return ``row`` with the containers that use it, if it is an image; only its engine knows them."""
    image = await index.images.find(row.key) if row.kind == "image" else None
    if image is None:
        return row
    with suppress(ServiceUnreachableError):
        holders = (await runs.containers.find_images_in_use()).get(image.config_digest, ())
        return msgspec.structs.replace(row, protected_by=(*row.protected_by, *holders))
    return row


async def verify_prefixes(call: Call[VerifyRequest]) -> Verification:
    services = call.app[SERVICES]
    return await verify_ready_prefixes(
        services.store, services.engines, services.prefixes, services.adoption, repair=call.body.repair
    )


ROUTES_STORE = [
    Route("GET", "/v1/artifacts", list_artifacts, response=ArtifactsResponse, summary="Disk usage"),
    Route(
        "POST",
        "/v1/verify",
        verify_prefixes,
        request=VerifyRequest,
        response=Verification,
        summary="Compare every file of every prefix with its package, and repair what differs",
    ),
]
