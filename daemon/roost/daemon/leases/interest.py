"""Leases as interest in builds: a build of a leased environment goes on when its last subscriber leaves.

Whether a lease is live must be known at the instant at which a subscriber leaves, so live
leases are mirrored in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Set
from datetime import datetime, timezone
from typing import TypeVar

from roost.daemon.jobs.lifecycle import BackgroundTasks, Lifecycle
from roost.daemon.jobs.shared_task import Listener, SharedTask
from roost.model.records import Lease

Outcome = TypeVar("Outcome")


class LeaseInterest:
    """The live leases on definitions and locks, and the builds that they keep alive."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._leases: dict[str, Lease] = {}
        self._changed = asyncio.Event()
        self._tasks = BackgroundTasks()

    def load(self, leases: Iterable[Lease]) -> None:
        """Begin with the leases of the index."""
        self._leases = {lease.id: lease for lease in leases if _wants_build(lease)}

    def put(self, lease: Lease) -> None:
        """Note a new or renewed lease."""
        self._leases.pop(lease.id, None)
        if _wants_build(lease):
            self._leases[lease.id] = lease
        self._notify()

    def delete(self, lease_id: str) -> None:
        """Note the end of a lease."""
        self._leases.pop(lease_id, None)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def seconds_left(self, digests: Set[str]) -> float:
        """Return for how long a lease on one of the definitions or locks is live; 0 if none is."""
        now = datetime.now(timezone.utc)
        left = [
            (_parse_stored(lease.expires) - now).total_seconds()
            for lease in self._leases.values()
            if digests & {lease.definition_digest, lease.target}
        ]
        return max([0.0, *left])

    def take_over(self, task: SharedTask[Outcome], digests: Set[str]) -> None:
        """Subscribe to a running build if a lease on its definition or lock is live, until none is or the build ends.

        Call it before the last subscriber leaves. The daemon is held meanwhile.
        """
        if task.is_done or task.is_cancelling or task.is_closed or not self.seconds_left(digests):
            return
        self._tasks.spawn(self._keep(task, task.subscribe(), digests))

    async def _keep(self, task: SharedTask[Outcome], listener: Listener, digests: Set[str]) -> None:
        ended = asyncio.ensure_future(task.wait_end())
        with self._lifecycle.hold("leased build"):
            try:
                while not task.is_done and (left := self.seconds_left(digests)):
                    changed = asyncio.ensure_future(self._changed.wait())
                    await asyncio.wait([ended, changed], timeout=left, return_when=asyncio.FIRST_COMPLETED)
                    changed.cancel()
            finally:
                task.unsubscribe(listener)
                ended.cancel()

    async def stop(self) -> None:
        """Withdraw all interest."""
        await self._tasks.cancel()


def _wants_build(lease: Lease) -> bool:
    """Whether the lease is on something that a build can lead to."""
    return lease.definition_digest is not None or lease.kind in ("prefix", "artifact")


def _parse_stored(text: str) -> datetime:
    """Return a time that ``store.clock`` formatted."""
    return datetime.fromisoformat(text[:-1] + "+00:00")
