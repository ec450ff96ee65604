"""The folders of worker processes in ``workers/``: each is locked by its worker as long as the worker lives.

A daemon that was killed takes its workers with it, but a moment may pass until the kernel has ended them. The next one
waits for that before it deletes a prefix that a worker may still be writing into.

A module of its own because recovery waits for what the daemon starts.
"""

from __future__ import annotations

import fcntl
import os
import time

from roost.model.errors import StoreRefusedError
from roost.store.disk.file_ops import list_names
from roost.store.disk.layout import Layout
from roost.store.disk.lease_files import find_holders

WAIT_SECONDS = 10.0


class WorkersAliveError(StoreRefusedError):
    """Worker processes of a daemon that has ended are still alive."""

    code = "workers-alive"


def wait_for_workers(layout: Layout, seconds: float = WAIT_SECONDS) -> None:
    """Wait until no worker of an earlier daemon is alive. Blocks, normally not at all.

    Raises:
        WorkersAliveError: if one is after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    for name in list_names(layout.workers):
        folder = os.path.join(layout.workers, name)
        while _is_held(folder):
            if time.monotonic() > deadline:
                holders = [holder for found in find_holders([folder]).values() for holder in found]
                raise WorkersAliveError(
                    f"A worker process of an earlier daemon still uses the root {layout.root}: {', '.join(holders)}",
                    hint="End it (`kill -9`) and start again.",
                    fields={"root": layout.root, "holders": holders},
                )
            time.sleep(0.02)


def _is_held(folder: str) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
