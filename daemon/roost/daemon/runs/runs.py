"""Runs: a record from the first moment, a supervisor that is not the daemon, and a true account of how each ended.

The parts are wired here: ``records`` stores, ``processes`` and ``containers`` observe, ``starts`` makes environments
ready; this module decides which of them a request is for.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from roost.daemon.builds.builds import Builds
from roost.daemon.decision.facts import IMAGE_TARGETS
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import DaemonStoppingError, Lifecycle
from roost.daemon.planning.planner import Planner
from roost.daemon.runs.containers import ContainerRuns
from roost.daemon.runs.processes import ProcessRuns
from roost.daemon.runs.records import RunOverError, RunRecords, run_over_error
from roost.daemon.runs.starts import DetachedStarts
from roost.daemon.runs.states import ENDED, decide_cancel
from roost.daemon.source_control.observer import CodeObserver, find_code_folders
from roost.model.records import RunRecord
from roost.store.store import Store

_LOOK_SECONDS = 0.5
"""Between two looks at a run that a client waits for."""


class Runs:
    """The runs of one root."""

    def __init__(
        self,
        store: Store,
        engines: Engines,
        events: Events,
        lifecycle: Lifecycle,
        builds: Builds,
        planner: Planner,
        socket: str,
    ) -> None:
        """``socket``: path that supervisors report to."""
        self._lifecycle = lifecycle
        self.records = RunRecords(store, events)
        self.code = CodeObserver(lifecycle)
        self.processes = ProcessRuns(self.records, lifecycle, socket, lambda: engines.config.runs.output_bytes)
        self.containers = ContainerRuns(self.records, engines, lifecycle, store.layout.root)
        self.starts = DetachedStarts(self.records, self.processes, self.containers, builds, planner, lifecycle)

    async def get(self, run_id: str) -> RunRecord:
        """Return the run as it is by now. ``run_id`` may be the beginning of an id, or ``latest``. Raises
        LookupFailedError, IdAmbiguousError."""
        return await self.processes.get(await self.records.find_id(run_id))

    async def wait_for_end(self, run_id: str, seconds: float) -> RunRecord:
        """Return the run once it has ended, or as it is after ``seconds``. Raises as ``get``, and DaemonStoppingError
        rather than hold up the stop."""
        deadline = time.monotonic() + seconds
        while True:
            end = self.records.next_end  # before the look: an end in between is not missed
            run = await self.get(run_id)
            left = deadline - time.monotonic()
            if run.state in ENDED or left <= 0:
                return run
            if self._lifecycle.is_stopping:
                raise DaemonStoppingError("The daemon is stopping", hint="Ask again: the run continues.")
            run_id = run.id
            with suppress(asyncio.TimeoutError):  # not every end is announced: some are found by looking
                await asyncio.wait_for(end.wait(), min(left, _LOOK_SECONDS))

    def observe_code(self, run: RunRecord) -> None:
        """Find out and record in the background which commit the run was started on, and whether the tree differed."""
        folders = find_code_folders(run.cwd, run.command)
        self.code.observe(run.id, folders, lambda code: self.records.record_code(run.id, code))

    async def cancel(self, run_id: str) -> RunRecord:
        """Cancel the run and return its record, whose state changes when the command has ended; a run that has not
        started yet never does. Raises RunOverError, NotAttachableError, LookupFailedError."""
        run = await self.get(run_id)
        run_id = run.id
        in_container = run.target in IMAGE_TARGETS
        if in_container and run.state not in ENDED and not self.containers.is_supervised(run_id):
            await self.containers.wait_reattached()
            run = await self.get(run_id)
        driver = self.containers if in_container else self.processes
        action = decide_cancel(
            run.state, is_supervised=driver.is_supervised(run_id), is_starting=self.starts.is_starting(run_id)
        )
        if action == "refuse-ended":
            raise run_over_error(run)
        if action == "withdraw":
            return await self.starts.withdraw(run_id)
        if in_container:
            await self.containers.cancel(run_id)
            return run
        if action == "refuse-unsupervised":
            raise RunOverError(
                f"Run {run_id} has no supervisor to notify",
                hint="It has not started yet, or its supervisor died.",
            )
        self.processes.ask_to_end(run_id)
        return run

    async def reattach(self) -> None:
        """Watch again the runs that outlived the last daemon."""
        await self.processes.reattach()
        await self.containers.reattach()

    async def stop(self) -> None:
        """Let go of all runs: those that are running go on, and the next daemon reattaches to them."""
        await self.code.stop()
        await self.containers.stop()
        await self.starts.stop()
        await self.processes.stop()
        await self.records.stop()
