"""What work holds of the caches, so that nothing is removed under it.

An item is held by any number of users, or claimed by the one that removes it. Nobody waits for a user: a claim of an
item that is held fails at once. A claim lasts milliseconds, and new users wait for its end. Users may hold an item
several times over. Everything happens in the daemon's event loop; what runs in workers and tools is held by their
callers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable

EVERYTHING = "*"
"""Key of everything at once, for a user that can't name what it will need."""
LAYERS = "layers"
"""Key of all layers: an image is assembled, loaded or pushed from several, whose digests show one by one."""
CONDA_INDEX = "conda-index"
"""Key of the channels' indexes."""


class Holds:
    """Holds and claims by key: those of ``roost.store.index.cache_keys``, and names of whole caches."""

    def __init__(self) -> None:
        self._users: Counter[str] = Counter()
        self._claims: dict[str, asyncio.Event] = {}

    @contextlib.asynccontextmanager
    async def hold(self, keys: Iterable[str]) -> AsyncIterator[None]:
        """Hold ``keys``; what is being removed is awaited first."""
        held = set(keys)
        while claims := [claim for key, claim in self._claims.items() if key in held or EVERYTHING in held]:
            await claims[0].wait()
        self._users.update(held)
        try:
            yield
        finally:
            self._users.subtract(held)
            for key in [key for key in held if not self._users[key]]:
                del self._users[key]

    @contextlib.asynccontextmanager
    async def claim(self, key: str) -> AsyncIterator[bool]:
        """Claim an item for its removal; the value is ``False`` if anybody holds it."""
        if key in self._claims or self._users[key] or self._users[EVERYTHING]:
            yield False
            return
        claim = self._claims[key] = asyncio.Event()
        try:
            yield True
        finally:
            del self._claims[key]
            claim.set()
