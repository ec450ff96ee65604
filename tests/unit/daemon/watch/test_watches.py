"""The watches of a daemon, over stand-ins for the files, the reader, and the queue of prebuilds."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Set
from pathlib import Path
from typing import Any

import pytest

from roost.daemon.builds.job import BuildJob
from roost.daemon.caller.current import use_caller
from roost.daemon.config.schema import WatchSettings
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import Lifecycle
from roost.daemon.prebuilding.prebuilds import PrebuildReport
from roost.daemon.watch import driver, saving, states, uses
from roost.daemon.watch.closure import Closure
from roost.daemon.watch.driver import CONFIG_OWNER, WatchDriver
from roost.daemon.watch.files.methods import INOTIFY, WatchKind, WatchMethod
from roost.daemon.watch.reading import Reading, WatchSubject
from roost.daemon.watch.saving import WatchSaver
from roost.daemon.watch.states import Planned, Trouble, Unreadable
from roost.daemon.watch.watches import Watches, WatchUnknownError
from roost.model.errors import (
    BuildCancelledError,
    CodedError,
    InvalidDefinitionError,
    InvalidRequestError,
    Location,
    ServiceUnreachableError,
)
from roost.model.locks.lock import CondaPython, Lock, digest_lock
from roost.model.records import NewGeneration, WatchRecord
from roost.store.index.index import Index
from roost.wire.plans import EnvironmentSelector, SourceView
from roost.wire.watches import WatchUpdate, WatchView


class Definition:
    """As much of a definition as watches look at."""

    def __init__(self, path: str, digest: str) -> None:
        self.digest = digest
        self.source = SourceView(path=path, format="requirements", name=None)
        self.definition = None
        self.file_lock = None


class Around:
    """Everything around the watches of one daemon."""

    config = "/config.toml"

    def __init__(self, index: Index, settings: WatchSettings) -> None:
        self.contents: dict[str, str] = {}
        self.ready: set[str] = set()
        self.instead: dict[str, str] = {}
        """Watched file to the one that a search finds now."""
        self.read_paths: Counter[str] = Counter()
        self.plans: Counter[str] = Counter()
        self.callers: list[Mapping[str, str]] = []
        self.requests: dict[str, Callable[[], Awaitable[BuildJob | None]]] = {}
        self.withdrawn: list[str] = []
        self.watched: dict[str, set[str]] = {}
        self.method = INOTIFY
        self.events = Events(index, keep=1000)
        self.lifecycle = Lifecycle()
        saver = WatchSaver(index.watches)
        reader: Any = self
        self.driver = WatchDriver(reader, self, self.events, saver, lambda: settings)
        self.watches = Watches(index.watches, self.driver, saver, self.lifecycle, lambda: settings, "/root")
        self.index = index

    def start(self) -> None:
        def create(on_change: Callable[[Set[str]], None]) -> Around:
            self.change = on_change
            return self

        self.watches.start(create, self.events)

    # ------------------------------------------------------------------ the watcher of files
    async def watch(self, owner: str, paths: Iterable[str]) -> None:
        self.watched[owner] = set(paths)

    async def forget(self, owner: str) -> None:
        self.watched.pop(owner, None)

    def describe(self, owner: str) -> WatchMethod:
        return self.method

    async def close(self) -> None:
        pass

    # ------------------------------------------------------------------ the reader
    async def read(self, subject: WatchSubject) -> Reading:
        self.read_paths[subject.path] += 1
        self.callers.append(subject.caller)
        content = self.contents.get(subject.path)
        await asyncio.sleep(0)
        closure = Closure(stamps={subject.path: None, self.config: None})
        if (found := self.instead.get(subject.path)) is not None:
            passed = Unreadable("passed-over", Trouble(code="file-passed-over", message="not used"))
            return Reading(closure=closure, fault=passed, found=found)
        if content is None:
            fault = Unreadable("missing", Trouble(code="file-missing", message="gone"))
            return Reading(closure=closure, fault=fault)
        definition: Any = Definition(subject.path, content)
        return Reading(closure=closure, definition=definition)

    async def plan(self, subject: WatchSubject, definition: Any) -> Planned:
        self.plans[subject.path] += 1
        return Planned(definition.digest, definition.digest in self.ready)

    # ------------------------------------------------------------------ the queue of prebuilds
    def request(
        self,
        key: str,
        create_job: Callable[[], Awaitable[BuildJob | None]],
        caller: Mapping[str, str] | None = None,
    ) -> None:
        self.requests[key] = create_job

    def withdraw(self, key: str) -> None:
        self.requests.pop(key, None)
        self.withdrawn.append(key)

    def listen(self, on_report: Callable[[PrebuildReport], None]) -> None:
        self.report = on_report

    # ------------------------------------------------------------------ what happens
    async def save(self, path: str, content: str | None) -> None:
        if content is None:
            del self.contents[path]
        else:
            self.contents[path] = content
        self.change({(await self.view(path)).id})

    async def view(self, path: str) -> WatchView:
        (found,) = [each for each in await self.watches.list_all() if each.path == path]
        return found

    async def until(self, path: str, state: str) -> WatchView:
        while (found := await self.view(path)).state != state:
            await asyncio.sleep(0.005)
        return found


@pytest.fixture
def settings() -> WatchSettings:
    return WatchSettings(debounce_seconds=0.01, files=3)


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    opened = await Index.open(str(tmp_path / "index.db"))
    yield opened
    await opened.close()


@pytest.fixture
async def around(index: Index, settings: WatchSettings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Around]:
    monkeypatch.setattr(uses, "DELAY_SECONDS", 0.0)
    monkeypatch.setattr(saving, "DELAY_SECONDS", 0.0)
    made = Around(index, settings)
    made.start()
    yield made
    await made.watches.stop()


def use(around: Around, path: str, digest: str, *, ready: bool | None = True, **selected: Any) -> None:
    resolved: Any = Definition(path, digest)
    around.contents.setdefault(path, digest)
    selector = EnvironmentSelector(cwd="/p", **selected)
    around.watches.note_use(selector, resolved, "auto", ready=ready)


async def listed(around: Around, number: int) -> list[WatchView]:
    while len(found := await around.watches.list_all()) != number:
        await asyncio.sleep(0.005)
    return found


async def test_a_change_leads_to_a_build_and_its_end_to_a_ready_environment(around: Around) -> None:
    around.contents["/p/a"] = "one"
    (added,) = await around.watches.add(["/p/a"], "auto")
    assert added.state == "queued"
    around.report(PrebuildReport(key=added.id, state="building"))
    assert (await around.view("/p/a")).state == "building"
    around.report(PrebuildReport(key=added.id, state="ready"))
    assert (await around.view("/p/a")).state == "warm"
    await around.save("/p/a", "two")
    await around.until("/p/a", "queued")
    error = CodedError("It can't be built")
    while added.id not in around.requests:
        await asyncio.sleep(0)
    around.report(PrebuildReport(key=added.id, state="failed", reason=error.code, error=error))
    failed = await around.view("/p/a")
    assert failed.state == "failed"
    assert failed.reason is not None
    assert failed.reason.message == "It can't be built"


async def test_what_is_removed_is_cold(around: Around, index: Index) -> None:
    around.contents |= {"/p/a": "one", "/p/b": "two"}
    around.ready |= {"one", "two"}
    await around.watches.add(["/p/a", "/p/b"], "auto")
    lock = Lock(platform="linux-64", provider=CondaPython())
    await index.generations.add(NewGeneration(definition_digest="one", platform="linux-64"), lock)
    around.ready.remove("one")
    around.watches.note_gone(digest_lock(lock))
    cold = await around.until("/p/a", "cold")
    assert cold.reason is not None
    assert cold.reason.code == "collected"
    while around.plans["/p/a"] < 2:  # another generation may be ready
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (await around.view("/p/a")).state == "cold"
    assert not around.requests
    assert (await around.view("/p/b")).state == "warm"


async def test_what_was_removed_before_a_crash_is_cold_after_the_next_start(
    around: Around, index: Index, settings: WatchSettings
) -> None:
    around.contents["/p/a"] = "one"
    around.ready.add("one")
    await around.watches.add(["/p/a"], "auto")
    await around.until("/p/a", "warm")
    await around.watches.stop()
    later = Around(index, settings)
    later.contents["/p/a"] = "one"
    later.start()
    try:
        await later.until("/p/a", "cold")
        assert not later.requests
    finally:
        await later.watches.stop()


async def test_what_failed_while_the_network_was_away_is_built_later(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "RETRY_SECONDS", (0.05,))
    monkeypatch.setattr(driver, "SPACING_SECONDS", 0.05)
    around.contents["/p/a"] = "one"
    (added,) = await around.watches.add(["/p/a"], "auto")
    del around.requests[added.id]
    error = ServiceUnreachableError("The index can't be reached")
    around.report(PrebuildReport(key=added.id, state="failed", reason=error.code, error=error))
    assert (await around.view("/p/a")).state == "failed"
    while added.id not in around.requests:
        await asyncio.sleep(0.005)
    around.report(PrebuildReport(key=added.id, state="ready"))
    assert (await around.view("/p/a")).state == "warm"


@pytest.mark.parametrize("reason", ["battery", "load", "asked"])
async def test_what_is_postponed_stays_requested(around: Around, reason: str) -> None:
    around.contents["/p/a"] = "one"
    (added,) = await around.watches.add(["/p/a"], "auto")
    around.report(PrebuildReport(key=added.id, state="waiting", reason=reason))
    found = await around.view("/p/a")
    assert found.reason is not None
    assert (found.state, found.reason.code) == ("waiting", reason)
    around.report(PrebuildReport(key=added.id, state="ready"))
    assert (await around.view("/p/a")).state == "warm"


async def test_what_needs_a_person_waits_until_his_build_has_ended(around: Around) -> None:
    around.contents["/p/a"] = "one"
    (added,) = await around.watches.add(["/p/a"], "auto")
    error = CodedError("x runs code")
    around.report(PrebuildReport(key=added.id, state="waiting", reason="code", error=error))
    found = await around.view("/p/a")
    assert found.reason is not None
    assert (found.state, found.reason.code, found.reason.message) == ("waiting", "code", "x runs code")
    await around.events.append("build-started", definition_digest="one")
    assert (await around.view("/p/a")).state == "building"
    around.ready.add("one")
    await around.events.append("build-ended", definition_digest="one", state="succeeded")
    await around.until("/p/a", "warm")


async def test_a_build_that_somebody_cancels_is_not_requested_again(around: Around) -> None:
    around.contents["/p/a"] = "one"
    (added,) = await around.watches.add(["/p/a"], "auto")
    around.report(PrebuildReport(key=added.id, state="failed", error=BuildCancelledError("cancelled")))
    assert (await around.view("/p/a")).state == "cold"


async def test_content_that_changes_before_the_build_begins_is_read_again(around: Around) -> None:
    around.contents["/p/a"] = "one"
    (added,) = await around.watches.add(["/p/a"], "auto")
    around.contents["/p/a"] = "two"  # and nobody has noticed
    with pytest.raises(CodedError) as caught:
        await around.requests.pop(added.id)()
    around.report(PrebuildReport(key=added.id, state="failed", error=caught.value))
    while added.id not in around.requests:
        await asyncio.sleep(0)
    assert (await around.view("/p/a")).definition_digest == "two"


async def test_a_burst_is_one_reading_and_one_plan_for_each_definition(around: Around) -> None:
    paths = [f"/p/{number}" for number in range(300)]
    around.contents |= dict.fromkeys(paths, "one")
    around.ready |= {"one", "two"}
    added = await around.watches.add(paths, "auto")
    while {each.state for each in await around.watches.list_all()} != {"warm"}:
        await asyncio.sleep(0.01)
    around.read_paths.clear()
    around.plans.clear()
    around.contents |= dict.fromkeys(paths, "two")
    for _ in range(5):
        for each in added:
            around.change({each.id})
    while {each.definition_digest for each in await around.watches.list_all()} != {"two"}:
        await asyncio.sleep(0.01)
    while {each.state for each in await around.watches.list_all()} != {"warm"}:
        await asyncio.sleep(0.01)
    assert set(around.read_paths.values()) == {1}
    assert set(around.plans.values()) == {1}


async def test_the_config_file_matters_to_all(around: Around) -> None:
    around.contents |= {"/p/a": "one", "/p/b": "one"}
    around.ready |= {"one", "two"}
    await around.watches.add(["/p/a", "/p/b"], "auto")
    assert around.watched[CONFIG_OWNER] == {"/config.toml"}
    assert all("/config.toml" not in paths for owner, paths in around.watched.items() if owner != CONFIG_OWNER)
    around.contents |= {"/p/a": "two", "/p/b": "two"}
    around.change({CONFIG_OWNER})
    while {each.definition_digest for each in await around.watches.list_all()} != {"two"}:
        await asyncio.sleep(0.005)


async def test_only_what_a_person_added_holds_the_daemon(around: Around) -> None:
    use(around, "/p/used", "one")
    await listed(around, 1)
    assert not around.lifecycle.held
    await around.watches.add(["/p/a"], "auto")
    assert around.lifecycle.held == {"watch": 1}
    assert around.lifecycle.is_idle, "a newer client may replace the daemon"
    assert around.lifecycle.is_at_rest
    await around.watches.update(WatchUpdate(action="pause", all=True))
    assert not around.lifecycle.held
    await around.watches.update(WatchUpdate(action="resume", paths=["/p"]))
    assert around.lifecycle.held == {"watch": 1}
    await around.watches.update(WatchUpdate(action="remove", paths=["/p/a"]))
    assert not around.lifecycle.held
    assert around.watched.keys() == {CONFIG_OWNER, *(each.id for each in await around.watches.list_all())}


async def test_a_use_builds_nothing_and_a_change_after_it_does(around: Around) -> None:
    use(around, "/p/a", "one", ready=False)
    await listed(around, 1)
    await around.until("/p/a", "cold")
    assert not around.requests
    await around.save("/p/a", "two")
    await around.until("/p/a", "queued")


async def test_a_use_that_finds_another_content_is_a_change(around: Around) -> None:
    """Where the system reports no changes, or before it did."""
    use(around, "/p/a", "one")
    await listed(around, 1)
    around.contents["/p/a"] = "two"
    use(around, "/p/a", "two", ready=False)
    await around.until("/p/a", "queued")


async def test_what_a_search_leads_to_now_is_made_ready(around: Around) -> None:
    use(around, "/p/requirements.txt", "one")
    await listed(around, 1)
    around.contents["/p/roost.toml"] = "two"
    around.instead["/p/requirements.txt"] = "/p/roost.toml"
    around.change({(await around.view("/p/requirements.txt")).id})
    assert [each.path for each in await listed(around, 2)] == ["/p/requirements.txt", "/p/roost.toml"]
    assert (await around.until("/p/requirements.txt", "passed-over")).definition == "/p/roost.toml"
    assert (await around.until("/p/roost.toml", "queued")).origin == "used"


@pytest.mark.parametrize(
    ("file", "place", "path"),
    [
        (None, "/p/environment.yml", "/p/environment.yml"),
        ("sub/../x.txt", "/p/other.txt", "/p/x.txt"),
        (None, "/p/included.txt", None),
        (None, None, None),
    ],
)
async def test_a_file_that_can_not_be_read_is_watched_until_it_is_mended(
    around: Around, file: str | None, place: str | None, path: str | None
) -> None:
    error = InvalidDefinitionError("no", location=Location(path=place) if place else None)
    around.watches.note_failure(EnvironmentSelector(cwd="/p", file=file), "auto", error)
    use(around, "/p/last", "one")
    found = await listed(around, 2 if path else 1)
    assert [each.path for each in found] == sorted(filter(None, (path, "/p/last")))
    if path is not None:
        await around.until(path, "missing")
        await around.save(path, "mended")
        await around.until(path, "queued")


async def test_the_latest_uses_stay(around: Around) -> None:
    for number in range(5):
        use(around, f"/p/{number}", "one")
        while not any(each.path == f"/p/{number}" for each in await around.watches.list_all()):
            await asyncio.sleep(0)
    assert [each.path for each in await listed(around, 3)] == ["/p/2", "/p/3", "/p/4"]
    await around.watches.add(["/p/4", "/p/9"], "auto")
    use(around, "/p/5", "one")
    assert [each.path for each in await listed(around, 5)] == ["/p/2", "/p/3", "/p/4", "/p/5", "/p/9"]


@pytest.mark.parametrize(
    "selected", [{"text": "six"}, {"environment": "a"}, {"image": "a"}, {"run": "r"}, {"document": {}}]
)
async def test_what_is_no_file_is_not_watched(around: Around, selected: dict[str, Any]) -> None:
    use(around, "/p/a", "one", **selected)
    use(around, "/root/snapshots/b", "one")
    use(around, "/p/c", "one")
    assert [each.path for each in await listed(around, 1)] == ["/p/c"]


async def test_no_uses_are_watched_if_the_setting_is_zero(index: Index) -> None:
    around = Around(index, WatchSettings(files=0))
    around.start()
    use(around, "/p/a", "one")
    await asyncio.sleep(0)
    assert await around.watches.list_all() == []
    await around.watches.stop()


async def test_a_later_daemon_goes_on_with_the_callers_variables_but_no_secrets(
    around: Around, index: Index, settings: WatchSettings
) -> None:
    around.contents["/p/a"] = "one"
    around.ready.add("one")
    proxy = "http://me:secret@proxy:1"
    with use_caller({"https_proxy": proxy, "SSH_AUTH_SOCK": "/agent", "PATH": "/bin"}):
        await around.watches.add(["/p/a"], "auto")
    await around.watches.stop()
    later = Around(index, settings)
    later.contents["/p/a"] = "two"
    later.ready.add("two")
    later.start()
    assert (await later.until("/p/a", "warm")).origin == "added"
    assert later.lifecycle.held == {"watch": 1}
    later.change({(await later.view("/p/a")).id})
    while (await later.view("/p/a")).definition_digest != "two":
        await asyncio.sleep(0.005)
    assert later.callers[-1] == {"https_proxy": "http://proxy:1", "PATH": "/bin"}
    assert not any(b"secret" in each.body for each in await index.watches.list_all())
    await later.watches.stop()


async def test_a_later_daemon_leaves_a_paused_watch_alone(
    around: Around, index: Index, settings: WatchSettings
) -> None:
    around.contents["/p/a"] = "one"
    await around.watches.add(["/p/a"], "auto")
    await around.watches.update(WatchUpdate(action="pause", paths=["/p/a"]))
    assert around.withdrawn
    await around.watches.stop()
    later = Around(index, settings)
    later.contents["/p/a"] = "two"
    later.start()
    assert (await later.view("/p/a")).state == "paused"
    assert not later.lifecycle.held
    assert not later.read_paths
    (resumed,) = await later.watches.update(WatchUpdate(action="resume", paths=["/p/a"]))
    assert (resumed.state, resumed.definition_digest) == ("queued", "two")
    await later.watches.stop()


async def test_a_damaged_row_is_as_if_the_file_was_never_read(index: Index, settings: WatchSettings) -> None:
    row = WatchRecord(
        id="w1", path="/p/a", origin="used", last_used="2026-01-01T00:00:00.000000Z", body=b"{", inputs=b"\xff"
    )
    await index.watches.put([row])
    around = Around(index, settings)
    around.contents["/p/a"] = "one"
    around.ready.add("one")
    around.start()
    await around.until("/p/a", "warm")
    await around.watches.stop()


async def test_how_changes_are_noticed_is_shown(around: Around) -> None:
    around.method = WatchMethod(WatchKind.POLLING, "/p is a mount of type nfs")
    (added,) = await around.watches.add(["/p/a"], "auto")
    assert (added.state, added.method, added.method_reason) == ("missing", "polling", "/p is a mount of type nfs")


async def test_requests_that_name_nothing_are_refused(around: Around) -> None:
    with pytest.raises(InvalidRequestError):
        await around.watches.add(["relative"], "auto")
    with pytest.raises(CodedError, match="No target is named"):
        await around.watches.add(["/p"], "nowhere")
    with pytest.raises(InvalidRequestError):
        await around.watches.update(WatchUpdate(action="pause"))
    with pytest.raises(InvalidRequestError):
        await around.watches.update(WatchUpdate(action="pause", paths=["/p"], all=True))
    with pytest.raises(WatchUnknownError):
        await around.watches.update(WatchUpdate(action="pause", paths=["/p"]))
    assert await around.watches.update(WatchUpdate(action="remove", all=True)) == []


async def test_a_file_is_watched_with_the_choices_of_its_last_use_and_never_with_what_was_added(around: Around) -> None:
    chosen: dict[str, Any] = {"python": "3.12", "extras": ["gpu"], "groups": ["docs"], "no_project": True}
    use(around, "/p/a", "one", **chosen)
    use(around, "/p/b", "two", additions=["six"])
    error = InvalidDefinitionError("no", location=Location(path="/p/environment.yml"))
    around.watches.note_failure(EnvironmentSelector(cwd="/p", extras=["gup"]), "auto", error)
    [found] = await listed(around, 1)
    assert found.path == "/p/a"
    [subject] = around.watches.list_targets()
    assert {name: getattr(subject.selector, name) for name in chosen} == chosen
    assert subject.selector.additions == []
