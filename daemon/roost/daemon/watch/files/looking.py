"""The thread that takes the kernel's notices and looks at what they are about.

Requests come over a queue and a pipe, and their results go through futures: nobody waits for this thread with a lock.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Set
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice

from roost.daemon.watch.files.methods import WatchMethod
from roost.daemon.watch.files.mounts import MountTable
from roost.daemon.watch.files.path_watches import PathWatches
from roost.daemon.watch.files.subjects import Subjects
from roost.daemon.watch.files.system_notices import ClockNotices, MountNotices

log = logging.getLogger(__name__)
BATCH = 256
"""Paths that are looked at between two looks for notices and requests."""
RACE_REST_SECONDS = 0.05
"""To the next walk to a path, if others move all the time what leads there."""
RECOVERY_SECONDS = 60.0
"""Between two attempts to watch what a limit of the system or the mode of a folder keeps from being watched."""
MOUNTS_DELAY_SECONDS = 0.1
"""From a change of mounts to the reading of their table: an engine changes many when it starts a container."""
ERROR_REST_SECONDS = 1.0


@dataclass(slots=True)
class LookRequest:
    """What the event loop asks for: to replace the paths of an owner, or to look at everything if there is no owner.

    The result of ``done`` are answers of polled mounts that may be waited for.
    """

    owner: str | None = None
    paths: frozenset[str] = frozenset()
    done: Future[list[Future[None]]] = field(default_factory=Future)


class LookThread(threading.Thread):
    """Watches from ``start`` until ``stop``. ``report`` is called with owners, on this and on other threads."""

    def __init__(self, report: Callable[[frozenset[str]], None], find_mounts: Callable[[], MountTable]) -> None:
        super().__init__(name="watch-look", daemon=True)
        self._lock = threading.Lock()
        """For requests and the pipe, which others use too."""
        self._requests: deque[LookRequest] = deque()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)
        self._is_stopping = self._is_ended = False
        self._subjects = Subjects(report)
        self._watches = PathWatches(find_mounts)
        self._turned: dict[str, None] = {}
        self._written: dict[str, None] = {}
        self._touched: dict[str, None] = {}
        self._backlog: dict[str, None] = {}
        self._rests: dict[str, float] = {}
        self._recovery_due: float | None = None
        self._mounts_due: float | None = None
        self._mount_notices = MountNotices()
        self._clock_notices = ClockNotices()
        self._selector = selectors.DefaultSelector()

    def ask(self, request: LookRequest) -> None:
        """Queue a request, from another thread."""
        with self._lock:
            if self._is_ended:
                request.done.set_exception(_closed())
            else:
                self._requests.append(request)
                self._wake()

    def stop(self) -> None:
        """End soon; from another thread."""
        with self._lock:
            self._is_stopping = True
            if not self._is_ended:
                self._wake()

    def find_method(self, owner: str) -> WatchMethod:
        """Return how the files of an owner are seen; from another thread."""
        return self._subjects.find_method(owner)

    def run(self) -> None:
        """Take notices and look, until ``stop``."""
        for descriptor in (self._wake_reader, self._mount_notices.descriptor, self._clock_notices.descriptor):
            self._register(descriptor)
        self._watches.read_mounts()
        self._watches.open()
        self._register(self._watches.descriptor)
        while not self._is_stopping:
            try:
                ready = self._selector.select(self._choose_timeout(time.monotonic()))
                self._take_system_notices({key.fd for key, _ in ready}, time.monotonic())
                self._take_notices()
                self._serve_requests()
                self._look_at_next()
            except Exception:
                log.exception("Watching files failed; all of them are looked at again")
                time.sleep(ERROR_REST_SECONDS)
                self._look_at_everything()
        self._close()

    def _register(self, descriptor: int) -> None:
        if descriptor >= 0:
            self._selector.register(descriptor, selectors.EVENT_READ)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is full, so that the thread wakes anyway
            os.write(self._wake_writer, b"\0")

    def _choose_timeout(self, now: float) -> float | None:
        if self._is_busy():
            return 0.0
        times = [*self._rests.values(), *(each for each in (self._recovery_due, self._mounts_due) if each is not None)]
        return max(min(times) - now, 0.0) if times else None

    def _is_busy(self) -> bool:
        return bool(self._turned or self._written or self._touched or self._backlog)

    # Notices

    def _take_system_notices(self, ready: Set[int], now: float) -> None:
        if self._mount_notices.descriptor in ready and self._mounts_due is None:
            self._mounts_due = now + MOUNTS_DELAY_SECONDS
        if self._mounts_due is not None and now >= self._mounts_due:
            self._mounts_due = None
            self._turn(self._watches.read_mounts())
        if self._clock_notices.descriptor in ready and self._clock_notices.take_sleep():
            log.info("The machine was suspended: all watched files are looked at")
            self._look_at_everything()
        if self._recovery_due is not None and now >= self._recovery_due:
            self._recovery_due = None
            self._watches.may_recover = False
            if self._watches.descriptor < 0:
                self._watches.open()
                self._register(self._watches.descriptor)
            self._turn(self._subjects.list_locally_polled())
        if self._watches.may_recover and self._recovery_due is None:
            self._recovery_due = now + RECOVERY_SECONDS

    def _take_notices(self) -> None:
        meaning = self._watches.take_notices()
        for folder in meaning.gone:
            self._turn(self._watches.lose(folder))
        self._turn(meaning.turned)
        self._written.update(dict.fromkeys(meaning.written))
        self._touched.update(dict.fromkeys(meaning.touched))
        if meaning.lost:
            log.warning("Notices about watched files were lost: all of them are looked at")
            self._look_at_everything()
            self._turn(self._subjects.list_paths())

    def _look_at_everything(self) -> None:
        """Look at all paths. Folders may have been replaced as well: notices of that may be among the lost ones."""
        self._turn(self._watches.check())
        self._backlog.update(dict.fromkeys(self._subjects.list_paths()))

    def _turn(self, paths: Iterable[str]) -> None:
        self._turned.update(dict.fromkeys(paths))

    # Requests

    def _serve_requests(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_reader, 4096):
                pass
        with self._lock:
            requests = [request for request in self._requests if request.done.set_running_or_notify_cancel()]
            self._requests.clear()
        try:
            self._serve(requests)
        except Exception as error:
            for request in requests:
                if not request.done.done():
                    request.done.set_exception(error)
            raise

    def _serve(self, requests: list[LookRequest]) -> None:
        for request in requests:
            if request.owner is not None:
                for path in self._subjects.own(request.owner, request.paths):
                    self._drop(path)
        if any(request.owner is None for request in requests):
            self._rests.clear()
            self._look_at_everything()
            while self._is_busy():
                self._look_at_next()
        fresh = self._subjects.list_fresh(path for request in requests for path in request.paths)
        for start in range(0, len(fresh), BATCH):
            self._look_at(fresh[start : start + BATCH], walk=True)
        for request in requests:
            request.done.set_result(self._subjects.look_at_polled(request.owner, request.paths))

    def _drop(self, path: str) -> None:
        for pending in (self._turned, self._written, self._touched, self._backlog):
            pending.pop(path, None)
        self._rests.pop(path, None)
        self._watches.drop(path)

    # Looking

    def _look_at_next(self) -> None:
        """Look at one batch: first at what notices were about, then at the rest of everything."""
        now = time.monotonic()
        for path in [path for path, until in self._rests.items() if until <= now]:
            del self._rests[path]
            self._turned[path] = None
        if self._turned:
            self._look_at(_take(self._turned), walk=True, noticed=True)
        elif self._written:
            self._look_at(_take(self._written), noticed=True)
        elif self._touched:
            self._look_at(_take(self._touched))
        elif self._backlog:
            self._look_at(_take(self._backlog), walk=True)

    def _look_at(self, paths: list[str], *, walk: bool = False, noticed: bool = False) -> None:
        paths = [path for path in paths if path not in self._rests]
        if walk:
            is_done, others = self._watches.walk(paths)
            self._turn(others)
            if not is_done:
                self._rests.update(dict.fromkeys(paths, time.monotonic() + RACE_REST_SECONDS))
            for path in paths:
                self._subjects.place(path, *self._watches.choose(path))
        for path in paths:
            rest = self._subjects.look(path, noticed=noticed)
            if rest:
                self._rests[path] = time.monotonic() + rest
            if self._watches.follow(path, is_linked=self._subjects.is_linked(path)):
                self._written[path] = None

    def _close(self) -> None:
        self._subjects.close()
        self._selector.close()
        self._mount_notices.close()
        self._clock_notices.close()
        self._watches.close()
        with self._lock:
            self._is_ended = True
            os.close(self._wake_reader)
            os.close(self._wake_writer)
            for request in self._requests:
                if request.done.set_running_or_notify_cancel():
                    request.done.set_exception(_closed())


def _closed() -> RuntimeError:
    return RuntimeError("the watcher is closed")


def _take(pending: dict[str, None]) -> list[str]:
    taken = list(islice(pending, BATCH))
    for path in taken:
        del pending[path]
    return taken
