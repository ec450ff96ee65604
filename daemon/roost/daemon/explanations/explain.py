"""Say in an error of a solve where the requirement is that can't be met, and what may be meant instead.

What there is instead is asked of the channels and indexes, for a few seconds at most: it only makes the hint.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec
from packaging.version import InvalidVersion, Version

from roost.daemon.background.work import is_background
from roost.daemon.engines.conda.errors import SolveError
from roost.daemon.engines.conda.jobs import NameFacts
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.errors import NoInterpreterError
from roost.daemon.engines.uv.errors import ConflictError, LockNeedsBuildError, PipUnsatisfiableError, WheelBuildError
from roost.daemon.engines.uv.request import PipLockRequest
from roost.daemon.explanations.causes import (
    Cause,
    Requirement,
    find_conda_cause,
    find_conflict_cause,
    find_pip_cause,
    format_place,
    list_requirements,
    normalise,
)
from roost.daemon.explanations.channel_names import find_names
from roost.daemon.explanations.near_names import find_near_names
from roost.daemon.explanations.well_known import find_well_known
from roost.daemon.oci.target_platforms import split_platform
from roost.model.definition import Definition, PipItem
from roost.model.errors import CodedError, Location

_SECONDS = 8.0
"""How long what there is instead may be looked for."""
_MOST_VERSIONS = 6
_MOST_OTHERS = 3
_MOST_ASKED = 2
"""Near names that pip's index is asked for."""


class UnmetDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """What a solve failed for."""

    definition: Definition
    channels: tuple[str, ...]
    platform: str
    locations: Mapping[str, Location]
    """Where the match specs are written."""
    is_from_file: bool
    """Whether the places that the definition has are those of a file as it was read just now."""
    python_location: Location | None
    pip_request: PipLockRequest
    """A request for pip packages under the same conditions."""


async def explain_unmet(engines: Engines, unmet: UnmetDefinition, error: CodedError) -> None:
    """Add to ``error``, which a solve of ``unmet`` raised, the place of the requirement, and a better hint if there is
    one. Raises nothing."""
    if isinstance(error, NoInterpreterError):
        error.location = error.location or unmet.python_location
        return
    requirements = list_requirements(unmet.definition, unmet.locations)
    cause = _find_cause(error, requirements)
    if cause is None:
        return
    if cause.requirement is not None:
        if unmet.is_from_file:
            error.location = error.location or cause.requirement.location
        error.fields.setdefault("requirement", cause.requirement.text)
    hint = _describe_known(cause)
    if hint is None and not is_background():
        with suppress(CodedError, TimeoutError):
            async with asyncio.timeout(_SECONDS):
                hint = await _Hints(engines, unmet).describe(cause, is_conda=isinstance(error, SolveError))
    if hint:
        error.hint = hint


def _find_cause(error: CodedError, requirements: Sequence[Requirement]) -> Cause | None:
    if isinstance(error, SolveError):
        return find_conda_cause(error.message, requirements)
    if isinstance(error, PipUnsatisfiableError):
        return find_pip_cause(error.message, requirements)
    if isinstance(error, ConflictError):
        demands = error.fields.get("pip")
        texts = [str(each) for each in demands] if isinstance(demands, list) else []
        return find_conflict_cause(str(error.fields.get("package")), texts, requirements)
    if isinstance(error, (LockNeedsBuildError, WheelBuildError)):
        name = str(error.fields.get("package") or "")
        found = next((each for each in requirements if not each.is_conda and each.name == normalise(name)), None)
        if found is not None and find_well_known(found.name, conda=False):
            return Cause(kind="missing", name=found.name, requirement=found)
        if found is not None and isinstance(error, WheelBuildError):
            return Cause(kind="build", name=found.name, requirement=found)
    return None


def _describe_known(cause: Cause) -> str | None:
    """Return the hint for which nobody has to be asked."""
    requirement = cause.requirement
    is_conda = requirement is not None and requirement.is_conda
    if cause.kind == "missing" and (other := find_well_known(cause.name, conda=is_conda)):
        where = "conda's channels" if is_conda else "pip's index"
        return f"{cause.name} is called {other} in {where}: require that."
    if cause.kind == "conflict" and cause.others:
        first = requirement.text if requirement is not None else cause.name
        listed = [first, *(f"{each.text}{format_place(each.location)}" for each in cause.others[:_MOST_OTHERS])]
        return f"{_join(listed, 'and')} exclude each other: loosen one of them."
    if cause.kind == "python":
        return (
            f"{cause.name} needs Python{cause.bound}: choose another Python with --python, or a version of "
            f"{cause.name} for this one."
        )
    return None


class _Hints:
    """Asks for what there is instead."""

    def __init__(self, engines: Engines, unmet: UnmetDefinition) -> None:
        self._engines = engines
        self._unmet = unmet

    async def describe(self, cause: Cause, *, is_conda: bool) -> str | None:
        if cause.kind not in ("missing", "versions"):
            return None
        return await (self._describe_conda(cause) if is_conda else self._describe_pip(cause))

    async def _describe_conda(self, cause: Cause) -> str | None:
        facts = await self._ask_channels(cause.name)
        channels = ", ".join(self._unmet.channels)
        if facts.versions:
            listed = format_versions(facts.versions, cause.bound)
            return f"{channels} {_have(self._unmet.channels)} {cause.name} {listed}."
        parts = [f"Did you mean {_join(facts.near)}?"] if facts.near else []
        if facts.platforms:
            here = split_platform(self._unmet.platform)[0]
            there = _join(facts.platforms, "and")
            parts.append(f"{channels} {_have(self._unmet.channels)} it for {there} only, not for {here}.")
        if not parts and await self._is_in_index(cause.name):
            once = f"`--with pip:{cause.name}` for one command"
            parts.append(f"pip's index has {cause.name}: `roost add --pip {cause.name}` requires it there, {once}.")
        return " ".join(parts) or None

    async def _describe_pip(self, cause: Cause) -> str | None:
        if cause.kind == "versions":
            found = await self._find_versions(cause)
            return f"pip's index has {cause.name} {_join(found, 'and')}." if found else None
        facts = await self._ask_channels(cause.name, cached_only=True)
        if facts.versions:
            newest = facts.versions[-1]
            return (
                f"conda has it ({', '.join(self._unmet.channels)}: {cause.name} {newest}): an environment.yml requires "
                "it under `dependencies:`."
            )
        pip = await self._engines.pip()
        with suppress(OSError):
            facts.near[:0] = await asyncio.to_thread(find_near_names, pip.cache_dir, cause.name, _MOST_ASKED)
        near = [name for name in list(dict.fromkeys(facts.near))[:_MOST_ASKED] if await self._is_in_index(name)]
        return f"Did you mean {_join(near)}?" if near else None

    async def _ask_channels(self, name: str, *, cached_only: bool = False) -> NameFacts:
        unmet, request = self._unmet, self._unmet.pip_request
        found = await find_names(
            await self._engines.conda(),
            [name.lower()],
            channels=unmet.channels,
            platform=unmet.platform,
            variables=request.variables,
            credentials=request.credentials,
            cached_only=cached_only,
        )
        return found[name.lower()]

    async def _is_in_index(self, name: str) -> bool:
        return await self._choose(name) is not None

    async def _choose(self, requirement: str) -> str | None:
        """Return the version that pip's index has for a requirement; empty if it has one that must be built, ``None``
        if it has none or does not answer."""
        options = [item for item in self._unmet.pip_request.items if item.kind == "option"]
        items = [*options, PipItem(kind="requirement", text=requirement)]
        name = normalise(re.split(r"[<>=!~ ]", requirement)[0])
        try:
            pip = await self._engines.pip()
            locked = await pip.lock(msgspec.structs.replace(self._unmet.pip_request, items=items))
        except (LockNeedsBuildError, WheelBuildError):
            return ""
        except CodedError:
            return None
        return next((wheel.version for wheel in locked.wheels if normalise(wheel.name) == name), "")

    async def _find_versions(self, cause: Cause) -> list[str]:
        """Return the version below the bound, and the newest."""
        number = re.search(r"\d[^,\s]*", cause.bound)
        below = await self._choose(f"{cause.name}<{number[0].removesuffix('.*')}") if number else None
        newest = await self._choose(cause.name)
        return list(dict.fromkeys(each for each in (below, newest) if each))


def format_versions(versions: Sequence[str], bound: str) -> str:
    """Return ``versions``, of which the oldest is the first, as a list: of many those around the first number of
    ``bound``, and the newest."""
    if len(versions) <= _MOST_VERSIONS:
        return _join(versions, "and")
    number = re.search(r"\d[^,|\s*]*", bound)
    position = len(versions)
    if number is not None:
        wanted = _sort_key(number[0].rstrip("."))
        position = next((n for n, each in enumerate(versions) if _sort_key(each) > wanted), len(versions))
    near = versions[max(0, position - 2) : position + 2]
    newest = versions[-1]
    return (
        f"{', '.join(near)} and others, the newest {newest}" if newest not in near else f"{', '.join(near)} and older"
    )


def _sort_key(version: str) -> Version:
    try:
        return Version(version)
    except InvalidVersion:
        numbers = re.findall(r"\d+", version)
        return Version(".".join(numbers) or "0")


def _join(texts: Sequence[str], last: str = "or") -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {last} {texts[-1]}" if texts else ""


def _have(texts: Sequence[str]) -> str:
    return "has" if len(texts) == 1 else "have"
