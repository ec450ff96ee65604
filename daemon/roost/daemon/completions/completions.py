"""The files of values are replaced soon after each change."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os

from roost.daemon.completions.gathering import gather_texts
from roost.daemon.completions.texts import FORMAT
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.lifecycle import BackgroundTasks
from roost.model.errors import CodedError
from roost.store.index.index import Index

log = logging.getLogger(__name__)
DELAY_SECONDS = 0.1
"""From a change to the replacement: changes come in groups."""
INTERVAL_SECONDS = 1.0
"""Between two replacements, if changes do not end."""
START_SECONDS = 1.0
"""From the start of the daemon to the first replacement: somebody may be waiting for the first answer."""


class CompletionFiles:
    """Replaces the files below ``folder`` after events, from ``start`` until ``stop``.

    Changes that show in them have an event, or are noted. Which one it was does not matter: what is in the files is
    read from the index, and only files with another text are replaced.
    """

    def __init__(self, folder: str, index: Index) -> None:
        self._folder = os.path.join(folder, FORMAT)
        self._index = index
        self._written: dict[str, str] = {}
        self._following = contextlib.ExitStack()
        self._tasks = BackgroundTasks()
        self._timer: asyncio.TimerHandle | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._is_outdated = False
        self._last = float("-inf")

    def start(self, events: Events) -> None:
        """Begin to follow events. The files are replaced once in any case: the last daemon may have been killed."""
        self._following.enter_context(events.follow(self, None))
        self._schedule(START_SECONDS)

    def note_change(self) -> None:
        """Something has changed that has no event."""
        self._schedule(DELAY_SECONDS)

    def offer_encoded(self, line: bytes) -> bool:
        """Take one event."""
        self._schedule(DELAY_SECONDS)
        return True

    def end(self) -> None:
        """No more events come."""

    async def stop(self) -> None:
        """Write what has changed, and follow no more."""
        self._following.close()
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.wait()
        if self._is_outdated:
            await self._replace()

    def _schedule(self, delay: float) -> None:
        self._is_outdated = True
        if self._timer is None and (self._replacing is None or self._replacing.done()):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(loop.time() + delay, self._last + INTERVAL_SECONDS), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._replacing = self._tasks.spawn(self._replace())
        self._replacing.add_done_callback(self._on_replaced)

    def _on_replaced(self, task: asyncio.Task[None]) -> None:
        if self._is_outdated:
            self._schedule(DELAY_SECONDS)

    async def _replace(self) -> None:
        """Write the files that have changed. A failure is not reported: whoever has no completion types."""
        self._is_outdated = False
        self._last = asyncio.get_running_loop().time()
        try:
            texts = await gather_texts(self._index)
            await asyncio.to_thread(self._write, texts)
        except (OSError, CodedError) as error:
            log.info("The files for completion can't be replaced: %s", error)

    def _write(self, texts: dict[str, str]) -> None:
        """Replace each file by a rename, without a sync: after a power loss, a file that was cut shows that."""
        for folder in (os.path.dirname(self._folder), self._folder):
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o700)  # not the root, which somebody may have removed
        for name, text in texts.items():
            path = os.path.join(self._folder, name)
            if self._written.get(name) == text and os.path.exists(path):
                continue
            with open(f"{path}.new", "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(f"{path}.new", path)
            self._written[name] = text
