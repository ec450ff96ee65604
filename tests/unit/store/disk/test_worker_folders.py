"""A daemon waits for the workers of the one before it, and refuses to start while one lives."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from roost.store.disk.layout import Layout
from roost.store.disk.worker_folders import WorkersAliveError, wait_for_workers


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(str(tmp_path))
    layout.make_folders()
    return layout


def hold(layout: Layout) -> int:
    folder = Path(layout.workers, "1")
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def test_nothing_is_waited_for_without_workers(layout: Layout):
    Path(layout.workers, "ended").mkdir()
    wait_for_workers(layout, 0)


def test_a_worker_that_ends_is_waited_for(layout: Layout):
    descriptor = hold(layout)
    began = time.monotonic()
    threading.Timer(0.3, os.close, (descriptor,)).start()
    wait_for_workers(layout)
    assert time.monotonic() - began > 0.2


def test_a_worker_that_lives_is_named(layout: Layout):
    descriptor = hold(layout)
    try:
        with pytest.raises(WorkersAliveError, match="worker process of an earlier daemon still uses the root"):
            wait_for_workers(layout, 0.1)
    finally:
        os.close(descriptor)
