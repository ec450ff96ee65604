"""The watched paths: who owns each one, its content when it was last looked at, and who looks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future

import msgspec

from roost.daemon.watch.files.contents import FileContent, is_other, look_at
from roost.daemon.watch.files.methods import INOTIFY, WatchMethod, choose_worst, report_silence
from roost.daemon.watch.files.path_watches import LOCAL
from roost.daemon.watch.files.polling import SILENCE_SECONDS, Poller

log = logging.getLogger(__name__)
REST_FACTOR = 20
"""A path that takes long to read rests for so many times as long, so that a large file that is written without end
takes 5 % of a core."""
REST_FROM_SECONDS = 0.005
MAX_REST_SECONDS = 5.0
DOUBT_SECONDS = 5.0
"""How long after a report its owner may read the path. A change meanwhile is reported even if the content is the same
again: the owner may have read what was there between."""
RETRY_SECONDS = 5.0
"""From a failed look at a path to the next one, if the error may go by itself."""
_FEW = 4


class Subject(msgspec.Struct, gc=False):
    """One path. ``place`` is where it is polled (``path_watches.LOCAL`` or a mount point), or ``None``. Until the
    moment ``doubted`` of the monotonic clock, owners may not have read the content that was reported.

    There are tens of thousands, nearly all with one owner, whose set would be most of what they take."""

    owners: tuple[str, ...] | frozenset[str] = ()
    content: FileContent | None = None
    method: WatchMethod = INOTIFY
    place: str | None = None
    doubted: float = 0.0


class Subjects:
    """All watched paths. ``report`` is called with the owners of a path whose content has changed.

    Everything but the digests of polled paths belongs to one thread; ``find_method`` may be called on any.
    """

    def __init__(self, report: Callable[[frozenset[str]], None]) -> None:
        self._report = report
        self._owned: dict[str, tuple[str, ...]] = {}
        self._subjects: dict[str, Subject] = {}
        self._pollers: dict[str, Poller] = {}
        self._lock = threading.Lock()
        """For what pollers use too: owners, contents and places."""

    def own(self, owner: str, paths: frozenset[str]) -> list[str]:
        """Replace the paths of an owner. Return those that nobody wants any more."""
        before = frozenset(self._owned.get(owner, ()))
        orphans = []
        with self._lock:
            doubted = time.monotonic() + DOUBT_SECONDS
            for path in paths - before:
                subject = self._subjects.setdefault(path, Subject())
                subject.owners = _compact({*subject.owners, owner})
                subject.doubted = doubted
            for path in before - paths:
                subject = self._subjects[path]
                subject.owners = _compact({*subject.owners} - {owner})
                if not subject.owners:
                    del self._subjects[path]
                    orphans.append(path)
                    if subject.place is not None:
                        self._pollers[subject.place].remove(path)
        if paths:
            self._owned[owner] = tuple(paths)
        else:
            self._owned.pop(owner, None)
        return orphans

    def list_paths(self) -> list[str]:
        """Return all paths."""
        return list(self._subjects)

    def list_fresh(self, paths: Iterable[str]) -> list[str]:
        """Return those of ``paths`` that were never looked at, each one once."""
        found = dict.fromkeys(paths)
        return [path for path in found if path in self._subjects and self._subjects[path].content is None]

    def list_locally_polled(self) -> list[str]:
        """Return the paths that inotify could watch, if it were not for a limit or a mode."""
        return [path for path, subject in self._subjects.items() if subject.place == LOCAL]

    def place(self, path: str, place: str | None, method: WatchMethod) -> None:
        """Say where a path is polled, if at all, from now on."""
        subject = self._subjects.get(path)
        if subject is None:
            return
        subject.method = method
        if subject.place == place:
            return
        with self._lock:
            before, subject.place = subject.place, place
        if before is not None:
            self._pollers[before].remove(path)
        if place is not None:
            if place not in self._pollers:
                self._pollers[place] = Poller(place, lambda path: self._poll(path, place))
            self._pollers[place].add(path)

    def look(self, path: str, *, noticed: bool) -> float:
        """Look at a path that is not polled. ``noticed`` is whether it was written, or may be another file.

        Return the seconds for which it is to be left alone, and after which it is to be looked at again; 0 if neither.
        """
        subject = self._subjects.get(path)
        if subject is None or subject.place is not None:
            return 0.0
        began = time.perf_counter()
        after = look_at(path, subject.content, time.time())
        took = time.perf_counter() - began
        self._store(path, after, None, noticed=noticed)
        if after.is_passing:
            return RETRY_SECONDS
        return min(REST_FACTOR * took, MAX_REST_SECONDS) if took > REST_FROM_SECONDS else 0.0

    def is_linked(self, path: str) -> bool:
        """Whether a path that is not polled leads to a file with several names."""
        subject = self._subjects.get(path)
        return (
            subject is not None and subject.place is None and subject.content is not None and subject.content.is_linked
        )

    def look_at_polled(self, owner: str | None, paths: Iterable[str]) -> list[Future[None]]:
        """Have the pollers of fresh paths look at once, or all of them without an owner."""
        if owner is None:
            return [poller.look_now() for poller in self._pollers.values()]
        places = {self._subjects[path].place for path in self.list_fresh(paths)}
        return [self._pollers[place].look_now() for place in places if place is not None]

    def find_method(self, owner: str) -> WatchMethod:
        """Return how the paths of an owner are seen."""
        found = []
        for path in self._owned.get(owner, ()):
            subject = self._subjects.get(path)
            if subject is not None:
                found.append(subject.method)
                poller = None if subject.place is None else self._pollers.get(subject.place)
                silence = 0.0 if poller is None else poller.measure_silence()
                if silence > SILENCE_SECONDS:
                    found.append(report_silence(subject.place or path, silence))
        return choose_worst(found)

    def close(self) -> None:
        """End all polling."""
        for poller in self._pollers.values():
            poller.close()

    def _poll(self, path: str, place: str) -> None:
        """On the thread of a poller."""
        subject = self._subjects.get(path)
        if subject is None:
            return
        try:
            after = look_at(path, subject.content, time.time(), polled=True)
        except Exception:
            log.exception("Looking at %s failed", path)
        else:
            before = subject.content
            self._store(path, after, place, noticed=before is None or before.state != after.state)

    def _store(self, path: str, after: FileContent, place: str | None, *, noticed: bool) -> None:
        with self._lock:
            subject = self._subjects.get(path)
            if subject is None or subject.place != place:
                return  # another thread looks at it now
            before = subject.content
            if after.is_passing and before is not None:
                return
            subject.content = after
            owners, now = subject.owners, time.monotonic()
            if before is None or not (is_other(before, after) or (noticed and now < subject.doubted)):
                return
            subject.doubted = now + DOUBT_SECONDS
        self._report(frozenset(owners))


def _compact(owners: set[str]) -> tuple[str, ...] | frozenset[str]:
    return frozenset(owners) if len(owners) > _FEW else tuple(owners)
