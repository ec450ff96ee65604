"""The events of a daemon, for tests that wait for one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from tests.support.roost_process import Roost

SECONDS = 60
Json = dict[str, Any]


class EventFollower:
    """All events of a root from the beginning, read by ``roost events -f`` until its daemon ends."""

    def __init__(self, roost: Roost) -> None:
        self.events: list[Json] = []
        self._changed = threading.Condition()
        self._process = roost.start("events", "-f", "--json")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self.events.append(json.loads(line))
                self._changed.notify_all()

    @property
    def seq(self) -> int:
        """Number of the last event."""
        return int(self.events[-1]["seq"]) if self.events else 0

    def wait(self, kind: str, *, since: int = 0, where: Callable[[Json], bool] = lambda fields: True) -> Json:
        """Return the first event of a kind after number ``since`` whose fields are those; wait for it."""

        def find() -> Json | None:
            found = (each for each in self.events if each["seq"] > since and each["kind"] == kind)
            return next((each for each in found if where(each["fields"])), None)

        with self._changed:
            assert self._changed.wait_for(lambda: find() is not None, SECONDS), self.events[-20:]
            event = find()
        assert event is not None
        return event

    def count(self, kind: str, *, since: int = 0) -> int:
        """Return how many events of a kind came after number ``since``."""
        return sum(each["kind"] == kind and each["seq"] > since for each in self.events)
