"""Builds with their logs, definitions that nothing refers to, and log files go by age. Runs, versions and locks stay.

Rows are deleted some at a time, with pauses in between, so that a request that comes meanwhile waits for one small
transaction at most.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone

from roost.daemon.builds.history import build_log_path
from roost.daemon.config.source import ConfigSource
from roost.store.clock import rfc3339
from roost.store.store import Store

log = logging.getLogger(__name__)
AGES = "ages"
EVERY_SECONDS = 86_400.0
CHUNK_ROWS = 200
"""Rows in one transaction: a few milliseconds."""
_PAUSE_SECONDS = 0.005
_PLAUSIBLE = timedelta(days=30)
_ROTATED_LOG = re.compile(r"daemon\.log\.\d+")
_BUILD_LOG = re.compile(r"b-[0-9A-Za-z-]+\.[a-z]+")


class AgeLimits:
    """Deletes what is older than the settings of ``[history]`` say."""

    def __init__(self, store: Store, config: ConfigSource) -> None:
        self._store = store
        self._config = config

    async def run(self) -> None:
        """Delete what is too old. An interruption leaves the rest for the next time."""
        settings, now = self._config.config.history, datetime.now(timezone.utc)
        if not self._is_clock_plausible(await self._store.index.upkeep.list_last_runs(), now):
            return
        builds = definitions = logs = 0
        if settings.build_days:
            builds = await self.delete_builds(rfc3339(now - timedelta(days=settings.build_days)))
            logs += await self._delete_logs("builds", _BUILD_LOG, settings.build_days)
        if settings.definition_days:
            definitions = await self.delete_definitions(rfc3339(now - timedelta(days=settings.definition_days)))
        if settings.log_days:
            logs += await self._delete_logs("", _ROTATED_LOG, settings.log_days)
        if builds or definitions or logs:
            log.info("Deleted by age: %d builds, %d definitions, %d log files", builds, definitions, logs)

    @staticmethod
    def _is_clock_plausible(ended: Mapping[str, str], now: datetime) -> bool:
        """Return whether this ran within the last month: a clock that jumps ahead must make nothing old. If it stays
        there, tomorrow's run deletes."""
        return ended.get(AGES, "") >= rfc3339(now - _PLAUSIBLE)

    async def delete_builds(self, before: str) -> int:
        """Delete the records of builds that ended and were requested ``before`` that time, and their logs."""
        count = 0
        while ids := await self._store.index.upkeep.delete_builds(before, CHUNK_ROWS):
            count += len(ids)
            await asyncio.to_thread(self._delete_build_logs, ids)
            await asyncio.sleep(_PAUSE_SECONDS)
        return count

    async def delete_definitions(self, before: str) -> int:
        """Delete definitions that were first seen ``before`` that time and that nothing refers to."""
        count, last = 0, 0
        while (page := await self._store.index.upkeep.list_unreferenced(before, last, CHUNK_ROWS)).last is not None:
            last = page.last
            if page.ids:
                count += await self._store.index.upkeep.delete_definitions(page.ids)
            await asyncio.sleep(_PAUSE_SECONDS)
        return count

    def _delete_build_logs(self, ids: list[str]) -> None:
        for build_id in ids:
            with suppress(OSError):
                os.unlink(build_log_path(self._store.layout, build_id))

    async def _delete_logs(self, folder: str, pattern: re.Pattern[str], days: float) -> int:
        """Delete log files that were last written ``days`` ago: of builds without a record too."""
        return await asyncio.to_thread(_delete_old_files, os.path.join(self._store.layout.logs, folder), pattern, days)


def _delete_old_files(folder: str, pattern: re.Pattern[str], days: float) -> int:
    count, limit = 0, time.time() - days * 86_400
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if pattern.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_mtime < limit:
                    os.unlink(entry.path)
                    count += 1
    return count
