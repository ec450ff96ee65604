"""Who runs a job: an idle worker, a new one, or whoever is free first.

Workers are kept apart by their kind and their environment: native libraries read proxies and certificates from the
environment of their process. The worker that was used last is used first, because its caches are warm; one that had
nothing to do for :data:`IDLE_SECONDS` is ended. Background work has workers of its own, of the lowest
priority, and takes nobody's turn.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Mapping
from typing import TypeVar

from roost.daemon.background.work import is_background
from roost.daemon.jobs.progress import Progress, Silent
from roost.daemon.workers.errors import WorkerCrashedError
from roost.daemon.workers.jobs import QUICK_PROCESSES, WorkerJob, WorkerKind
from roost.daemon.workers.process import NotStartedError, Worker
from roost.store.cancellation import finish_despite_cancel
from roost.store.disk.file_ops import remove_tree
from roost.store.failpoints import FAILPOINT, HOLD, TRACE

P = TypeVar("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
_STARTS = 3
"""Workers that may end before they have read a job until that counts as a crash."""

_Key = tuple[str, bool, tuple[tuple[str, str], ...]]
"""Kind, whether the priority is lowered, and environment."""


class WorkerPool:
    """All workers of a daemon, each with a folder of its own in ``folder``."""

    def __init__(self, folder: str, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self._folder = folder
        self._idle_seconds = idle_seconds
        self._idle: dict[_Key, list[Worker]] = {}
        self._timers: dict[Worker, asyncio.TimerHandle] = {}
        self._all: set[Worker] = set()
        self._slots: dict[tuple[str, bool, bool], asyncio.Semaphore] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def run(
        self,
        job: WorkerJob[P, R],
        payload: P,
        progress: Progress | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> R:
        """Run ``job`` in a worker with the environment ``environ``, which is empty by default.

        If the caller is cancelled, the worker is killed before the cancellation goes on.

        Raises:
            WorkerCrashedError, WorkerTimeoutError: see the classes.
            CodedError: what the job raised.
        """
        progress = progress or Silent()
        lowered = is_background()
        key = (job.kind.name, lowered, tuple(sorted({**(environ or {}), **_test_variables()}.items())))
        slot = self._slot(job, lowered=lowered)
        if slot.locked():
            progress.log(f"waiting for one of the {job.kind.name} workers: all of them are at work")
        async with slot:
            for _ in range(_STARTS):
                worker = self._take_idle(key) or await self._start(job.kind, key)
                try:
                    return await worker.run(job, payload, progress)
                except NotStartedError:
                    log.warning("The %s worker %d ended before it was used", job.kind.name, worker.pid)
                finally:
                    await self._put_back(key, worker)
        raise WorkerCrashedError(
            f"The {job.kind.name} workers end before they can work",
            hint="`roost daemon logs` shows what they printed. The machine may lack memory or processes.",
        )

    async def close(self) -> None:
        """End all workers; jobs that are running fail."""
        self._is_closed = True
        await asyncio.gather(*(self._discard(worker) for worker in list(self._all)))
        await asyncio.gather(*self._ending, return_exceptions=True)

    def list_pids(self) -> list[int]:
        """Return the processes of all workers."""
        return sorted(worker.pid for worker in self._all)

    def _slot(self, job: WorkerJob[P, R], *, lowered: bool) -> asyncio.Semaphore:
        key = (job.kind.name, job.quick, lowered)
        if key not in self._slots:
            self._slots[key] = asyncio.Semaphore(QUICK_PROCESSES if job.quick else job.kind.processes)
        return self._slots[key]

    def _take_idle(self, key: _Key) -> Worker | None:
        workers = self._idle.get(key, [])
        while workers:
            worker = workers.pop()
            self._timers.pop(worker).cancel()
            if not worker.has_ended:
                return worker
            self._end_later(worker)
        return None

    async def _start(self, kind: WorkerKind, key: _Key) -> Worker:
        """Start a worker. One that is idle with another environment makes room for it."""
        if len([worker for worker in self._all if worker.kind.name == kind.name]) >= kind.processes + QUICK_PROCESSES:
            self._end_oldest_idle(kind)
        folder = os.path.join(self._folder, secrets.token_hex(6))
        await asyncio.to_thread(os.makedirs, folder, 0o700)
        try:
            worker = await Worker.start(kind, folder, dict(key[2]), is_lowered=key[1])
        except BaseException:
            await asyncio.shield(asyncio.to_thread(remove_tree, folder))
            raise
        self._all.add(worker)
        log.info("Started the %s worker %d", kind.name, worker.pid)
        return worker

    async def _put_back(self, key: _Key, worker: Worker) -> None:
        if worker.has_ended or self._is_closed:
            await finish_despite_cancel(asyncio.create_task(self._discard(worker)))
            return
        self._idle.setdefault(key, []).append(worker)
        loop = asyncio.get_running_loop()
        self._timers[worker] = loop.call_later(self._idle_seconds, self._end_idle, key, worker)

    def _end_idle(self, key: _Key, worker: Worker) -> None:
        self._idle[key].remove(worker)
        if not self._idle[key]:
            del self._idle[key]
        self._timers.pop(worker).cancel()
        self._end_later(worker)

    def _end_oldest_idle(self, kind: WorkerKind) -> None:
        found = [(key, worker) for key, workers in self._idle.items() for worker in workers]
        for key, worker in found:
            if worker.kind.name == kind.name:
                self._end_idle(key, worker)
                return

    def _end_later(self, worker: Worker) -> None:
        task = asyncio.ensure_future(self._discard(worker))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _discard(self, worker: Worker) -> None:
        """End ``worker`` and delete its folder."""
        self._all.discard(worker)
        await worker.end()
        await asyncio.to_thread(remove_tree, worker.folder)


def _test_variables() -> dict[str, str]:
    """Return the variables by which tests kill or hold a process at a point: those of the daemon are its workers'."""
    return {name: os.environ[name] for name in (FAILPOINT, HOLD, TRACE) if name in os.environ}
