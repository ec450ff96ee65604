"""Route of the search for where a package is used."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from roost.daemon.compare.where_used import WhoResponse, find_where_used
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.model.errors import InvalidRequestError
from roost.model.locks.lock import PackageKind
from roost.model.package_uses import UseKind, UsePage


class WhereUsedQuery(msgspec.Struct, kw_only=True):
    """``package``: a name, and which versions in conda's or pip's syntax; ``kind``: packages of that kind only.
    ``listed`` and ``before``: of one list, the rows after a page, which has that position under ``next``."""

    package: Annotated[str, Meta(min_length=1, max_length=1000)]
    kind: PackageKind | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    listed: UseKind | None = None
    before: Annotated[str, Meta(max_length=1000)] | None = None


async def show_where_used(call: Call[None]) -> WhoResponse:
    query = call.query(WhereUsedQuery)
    if (query.listed is None) != (query.before is None):
        raise InvalidRequestError(
            "One of 'listed' and 'before' is missing", hint="Send both, or neither for the first page."
        )
    page = UsePage(kind=query.listed, before=query.before) if query.listed and query.before is not None else None
    return await find_where_used(call.app[SERVICES].store.index, query.package, query.kind, query.limit, page)


ROUTES_WHERE_USED = [
    Route(
        "GET", "/v1/who", show_where_used, query=WhereUsedQuery, response=WhoResponse, summary="Where a package is used"
    ),
]
