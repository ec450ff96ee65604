"""What is recorded of containers: all of runs, nothing of commands by ``exec`` and ``shell``.

Separate from ``containers``, which treats both alike.
"""

from __future__ import annotations

from roost.daemon.runs.records import RunRecords
from roost.model.errors import CodedError
from roost.store.disk.run_folders import RunExit


class ContainerRecords:
    """The records of containers by the id of the run, or of the command that is no run."""

    def __init__(self, stored: RunRecords) -> None:
        self.stored = stored
        self.unrecorded: set[str] = set()
        """Commands that are no runs and have not ended."""

    def add_unrecorded(self, command_id: str) -> None:
        """Record nothing of ``command_id`` until it ends."""
        self.unrecorded.add(command_id)

    def is_unrecorded(self, run_id: str) -> bool:
        return run_id in self.unrecorded

    async def has_started(self, run_id: str) -> bool:
        """Whether a run has started, so that its end is awaited whatever happens to its engine."""
        return run_id not in self.unrecorded and (await self.stored.get(run_id)).state == "running"

    async def mark_running(self, run_id: str) -> None:
        if run_id not in self.unrecorded:
            await self.stored.mark_running(run_id)

    def request_cancel(self, run_id: str) -> None:
        if run_id not in self.unrecorded:
            self.stored.request_cancel(run_id)

    async def end(self, run_id: str, observation: RunExit) -> None:
        if run_id in self.unrecorded:
            self.unrecorded.discard(run_id)
        else:
            await self.stored.end(run_id, observation)

    async def fail(self, run_id: str, error: CodedError, *, exit_status: int) -> None:
        if run_id in self.unrecorded:
            self.unrecorded.discard(run_id)
        else:
            await self.stored.fail(run_id, error, exit_status=exit_status)
