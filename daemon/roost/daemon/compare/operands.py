"""Operands of a comparison: the version, file or run that a user names, with its definition and its lock here."""

from __future__ import annotations

import asyncio
import os
import re
from typing import NamedTuple

import msgspec

from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolved import ResolvedDefinition, target_definition
from roost.daemon.runs.runs import Runs
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.errors import CodedError, LookupFailedError
from roost.model.locks.lock import Lock, digest_lock
from roost.model.names import NameInvalidError, derive_name, parse_reference
from roost.model.records import HOST_SCOPE, Generation, RunRecord
from roost.store.index.index import Index
from roost.store.index.tables.environments import EnvironmentUnknownError
from roost.store.index.tables.records import LATEST
from roost.wire.compare import Side, SideView
from roost.wire.plans import EnvironmentSelector

_RUN_ID = re.compile(r"r\d{8}-\d{6}-[0-9a-f]{6}")
_RUN_PREFIX = re.compile(r"r\d{8}(-(\d{1,6}(-[0-9a-f]{0,5})?)?)?")
"""What is read as the beginning of a run's id if nothing else has that name."""


class Operand(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a comparison."""

    view: SideView
    resolved: ResolvedDefinition
    lock: Lock | None = None
    run: RunRecord | None = None


class _OperandLock(NamedTuple):
    """The lock of an operand, or the reason why there is none."""

    lock: Lock | None = None
    generation: Generation | None = None
    fault: str | None = None


class NothingBeforeError(LookupFailedError):
    """An operand alone was named, and nothing precedes it."""

    code = "nothing-to-compare"


class OperandFinder:
    """Finds the operands of comparisons."""

    def __init__(self, resolver: EnvironmentResolver, runs: Runs, index: Index) -> None:
        self._resolver = resolver
        self._runs = runs
        self._index = index

    async def find_both(
        self, cwd: str, before: Side | None, after: Side | None, platform: str | None
    ) -> tuple[Operand, Operand]:
        """Return both operands; ``DiffRequest`` says which ones those are that the user leaves out.

        Raises what ``resolve`` raises, and NothingBeforeError.
        """
        new = await self._find(cwd, after if after is not None else EnvironmentSelector(cwd=cwd), platform)
        if before is not None:
            return await self._find(cwd, before, platform), new
        view = new.view
        # 1. A run is compared with its environment as it is now, which comes after it.
        if view.kind == "run":
            if view.name is None:
                raise NothingBeforeError(f"{view.title} recorded no environment", hint="Name two sides.")
            return new, await self._find_latest(cwd, view.name, view.title, platform)
        # 2. A version is compared with the one before.
        if view.version is not None:
            assert view.name is not None
            older = await self._index.environments.list_versions(view.name, 1, view.version, archived=True)
            if not older:
                raise NothingBeforeError(
                    f"{view.title} is the first version of {view.name}", hint="Name two sides: `roost env diff A B`."
                )
            reference = f"{older[0].name}:{older[0].version}"
            return await self._find(cwd, EnvironmentSelector(cwd=cwd, environment=reference), platform), new
        # 3. A file is compared with the latest version of its environment.
        return await self._find_latest(cwd, derive_name(view.name), view.title, platform), new

    async def _find_latest(self, cwd: str, name: str, title: str, platform: str | None) -> Operand:
        try:
            return await self._find(cwd, EnvironmentSelector(cwd=cwd, environment=name), platform)
        except EnvironmentUnknownError as error:
            raise NothingBeforeError(
                f"There is nothing to compare {title} with: {error.message[:1].lower()}{error.message[1:]}",
                hint="Register it first (`roost env register`), or name two sides: `roost env diff A B`.",
            ) from error

    async def _find(self, cwd: str, side: Side, platform: str | None) -> Operand:
        selector = await self._parse_side(cwd, side) if isinstance(side, str) else side
        run = await self._runs.get(selector.run) if selector.run is not None else None
        if run is not None:  # by its whole id from now on: `latest` may be another one in a moment
            selector = msgspec.structs.replace(selector, run=run.id)
        resolved = await self._resolver.resolve(selector)
        view = _view_operand(resolved, run, cwd)
        if run is not None:
            found = await self._find_lock_of_run(run, platform)
            view.generation, view.lock_digest = run.generation, run.lock_digest
        else:
            found = await self._find_lock(resolved, selector, platform)
            if found.generation is not None:
                view.generation, view.lock_digest = found.generation.number, found.generation.lock_digest
            elif found.lock is not None:
                view.lock_digest = digest_lock(found.lock)
        view.platform = found.lock.platform if found.lock else None
        view.lock_missing = found.fault and f"{view.title} {found.fault}"
        return Operand(view=view, resolved=resolved, lock=found.lock, run=run)

    async def _parse_side(self, cwd: str, text: str) -> EnvironmentSelector:
        """Return the selector for ``text``: the id of a run, a path if it contains ``/``, a registered environment, a
        file, else the beginning of a run's id or ``latest``."""
        if _RUN_ID.fullmatch(text):
            return EnvironmentSelector(cwd=cwd, run=text)
        if "/" in text or text in (".", ".."):
            return EnvironmentSelector(cwd=cwd, file=text)
        try:
            await self._index.environments.get(parse_reference(text))
        except (NameInvalidError, EnvironmentUnknownError) as error:
            if await asyncio.to_thread(os.path.exists, os.path.join(cwd, text)):
                return EnvironmentSelector(cwd=cwd, file=text)
            if text == LATEST or _RUN_PREFIX.fullmatch(text):
                return EnvironmentSelector(cwd=cwd, run=await self._runs.records.find_id(text))
            if isinstance(error, NameInvalidError) or "version" in error.fields or "label" in error.fields:
                raise
            raise EnvironmentUnknownError(
                f"{text!r} is not a registered environment, a file or a run", hint=error.hint, fields=error.fields
            ) from error
        return EnvironmentSelector(cwd=cwd, environment=text)

    async def _find_lock_of_run(self, run: RunRecord, platform: str | None) -> _OperandLock:
        if run.lock_digest is None:
            return _OperandLock(fault="recorded no lock: it never started, or used an interpreter or image as it was")
        ran_on = run.platform.removesuffix(HOST_SCOPE)
        if platform is not None and platform.removesuffix(HOST_SCOPE) != ran_on:
            return _OperandLock(fault=f"ran on {ran_on}")
        lock = await self._index.locks.find(run.lock_digest)
        return _OperandLock(lock, fault=None if lock is not None else "has a lock that is not on this machine")

    async def _find_lock(
        self, resolved: ResolvedDefinition, selector: EnvironmentSelector, platform: str | None
    ) -> _OperandLock:
        if resolved.definition.python.user_managed:
            return _OperandLock(fault="is user-managed: roost installs nothing for it")
        if platform is None:
            asked = Request(definition=resolved.definition, ignore_image=selector.ignore_image)
            targeted, _ = await self._resolver.target(resolved, asked, selector)
            if (stated := targeted.file_lock) is not None:
                key = targeted.digest, targeted.generation_scope
                found = await self._index.generations.find_of_lock(*key, stated.digest)
                return _OperandLock(await self._index.locks.find(found.lock_digest) if found else stated.lock, found)
        generation = await self._find_generation(resolved, selector, platform)
        if generation is None:
            on = platform or resolved.for_prefix().platform
            return _OperandLock(
                fault=f"has no generation for {on} on this machine: `roost build` creates the first one"
            )
        return _OperandLock(await self._index.locks.find(generation.lock_digest), generation)

    async def _find_generation(
        self, resolved: ResolvedDefinition, selector: EnvironmentSelector, platform: str | None
    ) -> Generation | None:
        """Return the generation that ``selector`` names, by default the current one, in the first scope that has one.

        If no scope has one and no platform is requested, the only one on another platform.
        """
        matching = [
            each
            for each in await self._index.generations.list_by_definition(resolved.digest)
            if _is_selected(each, selector)
        ]
        by_scope = {each.platform: each for each in matching}
        for scope in list_generation_scopes(resolved, platform):
            if scope in by_scope:
                return by_scope[scope]
        return matching[0] if platform is None and len(matching) == 1 else None


def list_generation_scopes(resolved: ResolvedDefinition, platform: str | None) -> list[str]:
    """Return the scopes under which generations of ``resolved`` may be found, that of a plan's target first."""
    if platform is not None:
        return [platform] if platform.endswith(HOST_SCOPE) else [platform, platform + HOST_SCOPE]
    local = resolved.for_prefix()
    try:
        planned = target_definition(resolved, Request(definition=resolved.definition))
    except CodedError:  # there are no images for its platform, but there may be a prefix
        planned = local
    return list(dict.fromkeys([planned.generation_scope, local.generation_scope, local.platform]))


def _is_selected(generation: Generation, selector: EnvironmentSelector) -> bool:
    if selector.generation is None and selector.lock is None:
        return generation.current
    is_number = selector.generation in (None, generation.number)
    return is_number and selector.lock in (None, generation.lock_digest)


def _view_operand(resolved: ResolvedDefinition, run: RunRecord | None, cwd: str) -> SideView:
    name, version = resolved.environment or (resolved.source.name, None)
    path = resolved.source.path if run is None else None
    view = SideView(
        kind="document",
        title=name or "the document",
        definition_digest=resolved.digest,
        settings_digest=resolved.settings_digest,
        name=name,
        version=version,
        path=path,
    )
    if run is not None:
        view.kind, view.title, view.run = "run", f"run {run.id}", run.id
    elif resolved.environment is not None:
        view.kind, view.title = "version", f"{name}:{version}"
    elif path:
        relative = os.path.relpath(path, cwd)
        view.kind, view.title = "file", path if relative.startswith("..") else relative
    return view
