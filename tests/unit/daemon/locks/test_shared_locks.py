"""Locks of registries as plans and builds use them, with a registry that answers from memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from roost.daemon.definitions.resolved import ResolvedDefinition, TargetedDefinition
from roost.daemon.jobs.progress import Silent
from roost.daemon.locks.registry import LockRegistry
from roost.daemon.locks.results import LookupResult, PushResult, RegistryComparison
from roost.daemon.locks.shared_locks import SharedLocks
from roost.model.definition import Base, Conda, Definition, Pip, PipItem, Python, ReadResult, Settings
from roost.model.errors import ServiceUnreachableError
from roost.model.locks.lock import CondaPython, Lock, digest_lock
from roost.model.records import Generation
from roost.wire.plans import EnvironmentSelector, Reason, SourceView

LOCK = Lock(platform="linux-64", provider=CondaPython())
OTHER = Lock(platform="linux-64", provider=CondaPython(), system={"__glibc": "2.28"})
SELECTOR = EnvironmentSelector(cwd="/x")
CONDA = Definition(conda=Conda(dependencies=("numpy",)))
GENERATION = Generation(
    definition_digest="sha256:" + "0" * 64, platform="linux-64", number=1, lock_digest="sha256:1", created="2026-01-01"
)


class RemoteLock:
    """Another machine's lock, as far as adopting it needs."""

    reason = Reason(code="lock-shared-registry", message="Registry r has it")


class MemoryRegistry:
    """Answers with what a test sets, and records what was pushed and adopted."""

    is_configured = True

    def __init__(self) -> None:
        self.push = PushResult()
        self.comparison = RegistryComparison()
        self.error: Exception | None = None
        self.calls: list[str] = []

    async def look_up(self, job: Any, *, fresh: bool = False) -> LookupResult:
        self.calls.append("fresh" if fresh else "look_up")
        return LookupResult()

    async def compare_or_publish(self, job: Any, generation: Generation) -> RegistryComparison:
        self.calls.append("compare_or_publish")
        if self.error:
            raise self.error
        return self.comparison

    async def publish_first(self, job: Any, lock: Lock) -> PushResult:
        self.calls.append("publish_first")
        return self.push

    async def publish_rebuild(self, job: Any, lock: Lock) -> PushResult:
        self.calls.append("publish_rebuild")
        return self.push

    async def adopt(self, found: Any, job: Any, progress: Any) -> Lock:
        if self.error:
            raise self.error
        return OTHER


def targeted(definition: Definition) -> TargetedDefinition:
    found = ResolvedDefinition(
        parsed=ReadResult(definition=definition, settings=Settings(), format="environment.yml"),
        digest=GENERATION.definition_digest,
        canonical=b"{}",
        settings_digest="sha256:2",
        settings_canonical=b"{}",
        source=SourceView(path=None, format="environment.yml", name=None),
        warnings=[],
    )
    return msgspec.structs.replace(found.for_prefix(), platform="linux-64")


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def locks(registry: MemoryRegistry) -> SharedLocks:
    return SharedLocks(registry)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "definition",
    [
        Definition(pip=Pip(requirements=(PipItem(kind="editable", text="-e .", path="/x"),))),
        Definition(conda=CONDA.conda, pip=Pip(requirements=(PipItem(kind="editable", text="-e .", path="/x"),))),
        Definition(python=Python(user_managed=True), conda=CONDA.conda),
        Definition(base=Base(image="debian:12")),
    ],
    ids=["editable on a host Python", "editable", "user-managed", "unmodified image"],
)
async def test_no_registry_is_asked_for_what_only_this_machine_can_use(
    definition: Definition, registry: MemoryRegistry, locks: SharedLocks
) -> None:
    assert await locks.look_up(targeted(definition), SELECTOR) == LookupResult()
    result = await locks.publish_first(targeted(definition), SELECTOR, LOCK, Silent())
    assert result.reasons == ()
    assert registry.calls == []


async def test_a_pinned_generation_is_not_looked_up(registry: MemoryRegistry, locks: SharedLocks) -> None:
    await locks.look_up(targeted(CONDA), msgspec.structs.replace(SELECTOR, generation=2))
    assert registry.calls == []


async def test_a_lock_that_was_published_is_reported(registry: MemoryRegistry, locks: SharedLocks) -> None:
    registry.push = PushResult(pushed="r/locks:t")
    result = await locks.publish_first(targeted(CONDA), SELECTOR, LOCK, Silent())
    assert result.replacement is None
    assert [reason.code for reason in result.reasons] == ["lock-pushed"]


async def test_a_rebuild_is_published_as_one(registry: MemoryRegistry, locks: SharedLocks) -> None:
    await locks.publish_rebuild(targeted(CONDA), SELECTOR, LOCK, Silent())
    assert registry.calls == ["publish_rebuild"]


async def test_a_lock_that_was_there_first_replaces_the_own_one(registry: MemoryRegistry, locks: SharedLocks) -> None:
    registry.push = PushResult(remote_lock=RemoteLock())  # type: ignore[arg-type]
    result = await locks.publish_first(targeted(CONDA), SELECTOR, LOCK, Silent())
    assert result.replacement == OTHER
    assert [reason.code for reason in result.reasons] == ["lock-shared-registry"]


async def test_a_first_lock_that_can_t_be_adopted_is_no_error(registry: MemoryRegistry, locks: SharedLocks) -> None:
    registry.push = PushResult(remote_lock=RemoteLock())  # type: ignore[arg-type]
    registry.error = ServiceUnreachableError("down", hint="Wait.")
    result = await locks.publish_first(targeted(CONDA), SELECTOR, LOCK, Silent())
    assert result.replacement is None
    assert [reason.message for reason in result.reasons] == ["down"]


async def test_only_a_current_generation_is_compared(registry: MemoryRegistry, locks: SharedLocks) -> None:
    older = msgspec.structs.replace(GENERATION, current=False)
    assert await locks.compare_or_publish(targeted(CONDA), SELECTOR, older) == ()
    assert await locks.compare_or_publish(targeted(CONDA), SELECTOR, None) == ()
    assert registry.calls == []


async def test_a_failed_comparison_is_a_reason(registry: MemoryRegistry, locks: SharedLocks) -> None:
    registry.error = ServiceUnreachableError("down", hint="Wait.")
    reasons = await locks.compare_or_publish(targeted(CONDA), SELECTOR, GENERATION)
    assert [reason.message for reason in reasons] == ["down. Wait."]


async def test_a_lock_that_was_made_without_a_place_of_links_is_not_pushed():
    registries = SimpleNamespace(workspace="registry.example/locks", catalogues=(), insecure=())
    registry = LockRegistry(
        engines=cast("Any", None),  # asking anybody would fail
        events=cast("Any", None),
        config=cast("Any", SimpleNamespace(registries=registries)),
        stage="/nowhere",
        index=cast("Any", None),
    )
    lock = msgspec.structs.replace(LOCK, unanswered={"https://h.example/links": "it is down"})
    assert digest_lock(lock) == digest_lock(LOCK)
    for push in (registry.publish_first, registry.publish_rebuild):
        result = await push(cast("Any", None), lock)
        assert result.pushed is None
        assert result.reason is not None
        assert result.reason.code == "links-unanswered"
        assert "https://h.example/links did not answer: it is down" in result.reason.message
