"""Named points at which a test can kill or pause the process, and a trace of durable operations in their order.

Everything is off unless an environment variable asks for it:

- ``ROOST_FAILPOINT=name`` kills the process with SIGKILL at that point (``name:N``: the N-th time it is reached).
- ``ROOST_FAILPOINT_HOLD=name=path`` pauses at that point as long as the file ``path`` exists.
- ``ROOST_FAILPOINT_TRACE=path`` appends every point and every durable operation (sync, rename, commit …) to a file,
  one per line, before the next operation begins.

Separate since the store and the daemon both have such points.
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
    """Mark a point at which a crash, or anything that others do meanwhile, must do no harm. Does nothing unless
    the environment names the point."""
    operation("point", name)
    hold_name, _, path = os.environ.get(HOLD, "").partition("=")
    while hold_name == name and os.path.exists(path):
        time.sleep(0.01)
    setting = os.environ.get(FAILPOINT)
    if setting is None:
        return
    kill_name, _, times = setting.partition(":")
    if kill_name == name:
        _reached[name] += 1
        if _reached[name] == int(times or 1):
            os.kill(os.getpid(), signal.SIGKILL)


def operation(kind: str, subject: str) -> None:
    """Append to the trace that ``kind`` (``syncfs``, ``rename``, ``commit`` …) was done to ``subject``."""
    path = os.environ.get(TRACE)
    if path is None:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{kind} {subject}\n".encode())
    finally:
        os.close(descriptor)
