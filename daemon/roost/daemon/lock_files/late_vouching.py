"""Locks that were used although nobody vouched for them: channels and indexes are asked again at later uses.

Nobody waits for the answer: it is recorded with the generation. A lock that is refused then is not used again.
"""

from __future__ import annotations

import asyncio
import logging
import time

from roost.daemon.background.work import BackgroundWork, GaveWayError
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.jobs.progress import Silent
from roost.daemon.lock_files.vouching import LockFileUntrustedError, LockFileVoucher
from roost.model.errors import CodedError, ServiceUnreachableError
from roost.model.records import Generation
from roost.store.index.index import Index
from roost.wire.plans import EnvironmentSelector

PAUSE_SECONDS = 30.0
"""Between two attempts for a generation."""
log = logging.getLogger(__name__)


class LateVouching:
    """Asks about unvouched generations."""

    def __init__(self, index: Index, voucher: LockFileVoucher) -> None:
        self._index = index
        self._voucher = voucher
        self._begun: dict[tuple[str, str, int], float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def request(self, resolved: TargetedDefinition, selector: EnvironmentSelector, generation: Generation) -> None:
        """Ask about ``generation``, which has the lock of the lock file of ``resolved``. Returns at once."""
        key = generation.definition_digest, generation.platform, generation.number
        now = time.monotonic()
        if now - self._begun.get(key, -PAUSE_SECONDS) < PAUSE_SECONDS:
            return
        self._begun[key] = now
        task = asyncio.create_task(self._ask(resolved, selector, generation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def is_asking(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._tasks)

    async def stop(self) -> None:
        """Cancel what is running: it is asked again at another use."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, resolved: TargetedDefinition, selector: EnvironmentSelector, generation: Generation) -> None:
        refused: str | None = None
        try:
            vouched = await BackgroundWork().run(lambda: self._voucher.vouch(resolved, selector, Silent()))
            if vouched.reason is not None:
                return
        except LockFileUntrustedError as error:
            if isinstance(error.__cause__, ServiceUnreachableError):
                return
            refused = error.message
        except (CodedError, GaveWayError) as error:
            log.info("Nobody vouches yet for the lock of %s: %s", resolved.digest, error)
            return
        except Exception:  # the next use asks again
            log.exception("Asking about the lock of %s failed", resolved.digest)
            return
        await self._index.generations.record_vouching(generation, refused)
