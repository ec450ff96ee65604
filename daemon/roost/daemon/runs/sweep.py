"""Containers of this root that nobody wants any more: removed now, and later where the engine can't do it now.

A container carries the root's label, and the run's; one that was made only to look into an image carries the mark of
the daemon that made it. A daemon that comes later asks once what one before it left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from roost.daemon.engines.docker.labels import ROOT_LABEL, RUN_LABEL, root_name
from roost.model.errors import CodedError

if TYPE_CHECKING:  # the SDK is loaded when an engine is first used
    from roost.daemon.engines.docker.containers import DockerContainers
    from roost.daemon.engines.docker.values import EngineContainer

AGAIN_SECONDS = 60.0
"""Until what could not be removed is tried again."""


class ContainerSweep:
    """Removes containers. ``wanted`` tells of a run by its id whether its container is."""

    def __init__(
        self,
        engine: Callable[[], Awaitable[DockerContainers]],
        root: str,
        wanted: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._engine = engine
        self._root = root_name(root)
        self._wanted = wanted
        self._left: set[str] = set()
        """Ids of those that are to go."""
        self._asked = False
        """Whether the engine has told what daemons before this one left."""
        self._again: asyncio.Task[None] | None = None

    async def mine(self) -> list[EngineContainer]:
        """All of this root. Raises the engine's errors."""
        return await (await self._engine()).find(f"{ROOT_LABEL}={self._root}")

    async def remove(self, container: str) -> None:
        """Remove it, and what else is left; later where that can't be done now."""
        self._left.add(container)
        await self.run()

    async def run(self) -> None:
        """Remove what is left; later where that can't be done now."""
        if not await self._done() and self._again is None:
            self._again = asyncio.create_task(self._later())

    async def stop(self) -> None:
        """Leave what is left to the next daemon."""
        if self._again is not None:
            self._again.cancel()
            await asyncio.gather(self._again, return_exceptions=True)

    async def _later(self) -> None:
        try:
            done = False
            while not done:
                await asyncio.sleep(AGAIN_SECONDS)
                done = await self._done()
        finally:
            self._again = None

    async def _done(self) -> bool:
        """Whether nothing is left, after one try."""
        with suppress(CodedError):  # it is away
            engine = await self._engine()
            if not self._asked:
                self._left |= await self._unwanted(engine.probe_mark)
                self._asked = True
            self._left |= engine.pop_unremoved()
            for container in list(self._left):
                with suppress(CodedError):
                    await engine.remove(container)
                    self._left.discard(container)
        return self._asked and not self._left

    async def _unwanted(self, mark: str) -> set[str]:
        """``mark``: of this daemon, which sees to what it looks into itself."""
        from roost.daemon.engines.docker.labels import PROBE_LABEL

        others = [each for each in await self.mine() if each.labels.get(PROBE_LABEL) != mark]
        return {each.id for each in others if not await self._wanted(each.labels.get(RUN_LABEL, ""))}
