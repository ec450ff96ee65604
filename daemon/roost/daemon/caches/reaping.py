"""Delete what was moved into the trash, in a worker of the lowest priority.

A worker is killed at once when the deletion is cancelled, whatever system call it is in; the rest stays in the trash.
In a thread of the daemon, the lowest priority would hold up the daemon itself: whoever waits for the interpreter's lock
would wait for that thread.
"""

from __future__ import annotations

import msgspec

from roost.daemon.background.priority import lower_priority
from roost.daemon.workers.context import JobContext
from roost.daemon.workers.jobs import WorkerJob, WorkerKind
from roost.store.disk.removal import delete_counting
from roost.store.failpoints import failpoint


class ReapRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Delete ``path``; ``shrinks``: as in ``store.disk.removal``."""

    path: str
    shrinks: bool


REAP = WorkerJob(
    kind=WorkerKind(name="removal", processes=1), target="roost.daemon.caches.reaping:reap", payload=ReapRequest,
    result=int, doing="deleting what was removed",
)  # fmt: skip


def reap(request: ReapRequest, context: JobContext) -> int:
    """Delete a path; return the bytes that were freed."""
    lower_priority()
    failpoint("collect.reaping")
    return delete_counting(request.path, shrinks=request.shrinks)
