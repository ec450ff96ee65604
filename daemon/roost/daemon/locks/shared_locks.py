"""Shared locks as plans and builds use them: looking up and adopting the first one, and publishing one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from roost.daemon.decision.facts import short_digest
from roost.daemon.decision.images import is_unmodified
from roost.daemon.definitions.editables import has_editables
from roost.daemon.definitions.resolve import is_pinned
from roost.daemon.definitions.resolved import RUN_FORMAT, TargetedDefinition
from roost.daemon.jobs.progress import Progress
from roost.daemon.locks.expectation import LockJob
from roost.daemon.locks.registry import LockRegistry
from roost.daemon.locks.results import LookupResult, PushResult, RegistryComparison, RegistryLock
from roost.daemon.locks.solve import create_solve_job
from roost.model.errors import CodedError
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import Generation
from roost.wire.plans import EnvironmentSelector, Reason

_COMPARISON_SECONDS = 5.0


class PublishResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of publishing a lock that was solved here."""

    replacement: Lock | None = None
    """Another machine's lock, which was published first and is adopted instead."""
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
    """Looks up and publishes the locks of definitions for which other machines' locks are of use."""

    def __init__(self, registry: LockRegistry | None) -> None:
        self._registry = registry

    def _job(self, resolved: TargetedDefinition, selector: EnvironmentSelector) -> tuple[LockRegistry, LockJob] | None:
        """Return what to look for and where; ``None`` if no other machine can have a lock of use here: sources of an
        editable install count in no digest, the definition is user-managed or has no packages, it is what a recorded
        run used (which has its lock), or one generation is requested."""
        if self._registry is None or not self._registry.is_configured:
            return None
        if has_editables(resolved.definition.pip.requirements) or resolved.parsed.format == RUN_FORMAT:
            return None
        if resolved.definition.python.user_managed or is_unmodified(resolved.definition) or is_pinned(selector):
            return None
        solve = create_solve_job(resolved, selector)
        return self._registry, LockJob(definition_digest=resolved.digest, solve=solve)

    async def look_up(self, resolved: TargetedDefinition, selector: EnvironmentSelector) -> LookupResult:
        """Return what registries have for a definition without a generation here. Raises LockUntrustedError."""
        job = self._job(resolved, selector)
        return await job[0].look_up(job[1]) if job is not None else LookupResult()

    async def find(self, resolved: TargetedDefinition, selector: EnvironmentSelector) -> RegistryLock | None:
        """Return the lock that ``selector`` names by its digest; ``None`` if no registry has it.

        Raises LockUntrustedError, ServiceUnreachableError if a registry does not answer.
        """
        job = self._job(resolved, msgspec.structs.replace(selector, lock=None))
        return await job[0].find(job[1], selector.lock) if job is not None and selector.lock is not None else None

    def known_difference(self, generation: Generation) -> Reason | None:
        """Return the difference from another machine's lock that the last comparison found. Nobody is asked."""
        return self._registry.known_difference(generation) if self._registry is not None else None

    async def compare(
        self, resolved: TargetedDefinition, selector: EnvironmentSelector, generation: Generation
    ) -> RegistryComparison:
        """Compare the lock of ``generation`` with the registries'; nothing is pushed or adopted.

        Raises LockUntrustedError, VariableMissingError.
        """
        job = self._job(resolved, selector)
        return await job[0].compare(job[1], generation) if job is not None else RegistryComparison()

    async def compare_or_publish(
        self, resolved: TargetedDefinition, selector: EnvironmentSelector, generation: Generation | None
    ) -> tuple[Reason, ...]:
        """Return reasons about the lock of ``generation``, if that is current, and the registries.

        Another machine's lock is reported and adopted only on request; a lock that could not be published when it was
        made is published now. Never raises a CodedError, and takes five seconds at most.
        """
        if generation is None or not generation.current:
            return ()
        try:
            job = self._job(resolved, selector)
            if job is None:
                return ()
            registry, lock_job = job
            comparing = registry.compare_or_publish(lock_job, generation)
            comparison = await asyncio.wait_for(comparing, _COMPARISON_SECONDS)
        except asyncio.TimeoutError:
            text = f"The registries did not answer within {_COMPARISON_SECONDS:.0f} s"
            return (Reason(code="registry-unknown", message=text),)
        except CodedError as error:
            return (Reason(code=error.code, message=f"{error.message}. {error.hint}"),)
        return (comparison.reason,) if comparison.reason is not None else ()

    async def adopt(
        self, resolved: TargetedDefinition, selector: EnvironmentSelector, progress: Progress, *, fresh: bool = False
    ) -> Lock | None:
        """Return the first lock that was published for this definition, or the one that ``selector`` names, attested
        and ready to be built from; ``None`` if there is none. ``fresh``: ask again even if that was done just now.

        Raises LockUntrustedError, and what asking channels and indexes raises.
        """
        job = self._job(resolved, msgspec.structs.replace(selector, lock=None))
        if job is None:
            return None
        registry, lock_job = job
        if selector.lock is not None:
            found = await registry.find(lock_job, selector.lock)
        else:
            found = (await registry.look_up(lock_job, fresh=fresh)).found
        if found is None:
            return None
        progress.log(found.reason.message)
        return await registry.adopt(found, lock_job, progress)

    def publishes(self, resolved: TargetedDefinition, selector: EnvironmentSelector) -> bool:
        """Whether a lock that is solved here will be published."""
        job = self._job(resolved, selector)
        return job is not None and job[0].has_workspace

    async def publish_first(
        self, resolved: TargetedDefinition, selector: EnvironmentSelector, lock: Lock, progress: Progress
    ) -> PublishResult:
        """Publish a lock that was solved here, as the first one of its definition. Never raises a CodedError of the
        registry: what is ready here is ready."""
        job = self._job(resolved, selector)
        if job is None:
            return PublishResult()
        registry, lock_job = job
        return await _conclude(registry, lock_job, await registry.publish_first(lock_job, lock), progress)

    async def publish_rebuild(
        self, resolved: TargetedDefinition, selector: EnvironmentSelector, lock: Lock, progress: Progress
    ) -> PublishResult:
        """Publish the lock of a new generation, beside the first one if there is one. Never raises a CodedError of the
        registry."""
        job = self._job(resolved, selector)
        if job is None:
            return PublishResult()
        registry, lock_job = job
        return await _conclude(registry, lock_job, await registry.publish_rebuild(lock_job, lock), progress)


async def _conclude(registry: LockRegistry, job: LockJob, push: PushResult, progress: Progress) -> PublishResult:
    """Return what a push means for the build: 1. the lock is published, 2. it stays here, 3. another machine's lock
    reached the registry meanwhile and is adopted."""
    if push.pushed is not None:
        return PublishResult(reasons=(Reason(code="lock-pushed", message=f"The lock is shared as {push.pushed}"),))
    if push.remote_lock is None:
        if push.reason is None:
            return PublishResult()
        progress.log(push.reason.message)
        return PublishResult(reasons=(push.reason,))
    try:
        progress.log(push.remote_lock.reason.message)
        replacement = await registry.adopt(push.remote_lock, job, progress)
    except CodedError as error:
        return PublishResult(reasons=(Reason(code=error.code, message=error.message),))
    digest = short_digest(digest_lock(replacement))
    text = f"Lock {digest} was shared first: it is used, and the lock that was solved here is kept"
    return PublishResult(replacement=replacement, reasons=(Reason(code="lock-shared-registry", message=text),))
