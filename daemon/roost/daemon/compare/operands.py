"""What people name when they compare: a version, a file or a run; and the lock that each has on this machine."""

from __future__ import annotations

import asyncio
import os
import re

import msgspec

from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolved import ResolvedDefinition, target_definition
from roost.daemon.services import Services
from roost.model.errors import CodedError, LookupFailedError
from roost.model.locks.lock import Lock
from roost.model.names import NameInvalidError, derive_name, parse_reference
from roost.model.records import HOST_SCOPE, EnvironmentVersion, Generation, RunRecord
from roost.store.index.environments import EnvironmentUnknownError
from roost.wire.compare import Side, SideView
from roost.wire.plans import EnvironmentSelector

_RUN = re.compile(r"r\d{8}-\d{6}-[0-9a-f]{6}")


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a comparison."""

    view: SideView
    resolved: ResolvedDefinition
    lock: Lock | None = None


class NothingBeforeError(LookupFailedError):
    """There is nothing that this one could be compared with."""

    code = "nothing-to-compare"


async def find_sides(
    work: Services, cwd: str, before: Side | None, after: Side | None, platform: str | None
) -> tuple[Compared, Compared]:
    """Both sides, those that were not named too (see ``DiffRequest``). Raises what ``resolve`` raises, and
    NothingBeforeError."""
    new = await find_side(work, cwd, after if after is not None else EnvironmentSelector(cwd=cwd), platform)
    if before is not None:
        return await find_side(work, cwd, before, platform), new
    if new.view.kind == "run":
        return new, await _as_it_is_now(work, cwd, new, platform)
    return await _before(work, cwd, new, platform), new


async def find_side(work: Services, cwd: str, side: Side, platform: str | None) -> Compared:
    """What ``side`` names, with its lock. Raises what ``resolve`` raises."""
    what = await read_side(work, cwd, side) if isinstance(side, str) else side
    resolved = await work.resolver.resolve(what)
    run = await work.runs.get(what.run) if what.run is not None else None
    view = _view(resolved, run, cwd)
    lock, generation, fault = await (_of_run(work, run, platform) if run else _kept(work, resolved, what, platform))
    view.platform = lock.platform if lock else None
    view.lock_missing = fault and f"{view.title} {fault}"
    if run is not None:
        view.generation, view.lock_digest = run.generation, run.lock_digest
    elif generation is not None:
        view.generation, view.lock_digest = generation.number, generation.lock_digest
    return Compared(view=view, resolved=resolved, lock=lock)


async def read_side(work: Services, cwd: str, text: str) -> EnvironmentSelector:
    """What ``text`` means: a run's id, a path where it has a ``/``, a registered environment, else a file."""
    if _RUN.fullmatch(text):
        return EnvironmentSelector(cwd=cwd, run=text)
    if "/" in text or text in (".", ".."):
        return EnvironmentSelector(cwd=cwd, file=text)
    try:
        await work.store.index.environments.get(parse_reference(text))
    except (NameInvalidError, EnvironmentUnknownError) as error:
        if await asyncio.to_thread(os.path.exists, os.path.join(cwd, text)):
            return EnvironmentSelector(cwd=cwd, file=text)
        raise _neither(text, error) from error
    return EnvironmentSelector(cwd=cwd, environment=text)


def _neither(text: str, error: CodedError) -> CodedError:
    if isinstance(error, NameInvalidError) or "version" in error.fields or "label" in error.fields:
        return error
    return EnvironmentUnknownError(
        f"{text!r} is no registered environment, no file here and no run", hint=error.hint, fields=error.fields
    )


async def _before(work: Services, cwd: str, new: Compared, platform: str | None) -> Compared:
    """What a version or a file came from."""
    view = new.view
    if view.version is not None:
        assert view.name is not None
        older = await work.store.index.environments.list_versions(view.name, 1, view.version, archived=True)
        if not older:
            raise NothingBeforeError(
                f"{view.title} is the first version of {view.name}", hint="Name two sides: `roost env diff A B`."
            )
        return await find_side(work, cwd, EnvironmentSelector(cwd=cwd, environment=_named(older[0])), platform)
    return await _latest(work, cwd, derive_name(view.name), view.title, platform)


async def _as_it_is_now(work: Services, cwd: str, ran: Compared, platform: str | None) -> Compared:
    if ran.view.name is None:
        raise NothingBeforeError(f"{ran.view.title} recorded no environment", hint="Name two sides.")
    return await _latest(work, cwd, ran.view.name, ran.view.title, platform)


async def _latest(work: Services, cwd: str, name: str, title: str, platform: str | None) -> Compared:
    try:
        return await find_side(work, cwd, EnvironmentSelector(cwd=cwd, environment=name), platform)
    except EnvironmentUnknownError as error:
        raise NothingBeforeError(
            f"There is nothing to compare {title} with: {error.message[:1].lower()}{error.message[1:]}",
            hint="Register it first (`roost env register`), or name two sides: `roost env diff A B`.",
        ) from error


def _named(version: EnvironmentVersion) -> str:
    return f"{version.name}:{version.version}"


def _view(resolved: ResolvedDefinition, run: RunRecord | None, cwd: str) -> SideView:
    name, version = resolved.environment or (resolved.source.name, None)
    path = resolved.source.path if run is None else None
    if run is not None:
        kind, title = "run", f"run {run.id}"
    elif resolved.environment is not None:
        kind, title = "version", f"{name}:{version}"
    else:
        kind, title = ("file", _shown(path, cwd)) if path else ("document", name or "the document")
    view = {"kind": kind, "title": title, "name": name, "version": version, "path": path, "run": run and run.id}
    digests = {"definition_digest": resolved.digest, "settings_digest": resolved.settings_digest}
    return msgspec.convert({**view, **digests}, SideView)


def _shown(path: str, cwd: str) -> str:
    below = os.path.relpath(path, cwd)
    return path if below.startswith("..") else below


Found = tuple[Lock | None, Generation | None, str | None]


async def _of_run(work: Services, run: RunRecord, platform: str | None) -> Found:
    if run.lock_digest is None:
        return None, None, "recorded no lock: it never started, or used an interpreter or image as it was"
    if platform is not None and platform.removesuffix(HOST_SCOPE) != run.platform.removesuffix(HOST_SCOPE):
        return None, None, f"ran on {run.platform.removesuffix(HOST_SCOPE)}"
    lock = await work.store.index.locks.find(run.lock_digest)
    return lock, None, None if lock is not None else "has a lock that is not on this machine"


async def _kept(work: Services, resolved: ResolvedDefinition, what: EnvironmentSelector, platform: str | None) -> Found:
    if resolved.definition.python.user_managed:
        return None, None, "is user-managed: roost installs nothing for it"
    generation = await _generation(work, resolved, what, platform)
    if generation is None:
        on = platform or resolved.for_prefix().platform
        return None, None, f"has no generation for {on} on this machine: `roost build` makes the first one"
    return await work.store.index.locks.find(generation.lock_digest), generation, None


async def _generation(
    work: Services, resolved: ResolvedDefinition, what: EnvironmentSelector, platform: str | None
) -> Generation | None:
    """The current generation, or that which ``what`` names, for the target that a plan would choose; where there is
    none, and no platform is asked for, the one on another platform, if there is just one."""
    found = [
        each for each in await work.store.index.generations.list_by_definition(resolved.digest) if _is_meant(each, what)
    ]
    there = {each.platform: each for each in found}
    for lineage in lineages(resolved, platform):
        if lineage in there:
            return there[lineage]
    return found[0] if platform is None and len(found) == 1 else None


def _is_meant(generation: Generation, what: EnvironmentSelector) -> bool:
    if what.generation is None and what.lock is None:
        return generation.current
    return what.generation in (None, generation.number) and what.lock in (None, generation.lock_digest)


def lineages(resolved: ResolvedDefinition, platform: str | None) -> list[str]:
    """Where to look for its generations, the likeliest first."""
    if platform is not None:
        return [platform] if platform.endswith(HOST_SCOPE) else [platform, platform + HOST_SCOPE]
    try:
        own = target_definition(resolved, Request(definition=resolved.definition))
    except CodedError:  # there are no images for its platform: a prefix of it there may be
        own = resolved.for_prefix()
    local = resolved.for_prefix()
    return list(dict.fromkeys([own.generation_scope, local.generation_scope, local.platform]))
