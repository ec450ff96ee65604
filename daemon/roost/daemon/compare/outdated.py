"""What a fresh solve would change. The solve is that of a build, but nothing is built and nothing is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from roost.daemon.builds.history import list_versions_sharing
from roost.daemon.compare.diff import diff_locks
from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.reporter import BuildProgress
from roost.daemon.jobs.views import error_body
from roost.daemon.locks.shared_locks import SharedLocks
from roost.daemon.locks.solve import create_solve_job, solve_lock
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.errors import CodedError, InvalidRequestError, LookupFailedError
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import Generation
from roost.store.index.index import Index
from roost.wire.builds import Message
from roost.wire.compare import OutdatedMessage, OutdatedRequest, OutdatedView
from roost.wire.plans import EnvironmentSelector, Reason

_REPORTED_CODES = ("lock-elsewhere", "registry-unknown")
"""Results of the comparison with registries that the answer mentions."""


class NeverSolvedError(LookupFailedError):
    """The definition has no generation here that could be outdated."""

    code = "generation-unknown"


class OutdatedCheck:
    """Compares current generations with fresh solves."""

    def __init__(
        self, resolver: EnvironmentResolver, index: Index, engines: Engines, shared_locks: SharedLocks
    ) -> None:
        self._resolver = resolver
        self._index = index
        self._engines = engines
        self._shared_locks = shared_locks

    async def stream(self, request: OutdatedRequest) -> AsyncGenerator[Message, None]:
        """Yield the progress of the solve, and then its result. Closing the generator cancels the solve.

        Raises what :meth:`find_outdated` raises, if nothing was yielded before: the response has no status yet, and so
        can have the error's own. A later error is the last message.
        """
        messages: asyncio.Queue[Message | None] = asyncio.Queue()
        solving = asyncio.create_task(self.find_outdated(request, messages.put_nowait))
        solving.add_done_callback(lambda _: messages.put_nowait(None))
        is_started = False
        try:
            while (message := await messages.get()) is not None:
                is_started = True
                yield message
            yield OutdatedMessage(event="result", outdated=await solving)
        except CodedError as error:
            if not is_started:
                raise
            yield OutdatedMessage(event="error", error=error_body(error))
        finally:
            solving.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await solving

    async def find_outdated(self, request: OutdatedRequest, publish: Callable[[Message], None]) -> OutdatedView:
        """Solve, with the progress going to ``publish``, and compare. Raises what solving raises, InvalidRequestError
        for a user-managed environment, and NeverSolvedError."""
        selector = request.what
        found = await self._resolver.resolve(selector)
        asked = Request(definition=found.definition, target=request.target)
        resolved, selector = await self._resolver.target(found, asked, selector)
        generation = await self._find_current(resolved)
        current = await self._index.locks.find(generation.lock_digest)
        assert current is not None, "the schema lets no generation refer to a lock that is not there"
        solved = await self._solve(resolved, selector, BuildProgress(publish, selector.environ))
        lock = await diff_locks(self._engines.conda_rules(), current, solved)
        return OutdatedView(
            definition_digest=resolved.digest,
            platform=resolved.platform,
            generation=generation.number,
            lock_digest=generation.lock_digest,
            solved_digest=digest_lock(solved),
            outdated=bool(lock.packages or lock.provider),
            lock=lock,
            environments=await list_versions_sharing(self._index, resolved.digest),
            reasons=await self._compare_with_registries(resolved, selector, generation),
        )

    async def _find_current(self, resolved: TargetedDefinition) -> Generation:
        if resolved.definition.python.user_managed:
            raise InvalidRequestError(
                "A user-managed environment is not solved for: roost installs nothing in it",
                hint="Update the packages of its interpreter yourself.",
            )
        key, stated = (resolved.digest, resolved.generation_scope), resolved.file_lock
        generations = self._index.generations
        generation = await (generations.find_of_lock(*key, stated.digest) if stated else generations.find_current(*key))
        if generation is None:
            raise NeverSolvedError(
                f"This definition was never solved for {resolved.platform} on this machine, so there is nothing to "
                "compare",
                hint="`roost build` creates its first generation; `roost plan --solve` shows what that would be.",
                fields={"definition_digest": resolved.digest, "platform": resolved.platform},
            )
        return generation

    async def _solve(
        self, resolved: TargetedDefinition, selector: EnvironmentSelector, progress: BuildProgress
    ) -> Lock:
        try:
            return await solve_lock(self._engines, create_solve_job(resolved, selector), progress)
        except CodedError as error:
            if error.code == "lock-needs-build":
                error.hint = (
                    "What a solve would choose can't be known without running that code: `roost build --rebuild` runs "
                    "it, and `roost env rollback` goes back."
                )
            raise

    async def _compare_with_registries(
        self, resolved: TargetedDefinition, selector: EnvironmentSelector, generation: Generation
    ) -> list[Reason]:
        """Return what registries have for the definition.

        The request succeeds even if a registry can't be asked, or has a lock that is not valid: the error is a reason.
        """
        try:
            reason = (await self._shared_locks.compare(resolved, selector, generation)).reason
        except CodedError as error:
            return [Reason(code=error.code, message=error.message)]
        return [reason] if reason is not None and reason.code in _REPORTED_CODES else []
