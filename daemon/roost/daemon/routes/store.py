"""Routes of the store: artifacts with their sizes, verification."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from roost.daemon.gc.limits import resolve_limits
from roost.daemon.gc.triggers import sum_engines, sum_root
from roost.daemon.prefixes.verify import Verification, verify_ready_prefixes
from roost.daemon.runs.runs import Runs
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.model.caches import CacheItem
from roost.model.errors import ServiceUnreachableError
from roost.model.records import UsageRow
from roost.store.disk.file_ops import measure_disk
from roost.store.index.index import Index


class Totals(msgspec.Struct, kw_only=True):
    """``bytes`` counts the files that an artifact shares with the caches, once for each artifact; ``own_bytes`` leaves
    them out; ``used_bytes`` is everything under the root, each file once."""

    artifacts: int
    bytes: int
    own_bytes: int
    used_bytes: int
    image_bytes: int
    """On the disks of engines."""
    budget_bytes: int
    """Of ``used_bytes``; 0: no limit."""
    min_free_bytes: int
    free_bytes: int
    disk_bytes: int


class CacheTotal(msgspec.Struct, kw_only=True):
    """What the caches have of one kind, as it was recorded when it was stored."""

    kind: str
    count: int
    bytes: int


class ArtifactsResponse(msgspec.Struct, kw_only=True):
    totals: Totals
    artifacts: list[UsageRow]
    caches: list[CacheTotal] = []


class UsageQuery(msgspec.Struct, kw_only=True):
    """``measure``: walk every prefix and report its size of now, which takes 0.1 s for each."""

    measure: bool = False


class VerifyRequest(msgspec.Struct, kw_only=True):
    """``repair``: replace prefixes that differ."""

    repair: bool = False


async def list_artifacts(call: Call[None]) -> ArtifactsResponse:
    services = call.app[SERVICES]
    rows = await services.store.artifacts.list_usage(measure=call.query(UsageQuery).measure)
    rows = await _add_containers(services.store.index, services.runs, rows)
    items = await services.collector.list_cache_items()
    usage = await services.store.index.collection.map_usage()
    disk = await asyncio.to_thread(measure_disk, services.store.layout.root)
    limits = resolve_limits(services.config.config.cache, disk.total)
    totals = Totals(
        artifacts=len(rows),
        bytes=sum(row.bytes for row in rows),
        own_bytes=sum(row.bytes - row.shared_bytes for row in rows),
        used_bytes=sum_root(usage),
        image_bytes=sum_engines(usage),
        budget_bytes=limits.budget_bytes,
        min_free_bytes=limits.min_free_bytes,
        free_bytes=disk.free,
        disk_bytes=disk.total,
    )
    return ArtifactsResponse(totals=totals, artifacts=rows, caches=_sum_caches(items))


def _sum_caches(items: Sequence[CacheItem]) -> list[CacheTotal]:
    totals: dict[str, CacheTotal] = {}
    for item in items:
        total = totals.setdefault(item.kind, CacheTotal(kind=item.kind, count=0, bytes=0))
        total.count += 1
        total.bytes += item.bytes
    return sorted(totals.values(), key=lambda total: total.kind)


async def _add_containers(index: Index, runs: Runs, rows: list[UsageRow]) -> list[UsageRow]:
    """Return ``rows`` with the containers that use images; only their engine knows them, which is not asked without an
    image."""
    if not any(row.kind == "image" for row in rows):
        return rows
    digests = {record.key: record.config_digest for record in await index.images.list_all()}
    uses: Mapping[str, tuple[str, ...]] = {}
    with suppress(ServiceUnreachableError):
        uses = await runs.containers.find_images_in_use()
    return [
        msgspec.structs.replace(row, protected_by=(*row.protected_by, *uses.get(digests.get(row.key, ""), ())))
        if row.kind == "image"
        else row
        for row in rows
    ]


async def verify_prefixes(call: Call[VerifyRequest]) -> Verification:
    services = call.app[SERVICES]
    return await verify_ready_prefixes(
        services.store,
        services.engines,
        services.prefixes,
        services.adoption,
        services.bytecode,
        repair=call.body.repair,
    )


ROUTES_STORE = [
    Route("GET", "/v1/artifacts", list_artifacts, query=UsageQuery, response=ArtifactsResponse, summary="Disk usage"),
    Route(
        "POST",
        "/v1/verify",
        verify_prefixes,
        request=VerifyRequest,
        response=Verification,
        summary="Compare every file of every prefix with its package, and repair what differs",
    ),
]
