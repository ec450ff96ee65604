"""Between what fills the disk and what frees it: builds wait here for a collection, and report what they published.

Separate since builds are below garbage collection and must not know it.
"""

from __future__ import annotations

import logging
from typing import Protocol

from roost.model.errors import CodedError

log = logging.getLogger(__name__)


class SpaceKeeper(Protocol):
    """Frees space."""

    async def wait_for_space(self) -> None:
        """Wait for the end of a collection that a publication made necessary."""

    async def on_published(self) -> None:
        """Begin a collection if one is necessary now."""


class SpaceGate:
    """Whoever fills the disk passes here. Without a ``keeper`` nothing happens."""

    def __init__(self) -> None:
        self.keeper: SpaceKeeper | None = None

    async def wait(self) -> None:
        """Wait before anything is written, so that a budget is exceeded by what is being built only."""
        if self.keeper is not None:
            await self.keeper.wait_for_space()

    async def report(self) -> None:
        """Report that something was published. Never fails: what was published is ready."""
        if self.keeper is None:
            return
        try:
            await self.keeper.on_published()
        except (CodedError, OSError) as error:
            log.warning("Whether there is space enough could not be found out: %s", error)
