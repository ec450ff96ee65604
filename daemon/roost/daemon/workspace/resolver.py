"""From the selector of a request to a definition, under the configuration of now.

Separate because a selector may also name a run or a registered version: ``definitions`` knows neither.
"""

from __future__ import annotations

import asyncio

import msgspec

from roost.daemon.config.source import ConfigSource
from roost.daemon.decision.facts import Request
from roost.daemon.definitions.choices import apply_to_registered
from roost.daemon.definitions.config_reloader import ConfigReloader
from roost.daemon.definitions.large_inputs import SmallFiles
from roost.daemon.definitions.resolve import check_selector, resolve, resolve_environment, resolve_run
from roost.daemon.definitions.resolved import ResolvedDefinition, TargetedDefinition, target_definition
from roost.daemon.lock_files.applying import LockFiles
from roost.daemon.runs.runs import Runs
from roost.daemon.workers.pool import WorkerPool
from roost.daemon.workspace.file_references import follow_reference
from roost.daemon.workspace.local_content import locate_stored_wheels
from roost.store.store import Store
from roost.wire.plans import EnvironmentSelector


class EnvironmentResolver:
    """Resolves the selectors of requests."""

    def __init__(
        self,
        store: Store,
        runs: Runs,
        config: ConfigSource,
        reloader: ConfigReloader,
        workers: WorkerPool,
        lock_files: LockFiles,
    ) -> None:
        self._store = store
        self._lock_files = lock_files
        self._runs = runs
        self._config = config
        self._reloader = reloader
        self._workers = workers

    async def resolve(
        self, selector: EnvironmentSelector, folder: str | None = None, *, files: SmallFiles | None = None
    ) -> ResolvedDefinition:
        """Return the definition that ``selector`` names, after reading the configuration again if it changed.

        ``folder``: the only one that may be read for it, if any. ``files``: as in ``definitions.resolve``. Raises what
        reading a definition raises, and WheelUnknownError.
        """
        await self._reloader.refresh()
        if selector.run is not None:
            check_selector(selector)
            return await resolve_run(self._store, await self._runs.get(selector.run))
        file = self._reloader.file
        if selector.environment is not None:
            resolved = await resolve_environment(self._store, selector, file)
        else:
            resolved = await resolve(selector, self._config.defaults, file, folder, workers=self._workers, files=files)
            resolved = await follow_reference(self._store, await self._use_claimed_name(resolved))
        if selector.environment is not None or resolved.parsed.registered is not None:
            resolved = await asyncio.to_thread(apply_to_registered, resolved, selector)
        return await locate_stored_wheels(self._store.layout, resolved)

    async def _use_claimed_name(self, resolved: ResolvedDefinition) -> ResolvedDefinition:
        """Return ``resolved`` with the name that belongs to its origin, if any does."""
        if resolved.origin is None:
            return resolved
        name = await self._store.index.find_claimed_name(resolved.origin.key)
        if name is None:
            return resolved
        return msgspec.structs.replace(
            resolved, source=msgspec.structs.replace(resolved.source, name=name), origin=None
        )

    async def target(
        self, resolved: ResolvedDefinition, request: Request, selector: EnvironmentSelector
    ) -> tuple[TargetedDefinition, EnvironmentSelector]:
        """Return the definition for the target of ``request`` with what its lock file has for it, and ``selector`` with
        the generation that it means there. Raises what ``target_definition``, ``pin`` and ``LockFiles.apply`` raise."""
        targeted = target_definition(resolved, request)
        pinned = await self.pin(targeted, selector)
        return await self._lock_files.apply(targeted, pinned, request), pinned

    async def pin(self, resolved: TargetedDefinition, selector: EnvironmentSelector) -> EnvironmentSelector:
        """Return ``selector`` with the generation of the run in ``generation_of``, if ``resolved`` has the definition
        and the platform of that run. Raises LookupFailedError."""
        if selector.generation_of is None:
            return selector
        run = await self._runs.get(selector.generation_of)
        if (run.definition_digest, run.platform) != (resolved.digest, resolved.generation_scope):
            return selector
        return msgspec.structs.replace(selector, generation=run.generation, lock=run.lock_digest)
