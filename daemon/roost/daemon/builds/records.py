"""What is recorded of builds, from their beginning to their end. A full disk may keep an end from being written: it is
remembered, and written once there is space again."""

from __future__ import annotations

import logging
import time

import msgspec

from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.jobs.events import Events
from roost.model.errors import CodedError
from roost.model.records import BuildRecord, BuildState
from roost.store.clock import utc_now
from roost.store.index.index import Index
from roost.wire.protocol import ErrorBody

log = logging.getLogger(__name__)


class BuildRecords:
    """The rows and events of builds."""

    def __init__(self, index: Index, events: Events) -> None:
        self._index = index
        self._events = events
        self._unwritten: dict[str, tuple[BuildRecord, dict[str, object]]] = {}

    async def begin(self, build: BuildRecord, resolved: TargetedDefinition) -> None:
        """Raises the store's errors."""
        await self.catch_up()
        source = resolved.source
        await self._index.definitions.record_sighting(resolved.digest, resolved.canonical, source.name, source.path)
        await self._index.builds.insert(build)
        await self._events.append("build-started", **_event_fields(build))

    async def end(self, build: BuildRecord, state: BuildState, started: float, body: ErrorBody | None = None) -> None:
        """``started``: of the monotonic clock. Never fails: how a build ended does not depend on its record."""
        seconds = round(time.monotonic() - started, 3)
        fields: dict[str, object] = {"state": state, "ended": utc_now(), "seconds": seconds}
        if body is not None:
            fields["error"] = msgspec.to_builtins(body)
        self._unwritten[build.id] = build, fields
        await self.catch_up()

    async def catch_up(self) -> None:
        """Write what could not be written when it happened. Never fails."""
        while self._unwritten:
            build_id, (build, fields) = self._unwritten.popitem()
            try:
                await self._index.builds.update(build_id, **fields)
                told = {"seconds": fields["seconds"]} if "error" not in fields else {"code": _code(fields)}
                await self._events.append("build-ended", **_event_fields(build), state=fields["state"], **told)
            except CodedError as error:
                log.warning("The end of build %s is not recorded yet: %s", build_id, error.message)
                self._unwritten[build_id] = build, fields
                return


def _code(fields: dict[str, object]) -> object:
    error = fields["error"]
    return error["code"] if isinstance(error, dict) else None


def _event_fields(build: BuildRecord) -> dict[str, object]:
    return {"build": build.id, "definition_digest": build.definition_digest, "name": build.name}
