"""The queue of prebuilds: one at a time over the whole daemon, the latest request first.

A newer request for a key takes the place of an older one, whose build is cancelled. What somebody asks for is never
waited for here: the build that he asked for makes the prebuild give way, which is then requested again, and finds
everything ready. A prebuild that fails, or that waits for somebody, is not tried again until it is requested again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from typing import Literal

import msgspec

from roost.daemon.background.code import CodeNotAllowedError
from roost.daemon.background.work import BackgroundWork, GaveWayError
from roost.daemon.builds.job import BuildJob
from roost.daemon.caller.current import use_caller
from roost.daemon.config.schema import WatchSettings
from roost.daemon.jobs.views import as_coded_error
from roost.daemon.prebuilding.choice import MachineState, PrebuildLimits, Start, Wait, may_start, must_pause
from roost.daemon.prebuilding.machine import read_machine
from roost.model.errors import CodedError
from roost.wire.builds import BuildResult

log = logging.getLogger(__name__)

PrebuildState = Literal["queued", "waiting", "building", "ready", "failed"]
CreateJob = Callable[[], Awaitable[BuildJob | None]]
"""Returns what to build by now; ``None`` if there is nothing to build."""

LOOK_SECONDS = 15.0
"""Seconds between two looks at the battery and the load."""
_NEEDS_CREDENTIALS = frozenset({"variable-missing", "git-denied", "index-denied", "channel-refused"})
"""Codes of the errors of a build that lacks what only a caller has."""


class PrebuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request. ``ready``, ``failed``, and ``waiting`` with an ``error`` are its end."""

    key: str
    state: PrebuildState
    reason: str = ""
    """Of ``waiting``: ``battery``, ``load``, ``asked`` (somebody's build of the same goes first), ``code`` or
    ``credentials``. Of ``failed``: the code of the error."""
    error: CodedError | None = None
    result: BuildResult | None = None
    """Of ``ready``, unless there was nothing to build."""


class _Request:
    def __init__(self, key: str, create_job: CreateJob, caller: Mapping[str, str] | None) -> None:
        self.key = key
        self.create_job = create_job
        self.caller = caller
        self.reported: tuple[str, str] = ("", "")


class Prebuilds:
    """Prebuilds by key: whatever the caller calls what he wants to have ready, such as the path of a file."""

    def __init__(
        self,
        build: Callable[[BuildJob], Awaitable[BuildResult]],
        settings: Callable[[], WatchSettings],
        caller: Callable[[], Mapping[str, str]] = dict,
        *,
        machine: Callable[[], MachineState] = read_machine,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """``build``: makes a background job ready. ``settings``: those in force. ``caller``: the variables of the last
        caller, as far as they are no secrets. ``machine`` may block."""
        self._build = build
        self._settings = settings
        self._caller = caller
        self._machine = machine
        self._look_seconds = look_seconds
        self._queue: dict[str, _Request] = {}
        """The oldest request first."""
        self._current: _Request | None = None
        self._attempt: asyncio.Task[BuildResult | None] | None = None
        self._runner: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[PrebuildReport], None]] = []
        self._is_stopped = False

    @property
    def waiting(self) -> int:
        """Number of requests that have not begun."""
        return len(self._queue)

    @property
    def building(self) -> str | None:
        """Key of the request that is being built."""
        return self._current.key if self._current is not None else None

    def listen(self, on_report: Callable[[PrebuildReport], None]) -> None:
        """Call ``on_report`` in the event loop with everything that becomes of requests."""
        self._listeners.append(on_report)

    def request(self, key: str, create_job: CreateJob, caller: Mapping[str, str] | None = None) -> None:
        """Request that the job which ``create_job`` returns is made ready, in place of an older request for ``key``.

        ``create_job`` is called when the prebuild begins, as part of background work. An error of it is reported as one
        of the build. ``caller``: the variables to build with; by default those of the last caller of all.
        """
        if self._is_stopped:
            return
        self._queue.pop(key, None)
        self._queue[key] = request = _Request(key, create_job, caller)
        self._cancel(key)
        self._report(request, "queued")
        if self._runner is None or self._runner.done():
            self._runner = Context().run(asyncio.ensure_future, self._run())

    def withdraw(self, key: str) -> None:
        """Forget the request for ``key``; one that is being built is cancelled. Nothing more is reported of it."""
        self._queue.pop(key, None)
        self._cancel(key)

    async def stop(self) -> None:
        """Cancel everything, and wait until it has ended."""
        self._is_stopped = True
        self._queue.clear()
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait([self._runner])

    def _cancel(self, key: str) -> None:
        if self._attempt is not None and self._current is not None and self._current.key == key:
            self._current = None
            self._attempt.cancel()

    # ------------------------------------------------------------------ one after the other
    async def _run(self) -> None:
        while self._queue:
            machine = await asyncio.to_thread(self._machine)
            match may_start(list(self._queue), machine, self._limits()):
                case Start(key):
                    await self._run_one(self._queue.pop(key))
                case Wait(reason):
                    for request in self._queue.values():
                        self._report(request, "waiting", reason)
                    await asyncio.sleep(self._look_seconds)

    async def _run_one(self, request: _Request) -> None:
        """Build one request, and report its end, unless another one has taken its place."""
        work = BackgroundWork(allows_code=self._settings().code == "always")
        self._current = request
        self._attempt = attempt = asyncio.ensure_future(work.run(lambda: self._start(request)))
        self._report(request, "building")  # whoever hears of it may withdraw it
        try:
            paused = await self._wait(attempt)
        except asyncio.CancelledError:
            attempt.cancel()
            await asyncio.wait([attempt])
            raise
        finally:
            withdrawn, self._current, self._attempt = self._current is not request, None, None
        if not attempt.cancelled():
            attempt.exception()  # marks it as retrieved
        if withdrawn:
            return
        if paused:
            self._queue.setdefault(request.key, request)
            return
        self._conclude(request, attempt)

    async def _start(self, request: _Request) -> BuildResult | None:
        with use_caller(self._caller() if request.caller is None else request.caller):
            job = await request.create_job()
            if job is None:
                return None
            return await self._build(msgspec.structs.replace(job, background=True))

    async def _wait(self, attempt: asyncio.Task[BuildResult | None]) -> bool:
        """Wait for the end of ``attempt``; return whether it was ended here, because the machine was unplugged."""
        while not attempt.done():
            await asyncio.wait([attempt], timeout=self._look_seconds)
            if not attempt.done() and must_pause(await asyncio.to_thread(self._machine), self._limits()):
                attempt.cancel()
                await asyncio.wait([attempt])
                return attempt.cancelled()
        return False

    def _conclude(self, request: _Request, attempt: asyncio.Task[BuildResult | None]) -> None:
        try:
            result = attempt.result()
        except GaveWayError:
            self._queue = {request.key: request, **self._queue}  # its turn is the last one
            self._report(request, "waiting", "asked")
        except CodeNotAllowedError as refusal:
            self._report(request, "waiting", "code", error=refusal)
        except asyncio.CancelledError:  # somebody cancelled the build by its id
            self._report(request, "failed", "build-cancelled")
        except Exception as failure:
            if not isinstance(failure, CodedError):
                log.exception("Prebuilding %s failed", request.key)
            error = as_coded_error(failure)
            if error.code in _NEEDS_CREDENTIALS:
                self._report(request, "waiting", "credentials", error=error)
            else:
                self._report(request, "failed", error.code, error=error)
        else:
            self._report(request, "ready", result=result)

    def _limits(self) -> PrebuildLimits:
        settings = self._settings()
        return PrebuildLimits(on_battery=settings.on_battery, max_load=settings.max_load)

    def _report(
        self,
        request: _Request,
        state: PrebuildState,
        reason: str = "",
        *,
        error: CodedError | None = None,
        result: BuildResult | None = None,
    ) -> None:
        if request.reported == (state, reason):
            return
        request.reported = (state, reason)
        report = PrebuildReport(key=request.key, state=state, reason=reason, error=error, result=result)
        for listener in self._listeners:
            try:
                listener(report)
            except Exception:
                log.exception("A listener of prebuilds failed")
