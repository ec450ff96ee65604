"""Runs: a record from the first moment, a supervisor that is not the daemon, and the truth about how it ended.

Foreground runs are supervised by the client that started them, detached ones by a process of their own; both hold a
lock and leave an exit file (``run_folders``), so that a daemon that was away learns what happened meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol

import msgspec

from roost.daemon.config.ids import new_id
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import DaemonStoppingError, Lifecycle
from roost.daemon.jobs.views import as_coded_error, error_body
from roost.model.errors import CodedError, InvalidRequestError, LookupFailedError, StoreError
from roost.model.records import KnownDefinition, RunRecord, RunState, VariableChange
from roost.store.clock import utc_now
from roost.store.disk.run_folders import RunExit, open_supervisor, read_outcome
from roost.store.store import Store
from roost.wire.runs import Launch, RunRequest, RunUpdate

log = logging.getLogger(__name__)
# Only while somebody follows a run's output.
_FOLLOW_SECONDS = 0.2
_CHUNK = 2**16
OVER = frozenset({"succeeded", "failed", "cancelled", "lost"})


_HOW = "Nothing is left to end: `roost runs show {}` tells how it went."


class RunOverError(InvalidRequestError):
    """The run has ended; nothing about it changes any more."""

    code = "run-over"
    http_status = 409


class RunPlacement(Protocol):
    """What a run is given to run in: a ``Launch``, or a container's."""

    @property
    def lock_digest(self) -> str | None: ...
    @property
    def generation(self) -> int | None: ...
    @property
    def artifact(self) -> str | None: ...


class Runs:
    """Records runs, starts detached ones, and watches those that are alive."""

    def __init__(self, store: Store, events: Events, lifecycle: Lifecycle, socket: str) -> None:
        self._store = store
        self._events = events
        self._lifecycle = lifecycle
        self._socket = socket
        self._watched: dict[str, int] = {}
        """Run id to pidfd of the supervisor."""
        self._foreground: set[str] = set()
        self._orphans: set[str] = set()
        """Runs whose command outlived its supervisor: they are looked at when somebody asks."""
        self._cancelled: set[str] = set()
        self._tasks: set[asyncio.Task[object]] = set()
        self._starting: dict[str, asyncio.Task[object]] = {}
        """Detached runs that no supervisor has yet."""

    def folder(self, run_id: str) -> str:
        """``<root>/runs/<id>``."""
        return self._store.layout.run_folder(run_id)

    async def create(
        self,
        request: RunRequest,
        resolved: TargetedDefinition,
        launch: RunPlacement | None,
        interpreter: Mapping[str, object] | None,
        *,
        run_id: str | None = None,
        target: str = "local",
        rerun_of: str | None = None,
    ) -> RunRecord:
        """Record a run that is about to start."""
        name, version = resolved.environment or (resolved.source.name, None)
        run = RunRecord(
            id=run_id or new_id("r"),
            state="preparing",
            target=target,
            command=tuple(request.command),
            cwd=request.what.cwd,
            definition_digest=resolved.digest,
            settings_digest=resolved.settings_digest,
            created=utc_now(),
            platform=resolved.generation_scope,
            environment_name=name,
            environment_version=version,
            lock_digest=launch.lock_digest if launch else None,
            generation=launch.generation if launch else None,
            artifact_id=launch.artifact if launch else None,
            interpreter=dict(interpreter) if interpreter else None,
            experiment=request.experiment,
            rerun_of=rerun_of,
            variables={**resolved.settings.variables, **request.variables},
            secrets=tuple(sorted(request.secrets)),
            detached=request.detach,
        )
        await asyncio.to_thread(os.makedirs, self.folder(run.id), 0o700, exist_ok=True)
        source = resolved.source
        seen = KnownDefinition(
            digest=resolved.digest, canonical=resolved.canonical, name=source.name, source=source.path
        )
        keep = partial(self._store.index.begin_run, run, seen, resolved.settings_canonical)
        return await self._events.record_with(keep, "run-created", run=run.id, command=list(run.command))

    async def get(self, run_id: str) -> RunRecord:
        """Raises LookupFailedError."""
        if run_id in self._orphans:
            await self._look_once(run_id)
        run = await self._store.index.runs.find(run_id)
        if run is None:
            raise LookupFailedError(f"No run has the id {run_id!r}", hint="`roost runs list` shows the latest ones.")
        return run

    async def update(self, run_id: str, update: RunUpdate) -> RunRecord:
        """What the supervisor tells."""
        run = await self.get(run_id)
        if run.state in OVER:
            if update.state == "running":
                raise RunOverError(f"Run {run_id} has ended ({run.state})", hint=_HOW.format(run_id))
            return run
        if update.state == "running":
            await self._store.index.runs.update(run_id, state="running", started=utc_now())
            if update.pid is not None:
                self._unwatch(run_id)
                self._watch(run_id, update.pid, foreground=not run.detached)
            return await self.get(run_id)
        return await self.settle(run_id, _told(update))

    async def fail(self, run_id: str, error: CodedError, *, exit_status: int = 125) -> None:
        """It never started."""
        body = msgspec.to_builtins(error_body(error))
        end = {"state": "failed", "ended": utc_now(), "exit_status": exit_status, "error": body}
        keep = partial(self._store.index.end_run, run_id, end)
        await self._events.record_with(keep, "run-ended", run=run_id, state="failed", code=error.code)

    def note_cancelled(self, run_id: str) -> None:
        """Whatever it ends with, it was cancelled."""
        self._cancelled.add(run_id)

    async def settle(self, run_id: str, found: RunExit) -> RunRecord:
        """Record how a run ended, or that nobody knows; one that is over stays as it is. What only waited for its end
        goes meanwhile."""
        ended_early = run_id in self._cancelled and found.state in ("failed", "lost")
        state: RunState = "cancelled" if ended_early else found.state
        if run_id in self._foreground:  # its client may do other things yet
            self._unwatch(run_id)
        status = found.exit_status
        end = {"state": state, "exit_status": status, "ended": found.ended or utc_now()}
        keep = partial(self._store.index.end_run, run_id, end)
        run = await self._events.record_with(keep, "run-ended", run=run_id, state=state, exit_status=status)
        self._cancelled.discard(run_id)
        self.spawn(self._sweep())
        return run

    async def _sweep(self) -> None:
        """Retired prefixes that the run was the last to use; the next end or start tries again."""
        try:
            await self._store.artifacts.sweep_retired()
        except StoreError as error:
            log.warning("A retired prefix could not be removed: %s", error.message)

    async def start_detached(self, run: RunRecord, launch: Launch, request: RunRequest) -> None:
        """Start the supervisor, which outlives the daemon."""
        spec = {
            "command": list(run.command),
            "cwd": run.cwd,
            "environ": replay(request.environ_of_client, launch, {**request.variables, **request.secrets}),
            "lease": launch.lease,
            "python": launch.python,
            "socket": self._socket,
            "run_id": run.id,
        }
        await self._store.index.runs.update(
            run.id, lock_digest=launch.lock_digest, generation=launch.generation, artifact_id=launch.artifact
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "roost.client.launch.supervise",
            self.folder(run.id),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        self._watch(run.id, process.pid)
        await _send(process, msgspec.json.encode(spec))

    def expect(self, run_id: str, pid: int) -> None:
        """Process ``pid`` was told to supervise the run, and may go before it has begun."""
        self._watch(run_id, pid, foreground=True)

    def _watch(self, run_id: str, pid: int, *, foreground: bool = False) -> None:
        if run_id in self._watched or not hasattr(os, "pidfd_open"):
            return
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            self.spawn(self._look(run_id))
        else:
            self._keep(run_id, descriptor, foreground=foreground)

    def _keep(self, run_id: str, descriptor: int, *, foreground: bool) -> None:
        """Learn of the supervisor's end by a pidfd: no polling, and no confusion if the pid is used again.

        Only foreground runs keep the daemon from being idle: a detached one does not need it.
        """
        self._watched[run_id] = descriptor
        if foreground:
            self._foreground.add(run_id)
            self._lifecycle.acquire("run")
        asyncio.get_running_loop().add_reader(descriptor, self._over, run_id)

    def _over(self, run_id: str) -> None:
        self._unwatch(run_id)
        self.spawn(self._look(run_id))

    def _unwatch(self, run_id: str) -> None:
        descriptor = self._watched.pop(run_id, None)
        if descriptor is None:
            return
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
        if run_id in self._foreground:
            self._foreground.discard(run_id)
            self._lifecycle.release("run")

    async def _look_once(self, run_id: str) -> None:
        self._orphans.discard(run_id)
        try:
            await self._look(run_id)
        except StoreError as error:  # its end can't be written now: it is told as it is recorded
            log.warning("How run %s ended is not recorded yet: %s", run_id, error.message)
            self._orphans.add(run_id)

    async def _look(self, run_id: str) -> None:
        """The supervisor is gone: what did it leave?"""
        run = await self.get(run_id)
        if run.state in OVER:
            return
        found = await asyncio.to_thread(read_outcome, self.folder(run_id))
        if found.state == "running":
            self._orphans.add(run_id)
        else:
            await self.settle(run_id, found)

    def start(self, run_id: str, work: Callable[[], Coroutine[object, object, object]]) -> None:
        """Let ``work`` make a detached run ready and hand it to its supervisor; ``cancel`` cancels it meanwhile."""
        task = self._starting[run_id] = self.spawn(self._started(run_id, work))
        task.add_done_callback(lambda _task: self._starting.pop(run_id, None))

    def is_starting(self, run_id: str) -> bool:
        """Whether it is being made ready, and ``cancel`` keeps it from starting."""
        return run_id in self._starting

    def note_handed_over(self, run_id: str) -> None:
        """It is an engine's from now on, to start and to cancel."""
        self._starting.pop(run_id, None)

    async def _started(self, run_id: str, work: Callable[[], Coroutine[object, object, object]]) -> None:
        """Whatever keeps it from starting is recorded: who waits for the run would wait for ever."""
        try:
            await work()
        except Exception as error:
            if not isinstance(error, CodedError):
                log.exception("Run %s could not be started", run_id)
            await self._fail_or_look_later(run_id, as_coded_error(error, "run"))

    async def _fail_or_look_later(self, run_id: str, error: CodedError) -> None:
        try:
            await self.fail(run_id, error)
        except CodedError as unwritten:
            log.warning("That run %s failed is not recorded yet: %s", run_id, unwritten.message)
            self._orphans.add(run_id)

    def spawn(self, work: Coroutine[object, object, object]) -> asyncio.Task[object]:
        """Let ``work`` go on by itself, and keep hold of it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def cancel(self, run_id: str) -> RunRecord:
        """Ask the supervisor to end its command (SIGTERM); the state changes when it has. One that has none yet is
        never started. Raises RunOverError, LookupFailedError."""
        run = await self.get(run_id)
        if run.state in OVER:
            raise RunOverError(f"Run {run_id} has ended ({run.state})", hint=_HOW.format(run_id))
        watched = self._watched.get(run_id)
        if watched is None and run_id in self._starting:
            self._starting[run_id].cancel()
            return await self.settle(run_id, RunExit(state="cancelled"))
        if watched is None:
            raise RunOverError(
                f"Run {run_id} has no supervisor that could be told",
                hint="It has not started yet, or its supervisor died.",
            )
        self._cancelled.add(run_id)
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(watched, signal.SIGTERM)
        return run

    async def adopt(self) -> None:
        """At start: watch again what is still alive."""
        for run in await self._store.index.runs.list_open():
            descriptor = await asyncio.to_thread(open_supervisor, self.folder(run.id))
            if descriptor is None and run.target == "local":
                self._orphans.add(run.id)
            elif descriptor is not None:
                self._keep(run.id, descriptor, foreground=not run.detached)

    async def look_at_orphans(self) -> None:
        """Before all runs are shown."""
        for run_id in list(self._orphans):
            await self.get(run_id)

    async def output(self, run_id: str, *, follow: bool) -> AsyncIterator[bytes]:
        """The raw output of a detached run: what there is, or, with ``follow``, until it ends. Raises
        DaemonStoppingError rather than hold up the stop."""
        path, offset = os.path.join(self.folder(run_id), "output"), 0
        while True:
            over = (await self.get(run_id)).state in OVER
            while chunk := await asyncio.to_thread(_read_at, path, offset):
                offset += len(chunk)
                yield chunk
            if over or not follow:
                return
            if self._lifecycle.is_stopping:
                raise DaemonStoppingError("The daemon is stopping", hint="Follow again: the run goes on.")
            await asyncio.sleep(_FOLLOW_SECONDS)

    async def stop(self) -> None:
        """Let go of the watches; detached runs go on, and those that were made ready are told why they never began."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for run_id in list(self._watched):
            self._unwatch(run_id)


async def _send(process: asyncio.subprocess.Process, data: bytes) -> None:
    """Hand the supervisor its orders; that it died before it read them shows on its pidfd."""
    assert process.stdin is not None
    process.stdin.write(data)
    with suppress(BrokenPipeError, ConnectionResetError):
        await process.stdin.drain()
    process.stdin.close()


def _read_at(path: str, offset: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(_CHUNK)
    except FileNotFoundError:
        return b""


def _told(update: RunUpdate) -> RunExit:
    state: RunState = "succeeded" if update.exit_status == 0 else "failed"
    return RunExit(state="cancelled" if update.state == "cancelled" else state, exit_status=update.exit_status)


def replay(environ: Mapping[str, str], launch: Launch, variables: Mapping[str, str]) -> dict[str, str]:
    """``environ`` after activation, the settings' variables and then ``variables``."""
    result = dict(environ)
    for change in launch.changes:
        _apply(
            result,
            VariableChange(name=change.name, action=change.action, value=change.value, separator=change.separator),
        )
    return {**result, **launch.variables, **variables}


def _apply(environ: dict[str, str], change: VariableChange) -> None:
    if change.action == "unset":
        environ.pop(change.name, None)
    elif change.action == "set" or not environ.get(change.name):
        environ[change.name] = change.value
    else:
        parts = [change.value, environ[change.name]]
        environ[change.name] = change.separator.join(parts if change.action == "prepend" else reversed(parts))
