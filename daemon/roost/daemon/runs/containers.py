"""Runs in containers of a Docker engine: target ``docker``.

The daemon creates, starts, waits for and removes the container and is the bridge between it and the client. A container
carries the root's and the run's label, so that a daemon that comes later knows it: it takes up again what is running,
records what ended meanwhile, and removes what nobody wants any more. A run whose container is gone is lost.

    runs.begin(run_id, launch, request)               # foreground: the container is being made from now on
    await runs.attach(run_id, channel)                # the client's stream, to the end of the run
    await runs.detached(run, launch, request)         # starts it; its output goes to <root>/runs/<id>/output
    await runs.cancel(run_id) · await runs.adopt() · await runs.stop()
    await runs.in_use() -> {image id: ("container:<12 hex>", …)}    # images that nothing may remove
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from roost.daemon.engines.docker.labels import ROOT_LABEL, RUN_LABEL, root_name
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.jobs.views import error_body
from roost.daemon.oci.target_platforms import can_run
from roost.daemon.runs.attach import Channel
from roost.daemon.runs.bridge import Bridge, ClientGoneError
from roost.daemon.runs.runs import OVER, Runs
from roost.daemon.runs.sweep import ContainerSweep
from roost.model.definition import ContainerSettings as ContainerSettings
from roost.model.errors import CodedError, LookupFailedError, ServiceUnreachableError, StoreError
from roost.model.records import RunRecord
from roost.store.disk.run_folders import RunExit
from roost.store.store import Store
from roost.wire.runs import RunRequest, RunUpdate, Terminal

if TYPE_CHECKING:  # the SDK is loaded when an engine is first used
    from roost.daemon.engines.docker.containers import DockerContainers
    from roost.daemon.engines.docker.values import ContainerSpec, EngineFacts

log = logging.getLogger(__name__)
ATTACH_SECONDS = 60.0
"""So long a container waits for the client that asked for it."""
END_SECONDS = 10.0
"""Between asking a command to end and ending it, as `docker stop` does."""
AWAY_SECONDS = 30.0
"""So long an engine may take to come back before a run is left for later."""
AWAY_STEP = 0.5
AGAIN_SECONDS = 30.0
"""Until the engine is asked again about runs that are still open."""
SETTLE_SECONDS = 2.0
"""A container's output ends this long before it has ended, at the most."""


class ContainerLaunch(msgspec.Struct, frozen=True, kw_only=True):
    """All that is needed to start a command in an image that the engine has."""

    image: str
    """Its id."""
    interpreter: str | None = None
    """Path in the image of what ``python`` means in a command; ``None``: what the image's PATH says."""
    variables: dict[str, str] = {}
    """The settings'; the activation of roost's own images is in the image itself."""
    container: ContainerSettings = ContainerSettings()
    platform: str | None = None
    built_for: str | None = None
    """The image's platform, where it is known."""
    lock_digest: str | None = None
    generation: int | None = None
    artifact: str | None = None


class NotAttachableError(LookupFailedError):
    """Nothing that waits for a client runs under this id."""

    code = "run-not-attachable"


@dataclass(frozen=True)
class _Made:
    """A container that is being made for a client."""

    task: asyncio.Task[str]
    timer: asyncio.TimerHandle
    terminal: Terminal | None


class DockerRuns:
    """Containers of one root, from their making to their end."""

    def __init__(self, store: Store, engines: Engines, runs: Runs, lifecycle: Lifecycle) -> None:
        self._store = store
        self._engines = engines
        self._runs = runs
        self._lifecycle = lifecycle
        self._made: dict[str, _Made] = {}
        """Until a client attaches."""
        self._containers: dict[str, str] = {}
        self._followed: set[str] = set()
        """Runs whose end somebody here waits for."""
        self._again: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._attached: set[asyncio.Task[None]] = set()
        self._root = root_name(store.layout.root)
        self._sweep = ContainerSweep(self._engine, store.layout.root, self._is_wanted)

    async def _engine(self) -> DockerContainers:
        return (await self._engines.docker()).containers

    def begin(self, run_id: str, launch: ContainerLaunch, request: RunRequest) -> None:
        """Make the container while the run is being recorded and the client gets ready to attach."""
        task = asyncio.create_task(self._create(run_id, launch, request))
        timer = asyncio.get_running_loop().call_later(ATTACH_SECONDS, self._expired, run_id)
        self._made[run_id] = _Made(task, timer, request.terminal)
        self._followed.add(run_id)

    def _expired(self, run_id: str) -> None:
        """A client that never comes leaves no container."""
        made = self._made.pop(run_id, None)
        if made is not None:
            self._spawn(self._abandon(run_id, made))

    async def _abandon(self, run_id: str, made: _Made) -> None:
        await self._discard(run_id, made)
        await self._runs.settle(run_id, RunExit(state="failed", exit_status=125))
        self._followed.discard(run_id)

    async def _create(self, run_id: str, launch: ContainerLaunch, request: RunRequest) -> str:
        engine = await self._engines.docker()
        spec = await asyncio.to_thread(self._spec, run_id, launch, request, await engine.facts())
        container = self._containers[run_id] = await engine.containers.create(spec)
        return container

    def _spec(self, run_id: str, launch: ContainerLaunch, request: RunRequest, engine: EngineFacts) -> ContainerSpec:
        """Raises ImagePlatformError. Blocks."""
        from roost.daemon.engines.docker.values import ContainerSpec

        _check_platform(launch, engine.platform)
        terminal = {"TERM": request.terminal.kind} if request.terminal else {}
        return ContainerSpec(
            image=launch.image,
            command=container_command(request.command, launch.interpreter, request.what.cwd),
            cwd=request.what.cwd,
            user="0:0" if engine.rootless else f"{os.getuid()}:{os.getgid()}",  # rootless: its root is this user
            variables={**terminal, **launch.variables, **request.variables, **request.secrets},
            labels={ROOT_LABEL: self._root, RUN_LABEL: run_id},
            console=(request.terminal.rows, request.terminal.columns) if request.terminal else None,
            stdin=not request.detach,
            keep_output=request.detach,
            shm_size=launch.container.shm_size,
            arguments=launch.container.arguments,
            name=f"roost-{run_id}",
            platform=launch.platform,
        )

    def expect(self, run_id: str) -> None:
        """Raises NotAttachableError where no container waits for the client of ``run_id``."""
        if run_id not in self._made:
            raise NotAttachableError(
                f"Run {run_id} has no container that waits for a client", hint="Start another run."
            )

    async def attach(self, run_id: str, channel: Channel) -> None:
        """Bridge the client and the container to the end; failures are told on the channel.

        Raises NotAttachableError.
        """
        self.expect(run_id)
        made = self._made.pop(run_id)
        made.timer.cancel()
        bridge = asyncio.create_task(self._attach(run_id, made, channel))
        self._attached.add(bridge)
        bridge.add_done_callback(self._attached.discard)
        await asyncio.wait([bridge])

    async def _attach(self, run_id: str, made: _Made, channel: Channel) -> None:
        try:
            with self._lifecycle.hold("run"):
                await self._foreground(run_id, await asyncio.shield(made.task), made, channel)
        except ClientGoneError:
            await self._end(run_id, made)
        except CodedError as error:
            await self._failed(run_id, made, error)
            with suppress(ConnectionError):
                await channel.send_error(error_body(error))
        finally:
            self._followed.discard(run_id)

    async def _foreground(self, run_id: str, container: str, made: _Made, channel: Channel) -> None:
        engine = await self._engine()
        streams = await engine.attach(container)
        try:
            await engine.start(container)
            recorded = asyncio.create_task(self._started(run_id))
            try:
                bridge = Bridge(engine, container, streams, channel, at_terminal=made.terminal is not None)
                if made.terminal:
                    await bridge.resize(made.terminal.rows, made.terminal.columns)
                status = await bridge.run(self._status)
            finally:
                await asyncio.wait([recorded])  # before the end is: it would be undone
        finally:
            streams.close()
        await self._over(run_id, container, status)
        with suppress(ConnectionError):
            await channel.send_exit(status)

    async def _started(self, run_id: str) -> None:
        try:
            await self._runs.update(run_id, RunUpdate(state="running"))
        except StoreError as error:  # it runs all the same, and its end may find room
            log.warning("That run %s runs is not recorded: %s", run_id, error.message)

    async def _status(self, container: str) -> int:
        """The exit status. An engine that restarts under a container is waited for."""
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

    async def _over(self, run_id: str, container: str, status: int) -> None:
        """Record the end; the container goes while whoever waits is told. Where the end can't be written now, the
        container stays: it knows how the run ended, and is asked again."""
        try:
            await self._runs.settle(run_id, RunExit(state="succeeded" if status == 0 else "failed", exit_status=status))
        except StoreError as error:
            log.warning("How run %s ended is not recorded yet: %s", run_id, error.message)
            self._look_again()
            return
        self._containers.pop(run_id, None)
        self._spawn(self._sweep.remove(container))

    async def _failed(self, run_id: str, made: _Made, error: CodedError) -> None:
        """It could not start, or the engine went away under it. Without an engine nobody knows how it ended: that run
        stays open until an engine says."""
        began = (await self._runs.get(run_id)).state == "running"
        if isinstance(error, ServiceUnreachableError) and began:
            self._look_again()
            return
        self._spawn(self._discard(run_id, made))
        try:
            await self._runs.fail(run_id, error, exit_status=getattr(error, "status", 125))
        except StoreError as unwritten:
            log.warning("That run %s failed is not recorded yet: %s", run_id, unwritten.message)
            self._look_again()

    async def _discard(self, run_id: str, made: _Made) -> None:
        with suppress(CodedError):
            await self._sweep.remove(await made.task)
        self._containers.pop(run_id, None)

    async def _end(self, run_id: str, made: _Made) -> None:
        """The client has gone: the command is told (as by a terminal that closes), then ended."""
        self._runs.note_cancelled(run_id)
        try:
            container = await made.task
            await self._over(run_id, container, await self._ended(container, "SIGHUP"))
        except ServiceUnreachableError:
            self._look_again()  # it goes on without the client, or went: the engine will know
        except CodedError:
            await self._discard(run_id, made)
            await self._runs.settle(run_id, RunExit(state="lost"))

    async def _ended(self, container: str, signal: str) -> int:
        engine = await self._engine()
        await engine.kill(container, signal)
        try:
            return await asyncio.wait_for(engine.wait(container), END_SECONDS)
        except asyncio.TimeoutError:
            await engine.kill(container, "SIGKILL")
            return await engine.wait(container)

    async def detached(self, run: RunRecord, launch: ContainerLaunch, request: RunRequest) -> None:
        """Start it; the rest happens by itself. Raises what the engine raises."""
        self._followed.add(run.id)
        try:
            await self._store.index.runs.update(
                run.id, lock_digest=launch.lock_digest, generation=launch.generation, artifact_id=launch.artifact
            )
            container = await self._create(run.id, launch, request)
            try:
                await (await self._engine()).start(container)
            except CodedError:
                await self._sweep.remove(container)
                raise
        except BaseException:
            self._followed.discard(run.id)
            raise
        await self._started(run.id)
        self._spawn(self._follow(run.id, container, output=True))

    async def _follow(self, run_id: str, container: str, *, output: bool) -> None:
        """To the end of a run that no client is attached to."""
        self._containers[run_id] = container
        self._followed.add(run_id)
        with self._lifecycle.hold("run"):
            try:
                status = await self._status_with_output(run_id, container) if output else await self._status(container)
                await self._over(run_id, container, status)
            except ServiceUnreachableError:
                self._look_again()  # the run stays open until the engine says
            except CodedError:
                await self._runs.settle(run_id, RunExit(state="lost"))
            finally:
                self._followed.discard(run_id)

    async def _status_with_output(self, run_id: str, container: str) -> int:
        """The output is read again where it ended before the command: the engine was away meanwhile."""
        ending = asyncio.create_task(self._status(container))
        try:
            await self._keep_output(run_id, container)
            done, _ = await asyncio.wait([ending], timeout=SETTLE_SECONDS)
            status = await ending
            if not done:
                await self._keep_output(run_id, container)
            return status
        finally:
            ending.cancel()

    async def _keep_output(self, run_id: str, container: str) -> None:
        """From its first byte on: the engine has all of it, however often the daemon was away."""
        engine = await self._engine()
        path = os.path.join(self._runs.folder(run_id), "output")
        try:
            target = await asyncio.to_thread(open, path, "wb", 0)
            try:
                async for data in engine.logs(container):
                    await asyncio.to_thread(target.write, data)
            finally:
                await asyncio.to_thread(target.close)
        except ServiceUnreachableError:
            return
        except OSError as error:
            log.warning("The output of run %s is not all kept: %s", run_id, error)

    async def cancel(self, run_id: str) -> None:
        """Ask the command to end, and end it if it does not. The state changes when it has ended.

        Raises NotAttachableError where it has no container yet or any more.
        """
        container = self._containers.get(run_id)
        if container is None:
            raise NotAttachableError(f"Run {run_id} has no container", hint="It has not started yet, or it is over.")
        self._runs.note_cancelled(run_id)
        self._spawn(self._cancelled(run_id, container))

    async def _cancelled(self, run_id: str, container: str) -> None:
        """Until it is over: one that is just about to start takes no signal yet."""
        with suppress(CodedError):
            while self._containers.get(run_id) == container:
                await self._ended(container, "SIGTERM")
                await asyncio.sleep(AWAY_STEP)

    async def adopt(self) -> None:
        """At start: see to the runs that a daemon before this one left open. The engine is asked only if there are."""
        if await self._unfollowed():
            self._spawn(self._take_up())

    async def _unfollowed(self) -> list[RunRecord]:
        """Open runs whose end nobody here waits for."""
        open_runs = [run for run in await self._store.index.runs.list_open() if run.target == "docker"]
        return [run for run in open_runs if run.id not in self._followed and not self._runs.is_starting(run.id)]

    async def _take_up(self) -> None:
        try:
            found = {each.labels.get(RUN_LABEL): each for each in await self._sweep.mine()}
            for run in await self._unfollowed():
                container = found.get(run.id)
                if container is None or container.state == "created":
                    await self._runs.settle(run.id, RunExit(state="lost"))
                else:
                    self._followed.add(run.id)
                    self._spawn(self._follow(run.id, container.id, output=run.detached))
        except CodedError:
            self._look_again()  # no engine, no answer: they stay open
            return
        await self._sweep.run()

    def _look_again(self) -> None:
        """Later, for the runs that stay open until the engine answers, or until there is room to write how they
        ended."""
        if self._again is None or self._again.done():
            self._again = asyncio.create_task(self._later())

    async def _later(self) -> None:
        await asyncio.sleep(AGAIN_SECONDS)
        self._spawn(self._take_up())

    async def _is_wanted(self, run_id: str) -> bool:
        if run_id in self._made or run_id in self._containers:
            return True
        run = await self._store.index.runs.find(run_id)
        return run is not None and run.state not in OVER

    async def in_use(self) -> Mapping[str, tuple[str, ...]]:
        """Image ids to what runs in them: containers of anybody's that were made from them. Raises the engine's."""
        found: dict[str, list[str]] = {}
        for container in await (await self._engine()).find():
            found.setdefault(container.image, []).append(f"container:{container.id[:12]}")
        return {image: tuple(names) for image, names in found.items()}

    async def stop(self) -> None:
        """Let go; containers go on, and the next daemon takes them up."""
        await self._sweep.stop()
        again = [self._again] if self._again is not None else []
        tasks = [*again, *self._attached, *self._tasks, *(made.task for made in self._made.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _check_platform(launch: ContainerLaunch, engine: str) -> None:
    """Else the command would end with the kernel's "exec format error" alone. Raises ImagePlatformError. Blocks."""
    from roost.daemon.engines.docker.errors import ImagePlatformError

    if launch.built_for is None or can_run(launch.built_for, engine):
        return
    raise ImagePlatformError(
        f"The image is for {launch.built_for}, and the engine's machine runs {engine}",
        hint="Run it on a machine of that platform, or let this one emulate it (binfmt_misc and qemu-user-static). "
        "`roost image push` takes it to a registry as it is.",
    )


def container_command(command: list[str], interpreter: str | None, cwd: str) -> list[str]:
    """``python`` is the image's interpreter, and ``x.py`` a script for it; all else is as it is. Blocks (one stat)."""
    python = interpreter or "python"
    if command[0] in ("python", "python3"):
        return [interpreter or command[0], *command[1:]]
    if command[0].endswith(".py") and os.path.isfile(os.path.join(cwd, command[0])):
        return [python, *command]
    return list(command)
