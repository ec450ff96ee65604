"""Polling: files whose changes the kernel does not report are looked at again and again, on a thread of their own.

Each mount has its own thread, since one that does not answer stops the thread that asks. What polling costs decides how
often it happens (``methods.choose_poll_interval``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from roost.daemon.watch.files.methods import choose_poll_interval

SILENCE_SECONDS = 10.0
"""A mount that takes longer to answer is reported."""


class Poller:
    """Looks at a set of paths, from the first one that is added until the last one is removed.

    ``look`` looks at one path; it may take any time, and must not raise.
    """

    def __init__(self, name: str, look: Callable[[str], None]) -> None:
        self.name = name
        self._look = look
        self._paths: set[str] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._waiting: list[Future[None]] = []
        self._thread: threading.Thread | None = None
        self._asked: float | None = None
        self._is_closed = False

    def add(self, path: str) -> None:
        """Look at ``path`` soon, and from then on."""
        with self._lock:
            self._paths.add(path)
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._run, name=f"watch-poll {self.name}", daemon=True)
                self._thread.start()
        self._wake.set()

    def remove(self, path: str) -> None:
        """Look at ``path`` no longer."""
        with self._lock:
            self._paths.discard(path)
            is_empty = not self._paths
        if is_empty:
            self._wake.set()

    def look_now(self) -> Future[None]:
        """Look at all paths at once. The future has a result after that."""
        future: Future[None] = Future()
        with self._lock:
            if self._thread is None:
                future.set_result(None)
                return future
            self._waiting.append(future)
        self._wake.set()
        return future

    def measure_silence(self) -> float:
        """Return the seconds for which the present look has had no answer; 0 between looks."""
        asked = self._asked
        return 0.0 if asked is None else time.monotonic() - asked

    def close(self) -> None:
        """End soon. A thread that waits for an answer ends with it, or with the process."""
        with self._lock:
            self._is_closed = True
            self._paths.clear()
        self._wake.set()

    def _run(self) -> None:
        interval = 0.0
        while True:
            self._wake.wait(interval)
            self._wake.clear()
            with self._lock:
                paths, waiting, self._waiting = list(self._paths), self._waiting, []
                if not paths:
                    self._thread = None
            if paths:
                interval = self._look_at_all(paths)
            for future in waiting:
                if future.set_running_or_notify_cancel():
                    future.set_result(None)
            if not paths:
                return

    def _look_at_all(self, paths: list[str]) -> float:
        began, worked = time.monotonic(), time.thread_time()
        for path in paths:
            if path not in self._paths:
                continue
            self._asked = time.monotonic()
            self._look(path)
            self._asked = None
        return choose_poll_interval(time.thread_time() - worked, time.monotonic() - began)
