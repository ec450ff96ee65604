"""One watched definition in memory, and its form in the index."""

from __future__ import annotations

import logging
import sys

import msgspec

from roost.daemon.watch.closure import NOTHING, Closure
from roost.daemon.watch.reading import WatchSubject
from roost.daemon.watch.states import WatchState, restore
from roost.model.errors import MALFORMED_JSON
from roost.model.records import WatchRecord

log = logging.getLogger(__name__)


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What ``WatchRecord.body`` has, besides the columns."""

    subject: WatchSubject
    state: WatchState = WatchState()
    definition: str | None = None
    count: int = 0
    cut: str | None = None


class WatchedDefinition:
    """One watch. Its inputs are not held here but by the watcher of files and in the index: there may be thousands."""

    __slots__ = ("count", "cut", "definition", "id", "last_used", "lock", "origin", "paths", "state", "subject")

    def __init__(self, watch_id: str, subject: WatchSubject, origin: str, last_used: str, state: WatchState) -> None:
        self.id = watch_id
        self.subject = subject
        self.origin = origin
        self.last_used = last_used
        self.state = state
        self.definition: str | None = None
        """The environment file that was found, if it is not the watched path itself."""
        self.cut: str | None = None
        """A folder of which not everything is watched."""
        self.lock = ""
        """Digest of the lock that its lock file had at the last reading; empty if it had none."""
        self.count = 0
        """Number of inputs."""
        self.paths = 0
        """Digest of the set of inputs that the watcher of files knows; 0 if it knows none."""

    @property
    def path(self) -> str:
        return self.subject.path

    @property
    def keeps_alive(self) -> bool:
        """Whether the daemon has to live for it."""
        return self.origin == "added" and not self.state.paused

    def encode(self, closure: Closure | None) -> WatchRecord:
        """Return the row. ``closure``: the inputs, unless those in the index are still the same."""
        body = _Body(subject=self.subject, state=self.state, definition=self.definition, count=self.count, cut=self.cut)
        return WatchRecord(
            id=self.id,
            path=self.path,
            origin="added" if self.origin == "added" else "used",
            paused=self.state.paused,
            last_used=self.last_used,
            body=msgspec.json.encode(body),
            inputs=msgspec.json.encode(closure) if closure is not None else None,
        )


class SharedValues:
    """Values that many watches have alike, each held once: the variables of a caller, digests."""

    def __init__(self) -> None:
        self._callers: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}

    def share(self, subject: WatchSubject) -> WatchSubject:
        """Return ``subject`` with values that others hold too."""
        caller = self._callers.setdefault(tuple(subject.caller.items()), subject.caller)
        return msgspec.structs.replace(subject, caller=caller, target=sys.intern(subject.target))


def _share_digests(state: WatchState) -> WatchState:
    digests = {name: getattr(state, name) for name in ("wanted", "good", "refused")}
    return msgspec.structs.replace(state, **{name: sys.intern(each) for name, each in digests.items() if each})


def decode_watch(record: WatchRecord, shared: SharedValues) -> tuple[WatchedDefinition, Closure]:
    """Return the watch of a row and its inputs. What can't be read, such as a row of another version, is as if the
    file was never read."""
    try:
        body = msgspec.json.decode(record.body, type=_Body)
        closure = msgspec.json.decode(record.inputs or b"{}", type=Closure) if record.inputs != b"{}" else NOTHING
    except MALFORMED_JSON as error:
        log.warning("What is stored of the watch of %s can't be read: %s", record.path, error)
        body, closure = _Body(subject=WatchSubject(path=record.path), state=WatchState(paused=record.paused)), NOTHING
    subject, state = shared.share(body.subject), _share_digests(restore(body.state))
    watch = WatchedDefinition(record.id, subject, sys.intern(record.origin), sys.intern(record.last_used), state)
    watch.definition, watch.count, watch.cut = body.definition, body.count, body.cut
    return watch, closure
