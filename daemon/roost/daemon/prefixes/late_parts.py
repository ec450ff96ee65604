"""Learn what uv made of the wheels of new prefixes, once these are ready: further prefixes are linked without uv.

Nothing depends on it. What is interrupted, or was not learned when the daemon ended, is learned when uv installs the
wheel the next time.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from contextlib import suppress

from roost.daemon.background.work import BackgroundWork, GaveWayError
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.uv.parts.files import PartsPlace
from roost.daemon.engines.uv.parts.learning import learn_parts
from roost.daemon.integrity.manifest import ManifestDamagedError
from roost.daemon.integrity.trees import load_manifest
from roost.model.records import Artifact
from roost.store.disk.layout import Layout
from roost.store.disk.prefix_records import read_record

log = logging.getLogger(__name__)
BEGIN_SECONDS = 0.5
"""After a prefix is ready: the command that it was made for starts first."""


class LateParts:
    """Learns from one prefix at a time, with the lowest priority."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._waiting: deque[Artifact] = deque()
        self._task: asyncio.Task[None] | None = None

    def request(self, ready: Artifact) -> None:
        """Learn from a prefix into which uv has installed wheels. Returns at once."""
        self._waiting.append(ready)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Cancel everything."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            await asyncio.sleep(BEGIN_SECONDS)
            while self._waiting:
                ready = self._waiting.popleft()
                try:
                    await BackgroundWork().run(lambda ready=ready: self._learn(ready))  # type: ignore[misc]
                except GaveWayError:
                    continue
                except Exception:
                    log.exception("Learning the parts of %s failed", ready.path)
        finally:
            self._task = None

    async def _learn(self, ready: Artifact) -> None:
        place = (await self._engines.pip()).parts
        await asyncio.to_thread(_learn_from, place, ready)


def _learn_from(place: PartsPlace, ready: Artifact) -> None:
    record = read_record(ready.path)
    if record is None:
        return
    path = Layout.manifest_of(ready.path)
    with suppress(OSError, ManifestDamagedError):
        sealed = os.stat(path).st_mtime_ns
        manifest = load_manifest(path, ready.manifest)
        learn_parts(place, ready.path, record.lock.wheels, manifest.files, sealed)
