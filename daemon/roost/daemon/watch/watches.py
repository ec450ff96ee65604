"""The watches of a workspace: added by people, or because a run, build or plan used an environment file."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence, Set
from contextlib import ExitStack

import msgspec

from roost.daemon.caller.current import caller_variables
from roost.daemon.caller.variables import without_secrets
from roost.daemon.config.ids import new_id
from roost.daemon.config.schema import WatchSettings
from roost.daemon.decision.decide import choose_target
from roost.daemon.decision.facts import Request
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import BackgroundTasks, Lifecycle
from roost.daemon.watch.closure import Closure, find_changed, is_below
from roost.daemon.watch.driver import FileWatching, WatchDriver
from roost.daemon.watch.reading import WatchSubject
from roost.daemon.watch.saving import WatchSaver
from roost.daemon.watch.states import (
    BuiltElsewhere,
    Changed,
    Demanded,
    EnvironmentGone,
    Paused,
    Removed,
    Resumed,
    WatchState,
    needs_look,
)
from roost.daemon.watch.uses import Use, UseNotes
from roost.daemon.watch.views import watch_view
from roost.daemon.watch.watched import SharedValues, WatchedDefinition, decode_watch
from roost.model.definition import Definition
from roost.model.errors import CodedError, InvalidRequestError, LookupFailedError
from roost.model.records import WatchRecord
from roost.store.clock import utc_now
from roost.store.index.tables.watches import WatchTable
from roost.store.sources.files import resolve_file_path
from roost.wire.watches import WatchUpdate, WatchView

log = logging.getLogger(__name__)
ACTIVITY = "watch"
ANSWER_SECONDS = 2.0
"""How long an answer about watches that were added waits for what comes of them."""
BATCH = 100
"""Watches that are taken up at a time when the daemon starts: requests come between."""


class WatchUnknownError(LookupFailedError):
    """Nothing is watched at that path."""

    code = "watch-unknown"


class Watches:
    """All watches. Requests about them wait until those in the index are loaded."""

    def __init__(
        self,
        table: WatchTable,
        driver: WatchDriver,
        saver: WatchSaver,
        lifecycle: Lifecycle,
        settings: Callable[[], WatchSettings],
        own_folder: str,
    ) -> None:
        """``own_folder``: the root, whose files are not watched because they were used."""
        self._table = table
        self._driver = driver
        self._saver = saver
        self._lifecycle = lifecycle
        self._settings = settings
        self._own_folder = own_folder
        self._by_path: dict[str, WatchedDefinition] = {}
        self._running: set[str] = set()
        """Digests of the definitions that are being built."""
        self._loading: asyncio.Task[None] | None = None
        self._is_holding = False
        self._tasks = BackgroundTasks()
        self._gone: set[str] = set()
        """Keys of artifacts whose definitions have not been looked for."""
        self._following = ExitStack()
        self._uses = UseNotes(self._on_uses, lambda: settings().files > 0)
        self.note_use = self._uses.note
        self.note_failure = self._uses.note_failure
        driver.on_found = self._take_found

    # ------------------------------------------------------------------ start and stop
    def start(self, watch_files: Callable[[Callable[[Set[str]], None]], FileWatching], events: Events) -> None:
        """Take up the watches of the index, in the background: a request that started the daemon waits for none.

        ``watch_files`` creates what sees that files change, from what it is to call with the owners of those files.
        """
        self._driver.files = watch_files(self._driver.on_files)
        self._following.enter_context(events.follow(self, None))
        self._loading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        try:
            records = await self._table.list_all()
            ready = await self._table.list_ready_definitions()
        except CodedError as error:
            log.warning("The watches of the index could not be read: %s", error.message)
            return
        shared = SharedValues()
        for start in range(0, len(records), BATCH):
            await self._take_up(records[start : start + BATCH], shared)
        self._driver.memory.note(len(records))
        self._feed_gone({each.state.wanted for each in self._by_path.values() if each.state.wanted} - ready)
        self._trim()
        self._hold()

    async def _take_up(self, records: Sequence[WatchRecord], shared: SharedValues) -> None:
        """Watch again what was watched, and look at what has changed since."""
        closures: dict[str, Closure] = {}
        for record in records:
            watch, closure = decode_watch(record, shared)
            self._put(watch)
            if closure.stamps:
                await self._driver.watch_paths(watch, closure)
            closures[watch.id] = closure
        changed = set(await asyncio.to_thread(find_changed, closures))
        for watch_id in closures:
            watch = self._driver.watches[watch_id]
            if watch_id in changed or needs_look(watch.state) or not closures[watch_id].stamps:
                self._driver.feed(watch, Changed())

    async def loaded(self) -> None:
        """Wait until the watches of the index are taken up."""
        if self._loading is not None:
            await asyncio.shield(self._loading)

    async def stop(self) -> None:
        """End everything, and write down what is known."""
        self._following.close()
        self._uses.stop()
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])
        await self._tasks.cancel()
        await self._driver.stop()
        await self._saver.stop()

    # ------------------------------------------------------------------ what people ask for
    async def add(self, paths: Sequence[str], target: str) -> list[WatchView]:
        """Watch files, and folders in which an environment file is or will be. What is not ready is built.

        Raises: InvalidRequestError if a path is not absolute; NoSuchTargetError.
        """
        choose_target(Request(definition=Definition(), target=target))
        await self.loaded()
        caller, now, watches = without_secrets(caller_variables()), utc_now(), []
        for each in dict.fromkeys(paths):
            path = _check_path(each)
            subject = WatchSubject(path=path, target=target, caller=caller)
            watch = self._by_path.get(path)
            if watch is None:
                watch = WatchedDefinition(new_id("w"), subject, "added", now, WatchState(eager=True))
                self._put(watch)
                self._driver.feed(watch, Changed())
            else:
                watch.subject, watch.origin, watch.last_used = subject, "added", now
                self._driver.feed(watch, Demanded())
            self._saver.mark(watch)
            watches.append(watch)
        self._hold()
        await self._saver.flush()  # a watch that was answered is there after a crash, too
        await self._driver.wait_rest(watches, ANSWER_SECONDS)
        return await self._view(watches)

    async def list_all(self) -> list[WatchView]:
        """Return all watches, by path."""
        await self.loaded()
        return await self._view(list(self._by_path.values()))

    async def update(self, update: WatchUpdate) -> list[WatchView]:
        """Pause, resume or remove watches, and return what they are now, or were.

        Raises: WatchUnknownError if nothing is watched at one of the paths or below it; InvalidRequestError.
        """
        await self.loaded()
        found = self._select(update)
        for watch in found:
            if update.action == "remove":
                await self._remove(watch)
            else:
                self._driver.feed(watch, Paused() if update.action == "pause" else Resumed())
        self._hold()
        await self._saver.flush()
        if update.action == "resume":
            await self._driver.wait_rest(found, ANSWER_SECONDS)
        return await self._view(found)

    def _select(self, update: WatchUpdate) -> list[WatchedDefinition]:
        if update.all == bool(update.paths):
            raise InvalidRequestError(
                "Either paths or all watches must be named", hint="Name paths, or use --all, but not both."
            )
        if update.all:
            return list(self._by_path.values())
        found: dict[str, WatchedDefinition] = {}
        for each in update.paths:
            path = _check_path(each)
            below = [watch for watch in self._by_path.values() if is_below(watch.path, [path])]
            if not below:
                raise WatchUnknownError(
                    f"{path} is not watched, nor anything below it",
                    hint="`roost watch list` shows what is watched.",
                    fields={"path": path},
                )
            found |= {watch.id: watch for watch in below}
        return list(found.values())

    async def _view(self, watches: Sequence[WatchedDefinition]) -> list[WatchView]:
        files = self._driver.files
        assert files is not None
        ordered = sorted(watches, key=lambda each: each.path)
        warm = [each.state.wanted for each in ordered if each.state.phase == "warm" and each.state.wanted is not None]
        collected = await self._table.list_collected(warm)
        return [watch_view(each, files.describe(each.id), self._running, collected) for each in ordered]

    def list_targets(self) -> list[WatchSubject]:
        """Return what is watched and not paused: whose bases and catalogues are of interest."""
        return [watch.subject for watch in self._by_path.values() if not watch.state.paused]

    # ------------------------------------------------------------------ uses
    def _on_uses(self, uses: Sequence[Use]) -> None:
        self._tasks.spawn(self._take_uses(uses))

    async def _take_uses(self, uses: Sequence[Use]) -> None:
        await self.loaded()
        for use in uses:
            if not is_below(use.subject.path, [self._own_folder]):
                self._take_use(use)
        self._trim()

    def _take_use(self, use: Use) -> None:
        watch = self._by_path.get(use.subject.path)
        if watch is None:
            good = use.digest if use.ready else None
            state = WatchState(phase="warm" if use.ready else "cold", wanted=use.digest, good=good)
            state = state if use.digest is not None else WatchState()
            watch = WatchedDefinition(new_id("w"), use.subject, "used", utc_now(), state)
            self._put(watch)
            self._driver.feed(watch, Changed())  # to know its inputs
        else:
            watch.last_used = utc_now()
            watch.subject = _merge_subjects(watch, use.subject)
        self._saver.mark(watch)
        if watch.state.wanted != use.digest:
            self._driver.on_files({watch.id})
        elif use.ready is not False and use.digest is not None:
            self._driver.feed(watch, BuiltElsewhere(use.digest))

    def _take_found(self, subject: WatchSubject) -> None:
        """Watch a file that has appeared and is used in place of a watched one; its environment is made ready."""
        if subject.path in self._by_path or not self._settings().files:
            return
        watch = WatchedDefinition(new_id("w"), subject, "used", utc_now(), WatchState(eager=True))
        self._put(watch)
        self._driver.feed(watch, Changed())
        self._trim()

    def _trim(self) -> None:
        """Forget the definitions that were used longest ago, beyond the number of the settings."""
        used = [watch for watch in self._by_path.values() if watch.origin == "used"]
        excess = len(used) - self._settings().files
        if excess > 0:
            for watch in sorted(used, key=lambda each: each.last_used)[:excess]:
                self._tasks.spawn(self._remove(watch))

    # ------------------------------------------------------------------ builds of others
    def offer_encoded(self, line: bytes) -> bool:
        """Take an event of the daemon: what is built for a person makes a watch ready, too."""
        if b'"kind":"build-' in line:
            event = msgspec.json.decode(line)
            self._on_build(event["kind"], event["fields"])
        return True

    def end(self) -> None:
        """No more events come."""

    def _on_build(self, kind: str, fields: dict[str, object]) -> None:
        digest = str(fields.get("definition_digest"))
        if kind == "build-started":
            self._running.add(digest)
        elif kind == "build-ended":
            self._running.discard(digest)
            if fields.get("state") == "succeeded":
                for watch in [each for each in self._by_path.values() if each.state.wanted == digest]:
                    self._driver.feed(watch, BuiltElsewhere(digest))

    # ------------------------------------------------------------------ what is removed
    def note_gone(self, key: str) -> None:
        """Note that the artifact of that key is not ready any more: nothing that had it is warm."""
        self._gone.add(key)
        if len(self._gone) == 1:
            self._tasks.spawn(self._find_gone())

    async def _find_gone(self) -> None:
        while self._gone:
            keys = list(self._gone)
            try:
                self._feed_gone(await self._table.list_definitions_of(keys))
            except CodedError as error:
                log.warning("What was removed for watched definitions is not known: %s", error.message)
            self._gone.difference_update(keys)

    def _feed_gone(self, digests: Set[str]) -> None:
        for watch in list(self._by_path.values()):
            if watch.state.wanted in digests and watch.state.phase == "warm":
                self._driver.feed(watch, EnvironmentGone(watch.state.wanted or ""))

    # ------------------------------------------------------------------ the table in memory
    def _put(self, watch: WatchedDefinition) -> None:
        self._by_path[watch.path] = self._driver.watches[watch.id] = watch

    async def _remove(self, watch: WatchedDefinition) -> None:
        if self._by_path.get(watch.path) is not watch:
            return
        del self._by_path[watch.path]
        self._driver.feed(watch, Removed())
        self._saver.remove(watch)
        del self._driver.watches[watch.id]
        assert self._driver.files is not None
        await self._driver.files.forget(watch.id)

    def _hold(self) -> None:
        """Keep the daemon alive as long as a person's watch is not paused."""
        wanted = any(watch.keeps_alive for watch in self._by_path.values())
        if wanted and not self._is_holding:
            self._lifecycle.acquire(ACTIVITY)
        elif self._is_holding and not wanted:
            self._lifecycle.release(ACTIVITY)
        self._is_holding = wanted


def _check_path(path: str) -> str:
    """Return a path in normal form. Raises: InvalidRequestError."""
    if not os.path.isabs(path) or "\0" in path:
        raise InvalidRequestError(f"The path {path!r} is not an absolute path", hint="Send absolute paths.")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InvalidRequestError(f"The path {path!r} is not valid UTF-8", hint="Rename it.") from None
    return resolve_file_path(path)


def _merge_subjects(watch: WatchedDefinition, use: WatchSubject) -> WatchSubject:
    """Return what is watched after a use: what a person added stays for its target, and by its path."""
    if watch.origin == "added":
        return msgspec.structs.replace(watch.subject, caller=use.caller)
    return use
