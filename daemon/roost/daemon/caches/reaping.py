"""Delete what was moved into the trash, in a worker of the lowest priority.

A worker is killed at once when the deletion is cancelled, whatever system call it is in; the rest stays in the trash.
In a thread of the daemon, the lowest priority would hold up the daemon itself: whoever waits for the interpreter's lock
would wait for that thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from roost.daemon.background.priority import lower_priority
from roost.daemon.workers.context import JobContext
from roost.daemon.workers.jobs import WorkerJob, WorkerKind
from roost.store.disk.removal import delete_counting
from roost.store.failpoints import failpoint

WORK_SECONDS = 0.005
"""Work after which there is a rest."""


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
    return delete_counting(request.path, shrinks=request.shrinks, stops=Pace().rest)


class Pace:
    """Sleeps between pieces of work, as long as they took.

    The lowest priority leaves the processor to others, but not the journal and the locks of the file system.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._since = clock()

    def rest(self) -> bool:
        """Sleep if the work since the last sleep took long enough for that. Return false: the work is to go on."""
        worked = self._clock() - self._since
        if worked >= WORK_SECONDS:
            self._sleep(worked)
            self._since = self._clock()
        return False
