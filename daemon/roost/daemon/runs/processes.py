"""Runs as processes of this machine: supervised by the client that started them, or detached by a process of their own.

Every supervisor holds a lock and leaves an exit file in the run's folder (``store.disk.run_folders``), so that a daemon
that was away learns what happened meanwhile. The daemon watches supervisors by pidfd and never supervises itself. A
supervisor in the foreground that is watched reports nothing: that its process has ended is the report. Whoever asks for
a run that is not known to have ended gets what its folder says.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Set
from contextlib import suppress

import msgspec

from roost.daemon.jobs.lifecycle import BackgroundTasks, DaemonStoppingError, Lifecycle
from roost.daemon.runs.records import RunOverError, RunRecords
from roost.daemon.runs.states import ENDED, observation_from_report
from roost.daemon.runs.stored_output import find_tail, read_at
from roost.model.errors import StoreError
from roost.model.records import RunRecord
from roost.store.disk.run_folders import RunExit, open_supervisor, read_exit, read_outcome, read_start
from roost.wire.installation import isolated_command
from roost.wire.runs import Launch, RunRequest, RunUpdate

log = logging.getLogger(__name__)
_FOLLOW_SECONDS = 0.2
"""Between two looks at a run's output, only while a client follows it."""


class ProcessRuns:
    """Starts detached runs, and watches those that are alive."""

    def __init__(self, records: RunRecords, lifecycle: Lifecycle, socket: str, output_limit: Callable[[], int]) -> None:
        """``output_limit``: returns the bound in force of a detached run's output, in bytes."""
        self._records = records
        self._output_limit = output_limit
        self._lifecycle = lifecycle
        self._socket = socket
        self._background = BackgroundTasks()
        self._supervisors: dict[str, int] = {}
        """Run id to pidfd."""
        self._foreground: set[str] = set()
        self._orphans: set[str] = set()
        """Runs without a supervisor that may go on or have left an exit file: checked when a client requests them."""
        self._open: set[str] = set()
        """Runs whose end is not committed yet, as far as is known here: their folder is read when a client requests
        them."""
        self._unstarted: set[str] = set()
        """Those of which no start is recorded."""

    def is_supervised(self, run_id: str) -> bool:
        """Whether a supervisor of the run is being watched."""
        return run_id in self._supervisors

    async def get(self, run_id: str) -> RunRecord:
        """Return the run as it is by now. Raises LookupFailedError."""
        if run_id in self._orphans:
            await self._check_orphan(run_id)
        elif run_id in self._open:
            await self._read_folders([run_id])
        run = await self._records.get(run_id)
        if run.state in ENDED:
            self._open.discard(run_id)
        return run

    async def start_detached(self, run: RunRecord, launch: Launch, request: RunRequest) -> None:
        """Start the supervisor, which outlives the daemon. Raises OSError if the system has no room for a process."""
        spec = {
            "command": request.command,
            "cwd": run.cwd,
            "launch": msgspec.to_builtins(launch),
            "environ": request.environ_of_client,
            "variables": {**request.variables, **request.secrets},
            "socket": self._socket,
            "run_id": run.id,
            "output_bytes": self._output_limit(),
        }
        await self._records.record_placement(run.id, launch)
        process = await asyncio.create_subprocess_exec(
            *isolated_command("roost.client.launch.supervise", self._records.folder(run.id)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        self._watch_pid(run.id, process.pid)
        await _write_spec(process, msgspec.json.encode(spec))

    async def report(self, run_id: str, update: RunUpdate, supervisor: int | None) -> RunRecord:
        """Record what a supervisor reports. ``supervisor``: the process that ``update`` names, if it is known here.

        Raises RunOverError, LookupFailedError, StoreError.
        """
        reported = observation_from_report(update)
        if reported.state != "running":
            run = await self.get(run_id)  # as its exit file says, which has the times too
            return run if self._records.observe(run, reported) is None else await self._end(run_id, reported)
        run = await self._records.mark_running(run_id, update.started)
        self._unstarted.discard(run_id)
        if supervisor is not None:
            self._unwatch(run_id)
            self._watch_pid(run_id, supervisor, foreground=not run.detached)
        elif update.pid is not None and run_id not in self._supervisors:
            self.check_later(run_id)  # its folder says when it has ended
        return run

    def expect_supervisor(self, run_id: str, pid: int) -> bool:
        """Watch process ``pid``, which is to supervise the run and may end before it has begun. Return whether that is
        possible here."""
        self._unstarted.add(run_id)
        self._watch_pid(run_id, pid, foreground=True)
        return self.is_supervised(run_id)

    def expect_nobody(self, run_id: str) -> None:
        """Record that nobody will supervise the run."""
        self._background.spawn(self._check_orphan(run_id))

    def ask_to_end(self, run_id: str) -> None:
        """Ask the supervisor to end its command (SIGTERM); the state changes when it has."""
        self._records.request_cancel(run_id)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._supervisors[run_id], signal.SIGTERM)

    def _watch_pid(self, run_id: str, pid: int, *, foreground: bool = False) -> None:
        self._open.add(run_id)
        if run_id in self._supervisors or not hasattr(os, "pidfd_open"):
            return
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            self._background.spawn(self._check_orphan(run_id))
        else:
            self._watch(run_id, descriptor, foreground=foreground)

    def _watch(self, run_id: str, descriptor: int, *, foreground: bool) -> None:
        """Learn of the supervisor's end by a pidfd: no polling, and no confusion if the pid is used again.

        Only foreground runs keep the daemon from being idle: a detached one does not need it.
        """
        self._supervisors[run_id] = descriptor
        if foreground:
            self._foreground.add(run_id)
            self._lifecycle.acquire("run")
        asyncio.get_running_loop().add_reader(descriptor, self._on_exit, run_id)

    def _on_exit(self, run_id: str) -> None:
        self._unwatch(run_id)
        self._background.spawn(self._check_orphan(run_id))

    def _unwatch(self, run_id: str) -> None:
        descriptor = self._supervisors.pop(run_id, None)
        if descriptor is None:
            return
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        if run_id in self._foreground:
            self._foreground.discard(run_id)
            self._lifecycle.release("run")

    async def _check(self, run_id: str) -> None:
        """Record what a supervisor that has ended left: an exit file, a command that goes on, or nothing."""
        observation = await asyncio.to_thread(read_outcome, self._records.folder(run_id))
        if observation.state != "running":
            await self._end(run_id, observation)  # one that has ended already stays as it is
            return
        self._orphans.add(run_id)
        if (await self._records.get(run_id)).state == "preparing":
            await self._records.mark_running(run_id)  # its supervisor ended before it could report that

    async def _end(self, run_id: str, observation: RunExit) -> RunRecord:
        if run_id in self._foreground:  # its client may do other things yet
            self._unwatch(run_id)
        run = await self._records.end(run_id, observation)
        self._open.discard(run_id)
        self._unstarted.discard(run_id)
        return run

    async def _read_folders(self, run_ids: Iterable[str]) -> None:
        """Record the start and the end of runs as far as their folders have them, whether or not anything was
        reported."""
        folders = {run_id: self._records.folder(run_id) for run_id in run_ids}
        unstarted = frozenset(self._unstarted.intersection(folders))
        for run_id, found in (await asyncio.to_thread(_read_states, folders, unstarted)).items():
            try:
                if found.state != "running":
                    await self._end(run_id, found)
                    continue
                await self._records.mark_running(run_id, found.started)
                self._unstarted.discard(run_id)
            except RunOverError:  # it has ended in between
                pass
            except StoreError as error:  # the run is reported as it is recorded
                log.warning("The state of run %s is not recorded yet: %s", run_id, error.message)

    def check_later(self, run_id: str) -> None:
        """Check the run when a client requests it: its end could not be written now."""
        self._orphans.add(run_id)

    async def check_all(self) -> None:
        """Record the ends of runs that have ended by now, before all runs are listed."""
        for run_id in list(self._orphans):
            await self._check_orphan(run_id)
        if self._open:
            await self._read_folders(self._open)

    async def _check_orphan(self, run_id: str) -> None:
        self._orphans.discard(run_id)
        try:
            await self._check(run_id)
        except StoreError as error:  # its end can't be written now: the run is reported as it is recorded
            log.warning("The end of run %s is not recorded yet: %s", run_id, error.message)
            self._orphans.add(run_id)

    async def reattach(self) -> None:
        """Watch the supervisors again that outlived the last daemon."""
        for run in await self._records.list_open():
            descriptor = await asyncio.to_thread(open_supervisor, self._records.folder(run.id))
            if descriptor is None and run.target == "local":
                self._orphans.add(run.id)
            elif descriptor is not None:
                self._open.add(run.id)
                if run.state == "preparing" and not run.detached:
                    self._unstarted.add(run.id)
                self._watch(run.id, descriptor, foreground=not run.detached)

    async def output(self, run_id: str, *, follow: bool, tail: int | None = None) -> AsyncIterator[bytes]:
        """Yield the raw output that is stored of a run: what there is, or with ``follow`` until it ends; ``tail``: its
        last lines only. A line stands for what is left out. Raises DaemonStoppingError rather than hold up the stop."""
        folder = self._records.folder(run_id)
        offset = 0 if tail is None else await asyncio.to_thread(find_tail, folder, tail)
        while True:
            has_ended = (await self.get(run_id)).state in ENDED
            while (found := await asyncio.to_thread(read_at, folder, offset))[0]:
                chunk, offset = found
                yield chunk
            if has_ended or not follow:
                return
            if self._lifecycle.is_stopping:
                raise DaemonStoppingError("The daemon is stopping", hint="Follow it again: the run continues.")
            await asyncio.sleep(_FOLLOW_SECONDS)

    async def stop(self) -> None:
        """Watch no more; detached runs go on."""
        await self._background.wait()
        for run_id in list(self._supervisors):
            self._unwatch(run_id)


def _read_states(folders: Mapping[str, str], unstarted: Set[str]) -> dict[str, RunExit]:
    """Return the states of runs that their folders have, of those that run only if they are ``unstarted``."""
    found = {}
    for run_id, folder in folders.items():
        state = read_exit(folder)
        if state is None and run_id in unstarted and (started := read_start(folder)) is not None:
            state = RunExit(state="running", started=started)
        if state is not None:
            found[run_id] = state
    return found


async def _write_spec(process: asyncio.subprocess.Process, data: bytes) -> None:
    """Send the supervisor its instructions. If it ended before it read them, its pidfd shows that."""
    assert process.stdin is not None
    process.stdin.write(data)
    with suppress(BrokenPipeError, ConnectionResetError):
        await process.stdin.drain()
    process.stdin.close()
