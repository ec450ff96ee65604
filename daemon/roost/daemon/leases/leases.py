"""Put, renew, list and release leases of clients."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from roost.daemon.leases.expiry import resolve_expiry
from roost.daemon.leases.interest import LeaseInterest
from roost.model.errors import InvalidRequestError, LookupFailedError
from roost.model.records import BUILD_HOLDER, BUILD_LEASE, Lease, LeaseTarget
from roost.store.clock import rfc3339
from roost.store.index.index import Index
from roost.wire.leases import LeaseRequest, LeaseView

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,199}")


class ClientLeases:
    """The leases that clients hold. ``interest`` learns of every change."""

    def __init__(self, index: Index, interest: LeaseInterest) -> None:
        self._index = index
        self.interest = interest

    async def load(self) -> None:
        """Note the leases that an earlier daemon left: they are as good as before."""
        self.interest.load(await self._index.leases.list_active())

    async def put(self, lease_id: str, request: LeaseRequest) -> LeaseView:
        """Acquire or renew a lease.

        Raises: InvalidRequestError, LeaseExpiryError, LeaseTakenError, LeaseTargetError, EnvironmentUnknownError,
            GenerationUnknownError, NameInvalidError.
        """
        _check_id(lease_id)
        if request.holder.startswith(BUILD_HOLDER):
            raise InvalidRequestError(f"Holders that start with {BUILD_HOLDER!r} are builds", hint="Use another text.")
        if (request.kind == "generation") != (request.generation is not None):
            raise InvalidRequestError(
                "`generation` and the kind `generation` go together",
                hint='For example {"kind": "generation", "subject": "iris:1", "generation": 2, "holder": "…"}.',
            )
        expires = resolve_expiry(datetime.now(timezone.utc), request.seconds, request.expires)
        target = LeaseTarget(kind=request.kind, subject=request.subject, generation=request.generation)
        lease = await self._index.leases.put(lease_id, target, request.holder, rfc3339(expires))
        self.interest.put(lease)
        return await self._view(lease)

    async def list_active(self) -> list[LeaseView]:
        """Return the live leases of clients, by id."""
        leases = await self._index.leases.list_active()
        return [await self._view(lease) for lease in leases if not lease.is_of_build]

    async def find(self, lease_id: str) -> LeaseView:
        """Return a live lease. Raises: LookupFailedError."""
        found = [lease for lease in await self.list_active() if lease.id == lease_id]
        if not found:
            raise _unknown_lease(lease_id)
        return found[0]

    async def delete(self, lease_id: str) -> None:
        """Release a lease. Raises: LookupFailedError if there is none; it may have expired."""
        lease = await self._index.leases.find(lease_id)
        if lease is None or lease.is_of_build or not await self._index.leases.delete(lease_id):
            raise _unknown_lease(lease_id)
        self.interest.delete(lease_id)

    async def _view(self, lease: Lease) -> LeaseView:
        return LeaseView(
            id=lease.id,
            kind=lease.kind,
            subject=lease.target,
            generation=lease.generation,
            holder=lease.holder,
            created=lease.created,
            expires=lease.expires,
            definition_digest=lease.definition_digest,
            protects=await self._index.leases.list_subjects(lease.id),
        )


def _unknown_lease(lease_id: str) -> LookupFailedError:
    return LookupFailedError(f"There is no lease {lease_id!r}", hint="It may have expired.")


def _check_id(lease_id: str) -> None:
    if not _ID.fullmatch(lease_id) or lease_id.startswith(BUILD_LEASE):
        raise InvalidRequestError(
            f"{lease_id[:50]!r} is not a valid id of a lease",
            hint="Use up to 200 letters, digits and . _ : @ - that do not start with build-, for example kernel-4711.",
        )
