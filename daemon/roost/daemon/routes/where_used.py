"""The route that tells where a package is used."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from msgspec import Meta

from roost.daemon.compare.package_specs import meant, parse_package_spec
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.model.errors import InvalidRequestError
from roost.model.locks.lock import PackageKind
from roost.model.package_uses import Package, UseKind, UsePage, Uses


class WhoQuery(msgspec.Struct, kw_only=True):
    """``package``: a name, and which versions as conda or pip say it; ``kind``: packages of that world only. ``listed``
    and ``before``: of one list what comes after a page, which has that place under ``next``."""

    package: Annotated[str, Meta(min_length=1, max_length=1000)]
    kind: PackageKind | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    listed: UseKind | None = None
    before: Annotated[str, Meta(max_length=1000)] | None = None


class WhoResponse(Uses, frozen=True, kw_only=True):
    """What holds the package: all counted, and the first ``limit`` of each. Environments that were never solved hold
    no packages yet."""

    package: str
    versions: list[Package]
    """Those that are meant and held by some lock, the newest first."""
    others: list[Package]
    """Of that name, those that are not meant."""


async def who(call: Call[None]) -> WhoResponse:
    query, index = call.query(WhoQuery), call.app[SERVICES].store.index
    spec = parse_package_spec(query.package)
    known = [each for each in await index.packages.list_versions(spec.name) if query.kind in (None, each.package.kind)]
    wanted = await asyncio.to_thread(meant, spec, [each.package for each in known])
    held = [each for each, is_meant in zip(known, wanted, strict=True) if is_meant]
    uses = await index.packages.find_uses(spec.name, [each.id for each in held], query.limit, _part(query))
    others = [each.package for each, is_meant in zip(known, wanted, strict=True) if not is_meant]
    return WhoResponse(
        package=spec.name + spec.constraint,
        versions=[each.package for each in reversed(held)][: query.limit],
        others=others[::-1][: query.limit],
        **{field: getattr(uses, field) for field in Uses.__struct_fields__},
    )


def _part(query: WhoQuery) -> UsePage | None:
    if (query.listed is None) != (query.before is None):
        raise InvalidRequestError(
            "One of 'listed' and 'before' is missing", hint="Send both, or neither for the first page."
        )
    return UsePage(kind=query.listed, before=query.before) if query.listed and query.before is not None else None


ROUTES_WHO = [
    Route("GET", "/v1/who", who, query=WhoQuery, response=WhoResponse, summary="Where a package is used"),
]
