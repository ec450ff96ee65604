"""Routes of leases: temporary protection of environments, generations, prefixes and images."""

from __future__ import annotations

from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.wire.leases import LeaseRequest, LeasesResponse, LeaseView


async def put_lease(call: Call[LeaseRequest]) -> LeaseView:
    return await call.app[SERVICES].leases.put(call.path("id"), call.body)


async def list_leases(call: Call[None]) -> LeasesResponse:
    return LeasesResponse(leases=await call.app[SERVICES].leases.list_active())


async def show_lease(call: Call[None]) -> LeaseView:
    return await call.app[SERVICES].leases.find(call.path("id"))


async def delete_lease(call: Call[None]) -> dict[str, str]:
    lease_id = call.path("id")
    await call.app[SERVICES].leases.delete(lease_id)
    return {"dropped": lease_id}


ROUTES_LEASES = [
    Route(
        "PUT",
        "/v1/leases/{id}",
        put_lease,
        request=LeaseRequest,
        response=LeaseView,
        summary="Acquire or renew a lease",
    ),
    Route("GET", "/v1/leases", list_leases, response=LeasesResponse, summary="Leases that have not expired"),
    Route("GET", "/v1/leases/{id}", show_lease, response=LeaseView, summary="One lease"),
    Route("DELETE", "/v1/leases/{id}", delete_lease, response=dict[str, str], summary="Release a lease"),
]
