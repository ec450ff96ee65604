"""Runs: a record from the first moment, a supervisor that is not the daemon, and a true account of how each ended.

The parts are wired here: ``records`` stores, ``processes`` and ``containers`` observe, ``starts`` makes environments
ready; this module decides which of them a request is for.
"""

from __future__ import annotations

from roost.daemon.builds.builds import Builds
from roost.daemon.decision.facts import IMAGE_TARGETS
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.planning.planner import Planner
from roost.daemon.runs.containers import ContainerRuns
from roost.daemon.runs.processes import ProcessRuns
from roost.daemon.runs.records import RunOverError, RunRecords, run_over_error
from roost.daemon.runs.starts import DetachedStarts
from roost.daemon.runs.states import decide_cancel
from roost.model.records import RunRecord
from roost.store.store import Store


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
        self.records = RunRecords(store, events)
        self.processes = ProcessRuns(self.records, lifecycle, socket, lambda: engines.config.runs.output_bytes)
        self.containers = ContainerRuns(self.records, engines, lifecycle, store.layout.root)
        self.starts = DetachedStarts(self.records, self.processes, self.containers, builds, planner, lifecycle)

    async def get(self, run_id: str) -> RunRecord:
        """Return the run as it is by now. Raises LookupFailedError."""
        return await self.processes.get(run_id)

    async def cancel(self, run_id: str) -> RunRecord:
        """Cancel the run and return its record, whose state changes when the command has ended; a run that has not
        started yet never does. Raises RunOverError, NotAttachableError, LookupFailedError."""
        run = await self.get(run_id)
        in_container = run.target in IMAGE_TARGETS
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
        await self.containers.stop()
        await self.starts.stop()
        await self.processes.stop()
        await self.records.stop()
