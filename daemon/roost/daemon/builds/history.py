"""What remains of builds: their rows and events in the index, their log files, and their results on the wire.

A full disk may prevent writing how a build ended: the end is kept in memory and written once there is space again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence

import msgspec

from roost.daemon.caller.variables import explain_first_caller
from roost.daemon.decision.facts import short_digest
from roost.daemon.definitions.editables import editable_warnings
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.shared_task import Listener
from roost.daemon.planning.planner import PlanWithFacts
from roost.model.errors import MALFORMED_JSON, CodedError
from roost.model.records import BuildRecord, BuildState
from roost.store.clock import utc_now
from roost.store.disk.layout import Layout
from roost.store.index.index import Index
from roost.wire.builds import BuildResult, Message
from roost.wire.plans import Reason
from roost.wire.protocol import ErrorBody

log = logging.getLogger(__name__)


class BuildHistory:
    """The rows and events of builds, from their beginning to their end."""

    def __init__(self, index: Index, events: Events) -> None:
        self._index = index
        self._events = events
        self._unwritten: dict[str, tuple[BuildRecord, dict[str, object]]] = {}

    async def begin(self, build: BuildRecord, resolved: TargetedDefinition) -> None:
        """Record that ``build`` began. Raises StoreError."""
        await self.catch_up()
        name, path = resolved.source.name, resolved.sighted_path
        await self._index.definitions.record_sighting(resolved.digest, resolved.canonical, name, path)
        await self._index.builds.insert(build)
        await self._events.append("build-started", **_event_fields(build))

    async def end(self, build: BuildRecord, state: BuildState, started: float, body: ErrorBody | None = None) -> None:
        """Record how ``build`` ended. ``started``: time of the monotonic clock. Never fails: how a build ended does not
        depend on its record."""
        seconds = round(time.monotonic() - started, 3)
        fields: dict[str, object] = {"state": state, "ended": utc_now(), "seconds": seconds}
        if body is not None:
            fields["error"] = msgspec.to_builtins(body)
        self._unwritten[build.id] = build, fields
        await self.catch_up()

    async def catch_up(self) -> None:
        """Write the ends that could not be written when they happened. Never fails."""
        while self._unwritten:
            build_id, (build, fields) = self._unwritten.popitem()
            try:
                await self._index.builds.update(build_id, **fields)
                details = {"seconds": fields["seconds"]} if "error" not in fields else {"code": _error_code(fields)}
                await self._events.append("build-ended", **_event_fields(build), state=fields["state"], **details)
            except CodedError as error:
                log.warning("The end of build %s is not recorded yet: %s", build_id, error.message)
                self._unwritten[build_id] = build, fields
                return


def _error_code(fields: dict[str, object]) -> object:
    error = fields["error"]
    return error["code"] if isinstance(error, dict) else None


def _event_fields(build: BuildRecord) -> dict[str, object]:
    return {"build": build.id, "definition_digest": build.definition_digest, "name": build.name}


async def write_log(listener: Listener, layout: Layout, build_id: str) -> None:
    """Append every message but progress to the build's log file, one JSON object a line, until the build ends. A log
    that can't be written ends no build."""
    path = build_log_path(layout, build_id)
    async for batch in listener.batches():
        logged = [message for message in batch if message.event not in ("progress", "heartbeat")]
        if not logged:
            continue
        try:
            await asyncio.to_thread(_append_log, path, logged)
        except OSError as error:
            log.warning("Lines of a build's log were lost: %s", error)


async def read_log(layout: Layout, build_id: str) -> list[Message]:
    """Return the messages in the build's log file; none if there is no file."""
    return await asyncio.to_thread(_read_log, build_log_path(layout, build_id))


def build_log_path(layout: Layout, build_id: str) -> str:
    """Return the path of the log of a build."""
    return os.path.join(layout.logs, "builds", f"{build_id}.ndjson")


def _append_log(path: str, messages: list[Message]) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "ab") as file:
        file.write(b"".join(msgspec.json.encode(message) + b"\n" for message in messages))


def _read_log(path: str) -> list[Message]:
    try:
        with open(path, "rb") as file:
            return [message for line in file if line.endswith(b"\n") and (message := _parse_line(line))]
    except FileNotFoundError:
        return []


def _parse_line(line: bytes) -> Message | None:
    """Return the message, or ``None`` for a line that a crash or a damaged disk left: the others tell more."""
    try:
        return msgspec.json.decode(line, type=Message)
    except MALFORMED_JSON:
        return None


def plan_message(planned: PlanWithFacts, resolved: TargetedDefinition) -> Message:
    """Return the message with the plan, the warnings about the definition, and those among the plan's reasons."""
    warnings = [*resolved.warnings, *editable_warnings(planned.plan.reasons)]
    return Message(event="plan", plan=planned.plan, source=resolved.source, warnings=warnings)


def mark_joined(message: Message, differing: Sequence[str]) -> Message:
    """Return ``message`` for a client that joined while the build was running. ``differing``: the variables of which
    the client that began it has other values."""
    result, error = message.result, message.error
    if error is not None and error.code != "build-cancelled":
        hint = explain_first_caller(error.hint, differing)
        return msgspec.structs.replace(message, error=msgspec.structs.replace(error, hint=hint))
    if result is None or result.state != "succeeded":
        return message
    return msgspec.structs.replace(message, result=msgspec.structs.replace(result, state="joined"))


def not_needed_result(
    planned: PlanWithFacts, resolved: TargetedDefinition, more: tuple[Reason, ...] = ()
) -> BuildResult:
    """Return the result if everything is ready. ``more``: reasons besides those of the plan."""
    generation = planned.facts.generation
    return BuildResult(
        id=None,
        state="not-needed",
        definition_digest=resolved.digest,
        lock_digest=planned.facts.lock_digest,
        generation=generation.number if generation else None,
        artifacts=[planned.plan.artifact] if planned.plan.artifact else [],
        seconds=0.0,
        reasons=[*planned.plan.reasons, *(each for each in more if each not in planned.plan.reasons)],
    )


def shared_prefix_reason(digest: str) -> Reason:
    """Return the reason for a solve that came to the lock ``digest``, whose prefix is ready."""
    return Reason(
        code="lock-shared",
        message=f"The solve chose lock {short_digest(digest)}, whose prefix is ready: nothing to build",
    )


async def list_versions_sharing(index: Index, definition_digest: str) -> list[str]:
    """Return ``NAME:VERSION`` of every version that shares the definition, and so its current generation."""
    versions = await index.environments.list_by_definition(definition_digest)
    return [f"{version.name}:{version.version}" for version in versions]
