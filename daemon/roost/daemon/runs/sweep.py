"""Containers of this root that nobody needs any more: removed now, or later if the engine can't do it now.

A container carries the root's label and the run's; one that was created only to look into an image carries the mark of
the daemon that created it. A later daemon asks once for what an earlier one left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from roost.daemon.engines.docker.labels import PROBE_LABEL, ROOT_LABEL, RUN_LABEL, root_name
from roost.model.errors import CodedError

if TYPE_CHECKING:  # the SDK is loaded when an engine is first used
    from roost.daemon.engines.docker.containers import DockerContainers
    from roost.daemon.engines.docker.values import EngineContainer

STOP_SECONDS = 5.0
"""How long an engine may take when the daemon stops."""
AGAIN_SECONDS = 60.0
"""Until another attempt to remove what could not be removed."""


class ContainerSweep:
    """Removes containers. ``is_needed`` answers for the id of a run whether its container must stay."""

    def __init__(
        self,
        engine: Callable[[], Awaitable[DockerContainers]],
        root: str,
        is_needed: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._engine = engine
        self._root_label = root_name(root)
        self._is_needed = is_needed
        self._doomed: set[str] = set()
        """Ids of containers to remove."""
        self._has_listed = False
        """Whether the engine has listed what earlier daemons left."""
        self._retry: asyncio.Task[None] | None = None

    async def find_all(self) -> list[EngineContainer]:
        """Return all containers of this root. Raises the engine's errors."""
        return await (await self._engine()).find(f"{ROOT_LABEL}={self._root_label}")

    async def remove(self, container: str) -> None:
        """Remove ``container`` and what else is to be removed; retry later if that can't be done now."""
        self.add(container)
        await self.run()

    def add(self, container: str) -> None:
        """Remove ``container`` with the next ones, or at the stop."""
        self._doomed.add(container)

    async def run(self) -> None:
        """Remove what is to be removed; retry later if that can't be done now."""
        if not await self._try_remove() and self._retry is None:
            self._retry = asyncio.create_task(self._retry_until_done())

    async def stop(self) -> None:
        """Remove what can be removed in a few seconds, and leave the rest to the next daemon."""
        if self._retry is not None:
            self._retry.cancel()
            await asyncio.gather(self._retry, return_exceptions=True)
        elif self._doomed:  # nothing has failed yet
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._try_remove(), STOP_SECONDS)

    async def _retry_until_done(self) -> None:
        try:
            done = False
            while not done:
                await asyncio.sleep(AGAIN_SECONDS)
                done = await self._try_remove()
        finally:
            self._retry = None

    async def _try_remove(self) -> bool:
        """Try once to remove everything; return whether nothing is left."""
        with suppress(CodedError):  # the engine is unreachable
            engine = await self._engine()
            if not self._has_listed:
                self._doomed |= await self._list_unneeded(engine.probe_mark)
                self._has_listed = True
            self._doomed |= engine.pop_unremoved()
            for container in list(self._doomed):
                with suppress(CodedError):
                    await engine.remove(container)
                    self._doomed.discard(container)
        return self._has_listed and not self._doomed

    async def _list_unneeded(self, mark: str) -> set[str]:
        """Return the containers of ended runs and of other daemons' probes. ``mark``: this daemon's, which removes the
        containers of its own probes itself."""
        others = [each for each in await self.find_all() if each.labels.get(PROBE_LABEL) != mark]
        return {each.id for each in others if not await self._is_needed(each.labels.get(RUN_LABEL, ""))}
