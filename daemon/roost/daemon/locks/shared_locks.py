"""What a plan or a build has to do with shared locks: taking the first one, and giving one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from roost.daemon.decision.facts import Facts, short_digest
from roost.daemon.decision.images import is_unmodified
from roost.daemon.definitions.editables import has_editables
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.jobs.progress import Progress
from roost.daemon.locks.attest import LockJob
from roost.daemon.locks.share import LockRegistry, RegistryComparison, RegistryLock
from roost.daemon.locks.solve import SolveJob
from roost.model.errors import CodedError
from roost.model.locks.lock import Lock, digest_lock, sum_sizes
from roost.model.records import Generation
from roost.wire.plans import EnvironmentSelector, Reason

_STANDING_SECONDS = 5.0
MakeJob = Callable[[TargetedDefinition, EnvironmentSelector], SolveJob]


class PublishResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of offering a lock: another's to take in its place, and what there is to say."""

    instead: Lock | None = None
    reasons: tuple[Reason, ...] = ()


class LockPublication:
    """Publishes a lock that was solved here, beside the rest of a build that goes on: the registry is waited for no
    longer than needed.

    Publishing begins when ``installs`` is set, and with ``outcome`` at the latest. It ends with the ``with`` block:
    nothing keeps running behind a build that failed.
    """

    def __init__(self, publish: Callable[[], Coroutine[Any, Any, PublishResult]], installs: asyncio.Event) -> None:
        self._publish = publish
        self._installs = installs
        self._task: asyncio.Task[PublishResult] | None = None

    async def outcome(self) -> PublishResult:
        """Return the result of publishing."""
        assert self._task is not None
        self._installs.set()
        return await self._task

    async def _run(self) -> PublishResult:
        await self._installs.wait()
        return await self._publish()

    async def __aenter__(self) -> LockPublication:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])


class SharedLocks:
    """Looks and offers for definitions whose locks others can use: not for those on a Python of this machine."""

    def __init__(self, share: LockRegistry | None, solve_job: MakeJob) -> None:
        self._share = share
        self._solve_job = solve_job

    def _job(self, resolved: TargetedDefinition, what: EnvironmentSelector) -> tuple[LockRegistry, LockJob] | None:
        if self._share is None or not self._share.configured or resolved.generation_scope != resolved.platform:
            return None
        if has_editables(resolved.definition.pip.requirements):
            return None  # sources count in no digest: nobody else's lock is for these
        if resolved.definition.python.user_managed or what.generation is not None or what.lock is not None:
            return None
        if is_unmodified(resolved.definition):
            return None  # a lock of nothing says nothing
        return self._share, LockJob(definition_digest=resolved.digest, solve=self._solve_job(resolved, what))

    async def standing(
        self, resolved: TargetedDefinition, what: EnvironmentSelector, facts: Facts
    ) -> tuple[Reason, ...]:
        """What there is to say of the current generation's lock and the registries': another machine's lock is told
        and never taken unasked; one that could not be shared when it was made is shared now. Never fails, and takes
        five seconds at most."""
        if facts.generation is None or not facts.generation.current:
            return ()
        try:
            asked = self._job(resolved, what)
            if asked is None:
                return ()
            stands = await asyncio.wait_for(asked[0].stand(asked[1], facts.generation), _STANDING_SECONDS)
        except asyncio.TimeoutError:
            text = f"What the registries have was not known after {_STANDING_SECONDS:.0f} s"
            return (Reason(code="registry-unknown", message=text),)
        except CodedError as error:
            return (_refused(error),)
        return (stands.reason,) if stands.reason is not None else ()

    def remembered(self, generation: Generation) -> Reason | None:
        """What the last look said of another machine's lock; nobody is asked."""
        return self._share.remembered(generation) if self._share is not None else None

    async def elsewhere(
        self, resolved: TargetedDefinition, what: EnvironmentSelector, generation: Generation
    ) -> RegistryComparison:
        """How the lock of ``generation`` stands to that of the registries; nothing is pushed or taken.

        Raises LockPoisonedError, VariableMissingError.
        """
        asked = self._job(resolved, what)
        return await asked[0].stand(asked[1], generation, push=False) if asked is not None else RegistryComparison()

    async def facts(self, facts: Facts, resolved: TargetedDefinition, what: EnvironmentSelector) -> Facts:
        """``facts`` of a definition that has no generation here, with what the registries say of it.

        Raises LockPoisonedError.
        """
        asked = self._job(resolved, what)
        if asked is None:
            return facts
        looked = await asked[0].look(asked[1])
        facts = msgspec.structs.replace(facts, registry_unknown=looked.unknown)
        return _with_found(facts, looked.found) if looked.found is not None else facts

    async def named(self, facts: Facts, resolved: TargetedDefinition, what: EnvironmentSelector) -> Facts | None:
        """``facts`` with the lock that ``what`` names and that is not known here; ``None``: no registry has it.

        Raises LockPoisonedError, ServiceUnreachableError where a registry can't say.
        """
        found = await self._named(resolved, what)
        return _with_found(facts, found) if found is not None else None

    async def _named(self, resolved: TargetedDefinition, what: EnvironmentSelector) -> RegistryLock | None:
        asked = self._job(resolved, msgspec.structs.replace(what, lock=None))
        return await asked[0].find(asked[1], what.lock) if asked is not None and what.lock is not None else None

    async def take(
        self, resolved: TargetedDefinition, what: EnvironmentSelector, progress: Progress, *, fresh: bool = False
    ) -> Lock | None:
        """The lock that somebody gave this definition first, or the one that ``what`` names, ready to be built from.
        ``fresh``: ask again.

        Raises LockPoisonedError, and what asking channels and indexes raises.
        """
        asked = self._job(resolved, msgspec.structs.replace(what, lock=None))
        if asked is None:
            return None
        share, job = asked
        if what.lock is not None:
            found = await share.find(job, what.lock)
        else:
            found = (await share.look(job, fresh=fresh)).found
        return await _taken(share, found, job, progress) if found is not None else None

    async def offer(
        self, resolved: TargetedDefinition, what: EnvironmentSelector, lock: Lock, progress: Progress, *, rebuild: bool
    ) -> PublishResult:
        """Give a lock that was solved here to the others. Never fails: what is ready here is ready."""
        asked = self._job(resolved, what)
        if asked is None:
            return PublishResult()
        share, job = asked
        offer = await share.offer(job, lock, rebuild=rebuild)
        if offer.theirs is not None:
            return await _instead(share, offer.theirs, job, progress)
        if offer.pushed is not None:
            return PublishResult(reasons=(Reason(code="lock-pushed", message=f"The lock is shared as {offer.pushed}"),))
        if offer.reason is None:
            return PublishResult()
        progress.log(offer.reason.message)
        return PublishResult(reasons=(offer.reason,))


def _refused(error: CodedError) -> Reason:
    return Reason(code=error.code, message=f"{error.message}. {error.hint}")


def _with_found(facts: Facts, found: RegistryLock) -> Facts:
    size = sum_sizes(found.shared.lock)
    return msgspec.structs.replace(facts, shared_lock=found.reason, lock_digest=found.lock_digest, lock_bytes=size)


async def _taken(share: LockRegistry, found: RegistryLock, job: LockJob, progress: Progress) -> Lock:
    progress.log(found.reason.message)
    return await share.take(found, job, progress)


async def _instead(share: LockRegistry, theirs: RegistryLock, job: LockJob, progress: Progress) -> PublishResult:
    """Somebody else's reached the registry meanwhile."""
    try:
        taken = await _taken(share, theirs, job, progress)
    except CodedError as error:
        return PublishResult(reasons=(Reason(code=error.code, message=error.message),))
    digest = short_digest(digest_lock(taken))
    text = f"Lock {digest} was shared first: it is taken, and the one that was solved here is kept"
    return PublishResult(instead=taken, reasons=(Reason(code="lock-shared-registry", message=text),))
