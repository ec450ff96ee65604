"""Named points at which a test may end the process, and a record of what was done in which order.

All is off unless the environment asks: ``ROOST_FAILPOINT`` names the point at which the process kills itself with
SIGKILL (``name:N``: the N-th time it is reached), ``ROOST_FAILPOINT_HOLD`` one at which it stands still as long as a
file is there (``name=path``), and ``ROOST_FAILPOINT_TRACE`` names a file to which every point and every
durable operation (sync, rename, commit …) is appended, one a line, before the next thing happens.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

FAILPOINT = "ROOST_FAILPOINT"
HOLD = "ROOST_FAILPOINT_HOLD"
TRACE = "ROOST_FAILPOINT_TRACE"

_reached: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """A place where a crash, or whatever others do meanwhile, must do no harm. Does nothing unless it is named."""
    operation("point", name)
    held, _, path = os.environ.get(HOLD, "").partition("=")
    while held == name and os.path.exists(path):
        time.sleep(0.01)
    wanted = os.environ.get(FAILPOINT)
    if wanted is None:
        return
    wanted_name, _, times = wanted.partition(":")
    if wanted_name == name:
        _reached[name] += 1
        if _reached[name] == int(times or 1):
            os.kill(os.getpid(), signal.SIGKILL)


def operation(kind: str, subject: str) -> None:
    """Record that ``kind`` (``syncfs``, ``rename``, ``commit`` …) was done to ``subject``."""
    path = os.environ.get(TRACE)
    if path is None:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{kind} {subject}\n".encode())
    finally:
        os.close(descriptor)
