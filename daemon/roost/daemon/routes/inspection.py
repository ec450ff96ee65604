"""Routes that look into an environment: its packages, why one of them is there, where it is, and who uses the disk."""

from __future__ import annotations

import msgspec

from roost.daemon.inspection.contents import Inspector, view_packages
from roost.daemon.inspection.programs import find_place
from roost.daemon.inspection.reasons import explain_package
from roost.daemon.inspection.usage import Grouping, UsageByView, divide_by
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES, Services
from roost.wire.inspection.packages import PackagesRequest, PackagesView, WhyRequest, WhyView
from roost.wire.inspection.programs import WhichRequest, WhichView


class UsageByQuery(msgspec.Struct, kw_only=True):
    """``project``: the folder of an environment file. ``age``: by the last use."""

    by: Grouping = "environment"


async def list_packages(call: Call[PackagesRequest]) -> PackagesView:
    body = call.body
    return view_packages(await _inspector(call.app[SERVICES]).find(body.what, body.target, needs=body.needs))


async def explain(call: Call[WhyRequest]) -> WhyView:
    services, body = call.app[SERVICES], call.body
    contents = await _inspector(services).find(body.what, body.target, needs=True)
    return await explain_package(services.store.index, contents, body)


async def find_environment(call: Call[WhichRequest]) -> WhichView:
    services = call.app[SERVICES]
    return await find_place(services.resolver, services.planner, call.body)


async def divide_disk_usage(call: Call[None]) -> UsageByView:
    services = call.app[SERVICES]
    items = await services.collector.list_cache_items()
    return await divide_by(services.store, items, call.query(UsageByQuery).by)


def _inspector(services: Services) -> Inspector:
    return Inspector(services.store, services.resolver, services.planner)


ROUTES_INSPECTION = [
    Route(
        "POST",
        "/v1/packages",
        list_packages,
        request=PackagesRequest,
        response=PackagesView,
        summary="The packages of an environment's lock, and what each needs; locks and builds nothing",
    ),
    Route(
        "POST",
        "/v1/packages/why",
        explain,
        request=WhyRequest,
        response=WhyView,
        summary="Why a package is in an environment",
    ),
    Route(
        "POST",
        "/v1/which",
        find_environment,
        request=WhichRequest,
        response=WhichView,
        summary="Where an environment is; builds nothing",
    ),
    Route(
        "GET",
        "/v1/usage",
        divide_disk_usage,
        query=UsageByQuery,
        response=UsageByView,
        summary="Disk usage by environment, project, kind or age",
    ),
]
