"""The effects of watches: readings, plans, requests for builds, and what is announced of them.

Changes of files wait until they come to rest (``schedule``), then each definition that changed is read and planned
once, a few at a time, and the state machine (``states``) says what follows. Everything here runs in the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from functools import partial
from typing import Protocol

import msgspec

from roost.daemon.builds.job import BuildJob
from roost.daemon.config.schema import WatchSettings
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import BackgroundTasks
from roost.daemon.prebuilding.prebuilds import PrebuildReport
from roost.daemon.watch.closure import Closure, has_changed
from roost.daemon.watch.files.methods import WatchMethod
from roost.daemon.watch.memory import MemoryRelease
from roost.daemon.watch.reading import DefinitionReader, Reading, WatchSubject, describe_error, make_request
from roost.daemon.watch.retries import SPACING_SECONDS, Retries
from roost.daemon.watch.saving import WatchSaver
from roost.daemon.watch.schedule import Debounce
from roost.daemon.watch.states import (
    Announce,
    BuildEnded,
    BuildPostponed,
    BuildStarted,
    Changed,
    ContentRead,
    MakePlan,
    ReadContent,
    RequestBuild,
    RetryDue,
    RetryLater,
    Trouble,
    Unreadable,
    WatchInput,
    WithdrawBuild,
    step,
)
from roost.daemon.watch.views import EVENTS, event_fields
from roost.daemon.watch.watched import WatchedDefinition
from roost.model.definition import Choices
from roost.model.errors import CodedError, LookupFailedError

log = logging.getLogger(__name__)
READERS = 2
"""Readings at a time: more would only delay the requests of people."""
CONFIG_OWNER = "config"
"""Owner of the config file, on whose defaults every definition depends."""
POSTPONED = {
    "battery": "the machine runs on battery (watch.on_battery)",
    "load": "the machine is busy (watch.max_load)",
    "asked": "a build of the same that somebody asked for goes first",
}


class FileWatching(Protocol):
    """What sees that files change (``watch.files``). An owner is the id of a watch."""

    async def watch(self, owner: str, paths: Iterable[str]) -> None:
        """Watch these paths for ``owner``, in place of those before."""

    async def forget(self, owner: str) -> None:
        """Watch nothing for ``owner`` any more."""

    def describe(self, owner: str) -> WatchMethod:
        """Return how the paths of ``owner`` are seen."""

    async def close(self) -> None:
        """Watch nothing any more."""


class PrebuildQueue(Protocol):
    """What builds in the background (``daemon.prebuilding``). A key is the id of a watch."""

    def request(
        self,
        key: str,
        create_job: Callable[[], Awaitable[BuildJob | None]],
        caller: Mapping[str, str] | None = None,
    ) -> None:
        """Request a build with the variables of ``caller``, in place of an older request for ``key``."""

    def withdraw(self, key: str) -> None:
        """Forget the request for ``key``."""

    def listen(self, on_report: Callable[[PrebuildReport], None]) -> None:
        """Call ``on_report`` with everything that becomes of requests."""


class OvertakenError(LookupFailedError):
    """The content has changed since its build was requested. Never shown: it is read again."""

    code = "watch-overtaken"


class WatchDriver:
    """The watches of a daemon, and what is under way for them."""

    def __init__(
        self,
        reader: DefinitionReader,
        prebuilds: PrebuildQueue,
        events: Events,
        saver: WatchSaver,
        settings: Callable[[], WatchSettings],
    ) -> None:
        self.watches: dict[str, WatchedDefinition] = {}
        self.files: FileWatching | None = None
        """Set before anything is watched: it needs ``on_files`` at its creation."""
        self.on_found: Callable[[WatchSubject], None] = lambda subject: None
        """Called with what a search leads to now, in place of a watched file."""
        self._reader = reader
        self._prebuilds = prebuilds
        self._events = events
        self._saver = saver
        self._changes: Debounce[str] = Debounce(lambda: settings().debounce_seconds)
        self._timer: asyncio.TimerHandle | None = None
        self._retries = Retries()
        self._retry_timer: asyncio.TimerHandle | None = None
        self._looks: deque[tuple[str, bool]] = deque()
        """Watches to be read (true) or only planned again (false), in the order of requests."""
        self._readers = 0
        self.memory = MemoryRelease(saver.shrink_memory)
        self._tasks = BackgroundTasks()
        self._news: deque[tuple[str, dict[str, object]]] = deque()
        self._is_announcing = False
        self._is_config_watched = False
        self._moved = asyncio.Event()
        self._is_stopped = False
        prebuilds.listen(self._on_report)

    # ------------------------------------------------------------------ what happens
    def on_files(self, owners: Set[str]) -> None:
        """Note that files of these watches changed, or may have."""
        now = asyncio.get_running_loop().time()
        if CONFIG_OWNER in owners:
            owners = set(self.watches)
        for owner in owners:
            if owner in self.watches:
                self._changes.note(owner, now)
        self._set_timer()

    def _set_timer(self) -> None:
        due = self._changes.next_time()
        if due is None or self._is_stopped or (self._timer is not None and self._timer.when() <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        for owner in self._changes.pop_due(asyncio.get_running_loop().time()):
            if owner in self.watches:
                self.feed(self.watches[owner], Changed())
        self._set_timer()

    def _on_report(self, report: PrebuildReport) -> None:
        watch = self.watches.get(report.key)
        if watch is None or watch.state.flight is None or self._is_stopped:
            return
        digest, error = watch.state.flight, report.error
        match report.state:
            case "building":
                self.feed(watch, BuildStarted(digest))
            case "ready":
                self.feed(watch, BuildEnded(digest))
            case "waiting" if error is None:
                message = POSTPONED.get(report.reason, report.reason)
                self.feed(watch, BuildPostponed(digest, Trouble(code=report.reason, message=message)))
            case "waiting":
                assert error is not None
                self.feed(watch, BuildEnded(digest, _name_wait(report.reason, error), waits=True))
            case "failed" if isinstance(error, OvertakenError):
                self.feed(watch, BuildEnded(digest, overtaken=True))
            case "failed" if error is None or error.code == "build-cancelled":
                cancelled = Trouble(code="build-cancelled", message="its build was cancelled")
                self.feed(watch, BuildEnded(digest, cancelled, cancelled=True))
            case "failed":
                assert error is not None
                self.feed(watch, BuildEnded(digest, describe_error(error), passing=error.retryable))
            case "queued":
                pass

    def feed(self, watch: WatchedDefinition, happened: WatchInput) -> None:
        """Tell a watch what happened, and begin what follows."""
        before = watch.state
        watch.state, actions = step(before, happened)
        if watch.state != before and not watch.state.removed:
            self._saver.mark(watch)
        for action in actions:
            match action:
                case ReadContent():
                    self._look(watch, reads=True)
                case MakePlan():
                    self._look(watch, reads=False)
                case RequestBuild(digest):
                    create_job = partial(self._create_job, watch, digest)
                    self._prebuilds.request(watch.id, create_job, watch.subject.caller)
                case WithdrawBuild(digest):
                    self._prebuilds.withdraw(watch.id)  # which reports nothing
                    self.feed(watch, BuildEnded(digest, cancelled=True))
                case RetryLater(digest, seconds, cause):
                    now = asyncio.get_running_loop().time()
                    self._retries.note_failure(watch.id, digest, cause, seconds, now)
                    self._set_retry_timer(now + SPACING_SECONDS)
                case Announce():
                    self._announce(watch, action)
        if before.failures and not watch.state.failures:
            now, succeeded = asyncio.get_running_loop().time(), watch.state.phase == "warm"
            self._retries.note_end(watch.id, now, succeeded=succeeded)
            self._set_retry_timer(now)
        self._moved.set()
        self._moved = asyncio.Event()

    def _set_retry_timer(self, due: float | None) -> None:
        """Look at the retries at ``due`` at the latest: it may be too early, since thousands may fail at once."""
        if due is None or self._is_stopped or not len(self._retries):
            return
        if self._retry_timer is not None:
            if self._retry_timer.when() <= due:
                return
            self._retry_timer.cancel()
        self._retry_timer = asyncio.get_running_loop().call_at(due, self._on_retry)

    def _on_retry(self) -> None:
        self._retry_timer = None
        for retry in self._retries.pop_due(asyncio.get_running_loop().time()):
            if retry.key in self.watches:
                self.feed(self.watches[retry.key], RetryDue(retry.digest))
        self._set_retry_timer(self._retries.next_time())

    # ------------------------------------------------------------------ readings and plans
    def _look(self, watch: WatchedDefinition, *, reads: bool) -> None:
        self._looks.append((watch.id, reads))
        if self._readers < READERS and not self._is_stopped:
            self._readers += 1
            self._tasks.spawn(self._work())

    async def _work(self) -> None:
        try:
            while self._looks and not self._is_stopped:
                watch_id, reads = self._looks.popleft()
                watch = self.watches.get(watch_id)
                if watch is not None:
                    await self._look_at(watch, reads=reads)
                    self.memory.note()
        finally:
            self._readers -= 1

    async def _look_at(self, watch: WatchedDefinition, *, reads: bool) -> None:
        """Read or plan. A failure that nobody foresaw ends the look and no other one."""
        try:
            await (self._read(watch) if reads else self._plan(watch))
        except Exception:
            log.exception("A look at %s failed", watch.path)
            if watch.state.reading:
                message = "internal error in the daemon; see `roost daemon logs`"
                self.feed(watch, Unreadable("broken", Trouble(code="internal", message=message)))

    async def _read(self, watch: WatchedDefinition) -> None:
        """Read the definition, watch its inputs, and say what it is now; plan for it at once, if that follows."""
        reading = await self._reader.read(watch.subject)
        if watch.state.removed:
            return
        await self._watch_inputs(watch, reading.closure)
        watch.definition = reading.found if reading.found != watch.path else None
        watch.cut = reading.closure.cut
        self._saver.mark(watch, reading.closure)
        if reading.definition is None:
            assert reading.fault is not None
            self.feed(watch, reading.fault)
            if reading.fault.phase == "passed-over" and reading.found is not None:
                other = Choices(python=watch.subject.choices.python)  # its extras are those of this file
                self.on_found(msgspec.structs.replace(watch.subject, path=reading.found, choices=other))
            return
        is_same, watch.lock = watch.lock == reading.lock, reading.lock
        self.feed(watch, ContentRead(reading.definition.digest, is_same))
        if self._looks and self._looks[-1] == (watch.id, False):  # the plan that follows needs no second reading
            self._looks.pop()
            await self._plan_reading(watch, reading)

    async def _watch_inputs(self, watch: WatchedDefinition, closure: Closure) -> None:
        """Have the inputs of the last content watched. What changed before they were is a change."""
        if not await self.watch_paths(watch, closure):
            return
        if await asyncio.to_thread(has_changed, closure.stamps):
            self.on_files({watch.id})

    async def watch_paths(self, watch: WatchedDefinition, closure: Closure) -> bool:
        """Watch these inputs of ``watch``; return whether they are others than before. The config file has an owner of
        its own: thousands depend on it."""
        assert self.files is not None
        if not self._is_config_watched and os.path.isabs(self._reader.config):  # not before anything is watched
            self._is_config_watched = True
            await self.files.watch(CONFIG_OWNER, [self._reader.config])
        paths = [
            watch.path if path == watch.path else path  # one text for all who hold it
            for path in closure.stamps
            if path != self._reader.config
        ]
        digest = hash(frozenset(paths)) or 1
        if watch.paths == digest:
            return False
        await self.files.watch(watch.id, paths)
        watch.paths, watch.count = digest, len(paths)
        return True

    async def _plan(self, watch: WatchedDefinition) -> None:
        """Plan for the last content, which was read before."""
        await self._plan_reading(watch, await self._reader.read(watch.subject))

    async def _plan_reading(self, watch: WatchedDefinition, reading: Reading) -> None:
        definition = reading.definition
        if definition is None or definition.digest != watch.state.wanted:
            self.on_files({watch.id})
            return
        self.feed(watch, await self._reader.plan(watch.subject, definition))

    async def _create_job(self, watch: WatchedDefinition, digest: str) -> BuildJob | None:
        """Return the job of a request when its turn has come. Raises: OvertakenError if it is of another content."""
        definition = (await self._reader.read(watch.subject)).definition
        if definition is None or definition.digest != digest:
            raise OvertakenError(f"{watch.path} has changed", hint="It is read again.")
        request = make_request(watch.subject, definition)
        prebuilt = self._reader.without_code(definition)
        return BuildJob(resolved=prebuilt, request=request, selector=watch.subject.selector)

    # ------------------------------------------------------------------ events, and the end
    def _announce(self, watch: WatchedDefinition, news: Announce) -> None:
        if news.phase in EVENTS:
            self._news.append((EVENTS[news.phase], event_fields(watch, news)))
            if not self._is_announcing and not self._is_stopped:
                self._is_announcing = True
                self._tasks.spawn(self._publish_news())

    async def _publish_news(self) -> None:
        try:
            while self._news:
                kind, fields = self._news.popleft()
                await self._events.append(kind, **fields)
        except CodedError as error:
            log.warning("An event of a watch was not recorded: %s", error.message)
        finally:
            self._is_announcing = False

    async def wait_rest(self, watches: Iterable[WatchedDefinition], seconds: float) -> None:
        """Wait until these watches have been read and planned, but no longer than that."""
        deadline = asyncio.get_running_loop().time() + seconds
        waiting = list(watches)
        while waiting := [each for each in waiting if each.state.reading or _is_planned_next(each)]:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or self._is_stopped:
                return
            try:
                await asyncio.wait_for(self._moved.wait(), left)
            except asyncio.TimeoutError:
                return

    async def stop(self) -> None:
        """End everything that is under way; the queue of prebuilds is stopped by its owner."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._retry_timer is not None:
            self._retry_timer.cancel()
        self.memory.stop()
        await self._tasks.cancel()
        if self.files is not None:
            await self.files.close()


def _is_planned_next(watch: WatchedDefinition) -> bool:
    return watch.state.phase == "queued" and watch.state.flight is None


def _name_wait(reason: str, error: CodedError) -> Trouble:
    """Return why a build waits for a person: the code is the reason, the text says what it would run or need."""
    trouble = describe_error(error)
    return Trouble(code=reason, message=trouble.message, location=trouble.location)
