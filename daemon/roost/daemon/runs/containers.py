"""Runs as containers of a Docker engine: target ``docker``.

The daemon creates, starts, waits for and removes the container, and is the bridge between it and the client. A
container carries the root's and the run's label, so that a later daemon knows it: it reattaches to what is running,
records what ended meanwhile, and removes what nobody needs any more. A run whose container no longer exists is lost.

    runs.prepare(run_id, launch, request)           # foreground: the container is being created from now on
    await runs.attach(run_id, channel)              # the client's stream, to the end of the run
    await runs.start_detached(run, launch, request) # starts it; its output goes to <root>/runs/<id>/output
    await runs.cancel(run_id) · await runs.reattach() · await runs.stop()
    await runs.find_images_in_use() -> {image id: ("container:<12 hex>", …)}    # images that must not be removed
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from roost.daemon.caller.current import caller_variables, use_caller
from roost.daemon.caller.variables import DOCKER
from roost.daemon.engines.docker.labels import RUN_LABEL, root_name
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.lifecycle import BackgroundTasks, Lifecycle
from roost.daemon.jobs.views import error_body
from roost.daemon.runs.attach import Channel
from roost.daemon.runs.bridge import Bridge, ClientGoneError
from roost.daemon.runs.container_records import ContainerRecords
from roost.daemon.runs.container_specs import ContainerLaunch, container_spec
from roost.daemon.runs.records import RunRecords
from roost.daemon.runs.states import ENDED, LOST, NEVER_ATTACHED, exit_from_status, observation_from_container
from roost.daemon.runs.sweep import ContainerSweep
from roost.model.errors import CodedError, LookupFailedError, ServiceUnreachableError, StoreError
from roost.model.records import RunRecord
from roost.wire.run_output import StoredOutput
from roost.wire.runs import RunRequest, Terminal

if TYPE_CHECKING:  # the SDK is loaded when an engine is first used
    from roost.daemon.engines.docker.containers import DockerContainers

log = logging.getLogger(__name__)
ATTACH_SECONDS = 60.0
"""How long a container waits for the client that requested it."""
END_SECONDS = 10.0
"""Between asking a command to end and killing it, as `docker stop` does."""
AWAY_SECONDS = 30.0
"""How long an engine may be unreachable before a run is left for later."""
AWAY_STEP = 0.5
AGAIN_SECONDS = 30.0
"""Until the engine is asked again about runs that are still open."""
_UNSET = dict.fromkeys(DOCKER, "")
SETTLE_SECONDS = 2.0
"""A container's output ends this long before the container does, at the most."""


class NotAttachableError(LookupFailedError):
    """No container of this run waits for a client, or is known at all."""

    code = "run-not-attachable"


@dataclass(frozen=True)
class PendingContainer:
    """A container that is being created, or waits, for a client that is to attach."""

    task: asyncio.Task[str]
    """Creates the container; its id."""
    timer: asyncio.TimerHandle
    terminal: Terminal | None


class ContainerRuns:
    """The containers of one root, from their creation to their end."""

    def __init__(self, records: RunRecords, engines: Engines, lifecycle: Lifecycle, root: str) -> None:
        self._records = ContainerRecords(records)
        self._engines = engines
        self._lifecycle = lifecycle
        self._root_label = root_name(root)
        self._pending: dict[str, PendingContainer] = {}
        """By run id, until a client attaches."""
        self._containers: dict[str, str] = {}
        """Run id to container id."""
        self._engine_variables: dict[str, Mapping[str, str]] = {}
        """Run id to the variables that name its engine: who cancels it, or attaches, may name another one."""
        self._followed: set[str] = set()
        """Runs whose end a task of this daemon waits for."""
        self._retry: asyncio.Task[None] | None = None
        self._reattaching: asyncio.Task[None] | None = None
        """Looks after the open runs of an earlier daemon."""
        self._background = BackgroundTasks()
        self._attached: set[asyncio.Task[None]] = set()
        self._root = root
        self._sweeps: dict[tuple[tuple[str, str], ...], ContainerSweep] = {}
        """By the variables that name the engine."""

    async def _engine(self) -> DockerContainers:
        return (await self._engines.docker()).containers

    def _sweep(self) -> ContainerSweep:
        """Return the sweep of the engine that the caller names."""
        variables = self._engines.docker_variables()

        async def engine() -> DockerContainers:
            with use_caller(variables):
                return await self._engine()

        key = tuple(sorted(variables.items()))
        if key not in self._sweeps:
            self._sweeps[key] = ContainerSweep(engine, self._root, self._is_needed)
        return self._sweeps[key]

    def _with_engine(self, run_id: str) -> AbstractContextManager[None]:
        """Work with the engine of the run in the block, and in the tasks that it starts."""
        known = self._engine_variables.get(run_id)
        return nullcontext() if known is None else use_caller({**caller_variables(), **_UNSET, **known})

    # -------------------------------------------------- foreground: a client attaches
    def prepare(self, run_id: str, launch: ContainerLaunch, request: RunRequest, *, is_recorded: bool = True) -> None:
        """Create the container while the run is being recorded, if it is, and the client gets ready to attach."""
        if not is_recorded:
            self._records.add_unrecorded(run_id)
        self._engine_variables[run_id] = self._engines.docker_variables()
        task = asyncio.create_task(self._create(run_id, launch, request))
        timer = asyncio.get_running_loop().call_later(ATTACH_SECONDS, self._on_timeout, run_id)
        self._pending[run_id] = PendingContainer(task, timer, request.terminal)
        self._followed.add(run_id)

    def _on_timeout(self, run_id: str) -> None:
        """Remove the container of a client that never came."""
        pending = self._pending.pop(run_id, None)
        if pending is not None:
            self._background.spawn(self._abandon(run_id, pending))

    async def _abandon(self, run_id: str, pending: PendingContainer) -> None:
        await self._discard(run_id, pending)
        await self._records.end(run_id, NEVER_ATTACHED)
        self._followed.discard(run_id)

    async def _create(self, run_id: str, launch: ContainerLaunch, request: RunRequest) -> str:
        engine = await self._engines.docker()
        facts = await engine.facts()
        spec = await asyncio.to_thread(container_spec, run_id, launch, request, facts, self._root_label)
        container = self._containers[run_id] = await engine.containers.create(spec)
        return container

    def require_pending(self, run_id: str) -> None:
        """Raise NotAttachableError if no container waits for the client of ``run_id``."""
        if run_id not in self._pending:
            raise NotAttachableError(
                f"Run {run_id} has no container that waits for a client", hint="Start another run."
            )

    async def attach(self, run_id: str, channel: Channel) -> None:
        """Bridge the client and the container to the end; failures are sent on the channel.

        Raises NotAttachableError.
        """
        self.require_pending(run_id)
        pending = self._pending.pop(run_id)
        pending.timer.cancel()
        with self._with_engine(run_id):
            attached = asyncio.create_task(self._run_attached(run_id, pending, channel))
        self._attached.add(attached)
        attached.add_done_callback(self._attached.discard)
        await asyncio.wait([attached])

    async def _run_attached(self, run_id: str, pending: PendingContainer, channel: Channel) -> None:
        try:
            with self._lifecycle.hold("run"):
                await self._start_and_bridge(run_id, await asyncio.shield(pending.task), pending, channel)
        except ClientGoneError:
            await self._on_client_gone(run_id, pending)
        except CodedError as error:
            await self._on_failure(run_id, pending, error)
            with suppress(ConnectionError):
                await channel.send_error(error_body(error))
        finally:
            self._followed.discard(run_id)

    async def _start_and_bridge(self, run_id: str, container: str, pending: PendingContainer, channel: Channel) -> None:
        engine = await self._engine()
        streams = await engine.attach(container)
        try:
            await engine.start(container)
            recording = asyncio.create_task(self._record_running(run_id))
            try:
                bridge = Bridge(engine, container, streams, channel, at_terminal=pending.terminal is not None)
                if pending.terminal:
                    await bridge.resize(pending.terminal.rows, pending.terminal.columns)
                status = await bridge.run(self._wait_exit)
            finally:
                await asyncio.wait([recording])  # before the end is recorded: this would undo it
        finally:
            streams.close()
        await self._on_exit(run_id, container, status)
        with suppress(ConnectionError):
            await channel.send_exit(status)

    async def _on_failure(self, run_id: str, pending: PendingContainer, error: CodedError) -> None:
        """Record a run that could not start, or whose engine became unreachable. Without an engine nobody knows how a
        started command ended: that run stays open until an engine answers."""
        if isinstance(error, ServiceUnreachableError) and await self._records.has_started(run_id):
            self._schedule_retry()
            return
        self._background.spawn(self._discard(run_id, pending))
        try:
            await self._records.fail(run_id, error, exit_status=getattr(error, "status", 125))
        except StoreError as unwritten:
            log.warning("The failure of run %s is not recorded yet: %s", run_id, unwritten.message)
            self._schedule_retry()

    async def _on_client_gone(self, run_id: str, pending: PendingContainer) -> None:
        """End the command, with SIGHUP first, as a terminal that closes sends it."""
        self._records.request_cancel(run_id)
        try:
            container = await pending.task
            await self._on_exit(run_id, container, await self._stop_container(container, "SIGHUP"))
        except ServiceUnreachableError:
            if self._records.is_unrecorded(run_id):
                await self._discard(run_id, pending)
            self._schedule_retry()  # the command goes on without the client, or ended: the engine will know
        except CodedError:
            await self._discard(run_id, pending)
            await self._records.end(run_id, LOST)

    async def _discard(self, run_id: str, pending: PendingContainer) -> None:
        with suppress(CodedError):
            await self._sweep().remove(await pending.task)
        self._containers.pop(run_id, None)

    # ---------------------------------------------------------- from start to exit
    async def _record_running(self, run_id: str) -> None:
        try:
            await self._records.mark_running(run_id)
        except StoreError as error:  # it runs all the same, and its end may find room
            log.warning("The start of run %s is not recorded: %s", run_id, error.message)

    async def _wait_exit(self, container: str) -> int:
        """Return the exit status, after waiting for an engine that restarts under the container."""
        engine, deadline = await self._engine(), None
        while True:
            try:
                return await engine.wait(container)
            except ServiceUnreachableError:
                now = asyncio.get_running_loop().time()
                deadline = deadline or now + AWAY_SECONDS
                if now > deadline:
                    raise
            await asyncio.sleep(AWAY_STEP)

    async def _on_exit(self, run_id: str, container: str, status: int) -> None:
        """Record the end; the container is removed in the background. If the end can't be written now, the container
        stays: it knows how the run ended, and is asked again."""
        try:
            await self._records.end(run_id, exit_from_status(status))
        except StoreError as error:
            log.warning("The end of run %s is not recorded yet: %s", run_id, error.message)
            self._schedule_retry()
            return
        self._containers.pop(run_id, None)
        self._engine_variables.pop(run_id, None)
        self._background.spawn(self._sweep().remove(container))

    async def _stop_container(self, container: str, signal: str) -> int:
        """Ask the command to end with ``signal``, kill it if it does not, and return its exit status."""
        engine = await self._engine()
        await engine.kill(container, signal)
        try:
            return await asyncio.wait_for(engine.wait(container), END_SECONDS)
        except asyncio.TimeoutError:
            await engine.kill(container, "SIGKILL")
            return await engine.wait(container)

    # ------------------------------------------------------- detached: nobody attaches
    async def start_detached(self, run: RunRecord, launch: ContainerLaunch, request: RunRequest) -> None:
        """Start the container, and follow it to its end in the background. Raises what the engine raises."""
        self._followed.add(run.id)
        self._engine_variables[run.id] = self._engines.docker_variables()
        try:
            await self._records.stored.record_placement(run.id, launch)
            container = await self._create(run.id, launch, request)
            try:
                await (await self._engine()).start(container)
            except CodedError:
                await self._sweep().remove(container)
                raise
        except BaseException:
            self._followed.discard(run.id)
            raise
        await self._record_running(run.id)
        self._background.spawn(self._follow(run.id, container, with_output=True))

    async def _follow(self, run_id: str, container: str, *, with_output: bool) -> None:
        """Wait for the end of a run that no client is attached to, and record it."""
        self._containers[run_id] = container
        self._followed.add(run_id)
        wait = partial(self._wait_exit_with_output, run_id) if with_output else self._wait_exit
        with self._lifecycle.hold("run"):
            try:
                await self._on_exit(run_id, container, await wait(container))
            except ServiceUnreachableError:
                self._schedule_retry()  # the run stays open until the engine answers
            except CodedError:
                await self._records.end(run_id, LOST)
            finally:
                self._followed.discard(run_id)

    async def _wait_exit_with_output(self, run_id: str, container: str) -> int:
        """Return the exit status after storing the output. The output is read again if it ended before the command: the
        engine was away meanwhile."""
        exiting = asyncio.create_task(self._wait_exit(container))
        try:
            await self._store_output(run_id, container)
            done, _ = await asyncio.wait([exiting], timeout=SETTLE_SECONDS)
            status = await exiting
            if not done:
                await self._store_output(run_id, container)
            return status
        finally:
            exiting.cancel()

    async def _store_output(self, run_id: str, container: str) -> None:
        """Write the output from its first byte on: the engine has all of it, however often the daemon was away."""
        engine = await self._engine()
        stored = StoredOutput(self._records.stored.folder(run_id), self._engines.config.runs.output_bytes)
        try:
            await asyncio.to_thread(stored.open)
            try:
                async for data in engine.logs(container):
                    await asyncio.to_thread(stored.write, data)
            finally:
                await asyncio.to_thread(stored.close)
        except ServiceUnreachableError:
            return
        except OSError as error:
            log.warning("The output of run %s is not completely stored: %s", run_id, error)

    # --------------------------------------------------------------------- cancel
    def is_supervised(self, run_id: str) -> bool:
        """Whether the run has a container that is known here."""
        return run_id in self._containers

    async def cancel(self, run_id: str) -> None:
        """Ask the command to end, and kill it if it does not. The state changes when it has ended.

        Raises NotAttachableError if it has no container yet or any more.
        """
        container = self._containers.get(run_id)
        if container is None:
            why = "It has not started yet, it has ended, or its engine does not answer: `roost runs show` tells."
            raise NotAttachableError(f"Run {run_id} has no container that is known", hint=why)
        self._records.request_cancel(run_id)
        with self._with_engine(run_id):
            self._background.spawn(self._stop_until_ended(run_id, container))

    async def _stop_until_ended(self, run_id: str, container: str) -> None:
        """Repeat until the run has ended: a container that is just about to start takes no signal yet."""
        with suppress(CodedError):
            while self._containers.get(run_id) == container:
                await self._stop_container(container, "SIGTERM")
                await asyncio.sleep(AWAY_STEP)

    # ------------------------------------------------------------------- reattach
    async def reattach(self) -> None:
        """Look after the open runs of an earlier daemon, in the background. The engine is asked only if there are
        any."""
        if await self._list_unfollowed():
            self._reattaching = self._background.spawn(self._reattach_everywhere())

    async def wait_reattached(self) -> None:
        """Wait until the containers of an earlier daemon are known, or their engine has not answered in time."""
        if self._reattaching is not None:
            await asyncio.wait([self._reattaching], timeout=AWAY_SECONDS)

    async def _list_unfollowed(self) -> list[RunRecord]:
        """Return the open runs whose end no task of this daemon waits for."""
        open_runs = [run for run in await self._records.stored.list_open() if run.target == "docker"]
        return [
            run for run in open_runs if run.id not in self._followed and run.id not in self._records.stored.starting
        ]

    async def _reattach_everywhere(self) -> None:
        """Look after the open runs in each engine that has some."""
        engines = {tuple(sorted(run.engine.items())) for run in await self._list_unfollowed()}
        for variables in engines:
            with use_caller(dict(variables)):
                await self._reattach_open(dict(variables))

    async def _reattach_open(self, variables: Mapping[str, str]) -> None:
        """Look after the open runs of the engine that ``variables`` name."""
        try:
            found = {each.labels.get(RUN_LABEL): each for each in await self._sweep().find_all()}
            for run in await self._list_unfollowed():
                if run.engine != variables:
                    continue
                self._engine_variables[run.id] = run.engine
                container = found.get(run.id)
                observation = observation_from_container(container.state if container is not None else None)
                if container is None or observation.state != "running":
                    await self._records.end(run.id, observation)
                else:
                    self._followed.add(run.id)
                    self._containers[run.id] = container.id
                    self._background.spawn(self._follow(run.id, container.id, with_output=run.detached))
        except CodedError:
            self._schedule_retry()  # no engine, no answer: they stay open
            return
        self._background.spawn(self._sweep().run())

    def _schedule_retry(self) -> None:
        """Ask again later about runs that are open until the engine answers, or there is room to write their end."""
        if self._retry is None or self._retry.done():
            self._retry = asyncio.create_task(self._reattach_later())

    async def _reattach_later(self) -> None:
        await asyncio.sleep(AGAIN_SECONDS)
        self._background.spawn(self._reattach_everywhere())

    # ----------------------------------------------------------- images and sweep
    async def _is_needed(self, run_id: str) -> bool:
        """Whether the container of a run must stay."""
        if run_id in self._pending or run_id in self._containers:
            return True
        run = await self._records.stored.find(run_id)
        return run is not None and run.state not in ENDED

    async def find_images_in_use(self) -> Mapping[str, tuple[str, ...]]:
        """Return image ids, and the containers of anybody that are of them. Raises what the engine raises."""
        found: dict[str, tuple[str, ...]] = {}
        for container in await (await self._engine()).find():
            found[container.image] = (*found.get(container.image, ()), f"container:{container.id[:12]}")
        return found

    async def stop(self) -> None:
        """Let go of the containers; they go on, and the next daemon reattaches to those of runs. The others end."""
        for run_id in self._records.unrecorded & self._containers.keys():
            with self._with_engine(run_id):
                self._sweep().add(self._containers[run_id])
        for sweep in self._sweeps.values():
            await sweep.stop()
        tasks = [*filter(None, [self._retry]), *self._attached, *(each.task for each in self._pending.values())]
        for task in tasks:
            task.cancel()
        await self._background.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
