"""A limit on how often the log repeats itself: a fault that lasts must not push all else out of the rotated files.

Apart from ``logs``, since it is a decision about lines and knows no files.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

REPEATS = 20
"""Lines of one kind that are written in a period."""
PERIOD_SECONDS = 60.0
_MAX_KINDS = 1000


class RepeatLimit(logging.Filter):
    """Passes ``REPEATS`` warnings and errors of one kind in each period, and counts the others.

    Lines are of one kind if the same place of the program writes them, whatever values are in them. The first one after
    a period says how many were left out. Called by one thread at a time (``logging.Handler.handle``).
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._periods: dict[tuple[str, str], tuple[float, int]] = {}
        """Kind to when its period began, and the number of lines since."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write the line; its message is completed if others were left out before it."""
        if record.levelno < logging.WARNING:
            return True
        kind, now = (record.name, str(record.msg)), self._clock()
        began, count = self._periods.get(kind, (now, 0))
        if now - began >= PERIOD_SECONDS:
            if count > REPEATS:
                record.msg, record.args = f"{record.getMessage()} (and {count - REPEATS} more like it before)", ()
            began, count = now, 0
        if len(self._periods) >= _MAX_KINDS:
            self._periods.clear()
        self._periods[kind] = (began, count + 1)
        return count < REPEATS
