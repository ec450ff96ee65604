"""Watches as people see them: in lists and in events."""

from __future__ import annotations

from collections.abc import Set
from typing import Literal

import msgspec

from roost.daemon.watch.files.methods import WatchKind, WatchMethod
from roost.daemon.watch.states import COLLECTED, Announce, Phase, Trouble
from roost.daemon.watch.watched import WatchedDefinition
from roost.wire.protocol import LocationView
from roost.wire.watches import WatchPhase, WatchReason, WatchView

EVENTS: dict[Phase, str] = {
    "warm": "watch-ready",
    "waiting": "watch-waiting",
    "failed": "watch-failed",
    "broken": "watch-broken",
    "missing": "watch-missing",
    "passed-over": "watch-passed-over",
}
"""Kinds of events about a watch that enters a phase."""
_METHODS: dict[WatchKind, Literal["inotify", "polling", "broken"]] = {
    WatchKind.INOTIFY: "inotify",
    WatchKind.POLLING: "polling",
    WatchKind.BROKEN: "broken",
}


def watch_view(
    watch: WatchedDefinition, method: WatchMethod, running: Set[str], collected: Set[str] = frozenset()
) -> WatchView:
    """Return what is to be said of a watch. ``running``: digests of definitions that are being built, for whomever;
    ``collected``: those whose environment was removed. It is not built at once: it would be removed again."""
    state = watch.state
    if state.phase == "warm" and state.wanted in collected:
        state = msgspec.structs.replace(state, phase="cold", trouble=COLLECTED)
    phase: WatchPhase = state.phase
    if state.paused:
        phase = "paused"
    elif state.wanted in running and phase != "warm":
        phase = "building"
    has_reason = state.trouble is not None and phase == state.phase
    return WatchView(
        id=watch.id,
        path=watch.path,
        origin="added" if watch.origin == "added" else "used",
        state=phase,
        reason=_reason_view(state.trouble) if state.trouble is not None and has_reason else None,
        method=_METHODS[method.kind],
        method_reason=method.reason or None,
        definition=watch.definition,
        definition_digest=state.wanted,
        inputs=watch.count,
        unwatched=watch.cut,
        last_used=watch.last_used,
    )


def _reason_view(trouble: Trouble) -> WatchReason:
    where = trouble.location
    location = LocationView(path=where.path, line=where.line, column=where.column) if where is not None else None
    return WatchReason(code=trouble.code, message=trouble.message, location=location)


def event_fields(watch: WatchedDefinition, news: Announce) -> dict[str, object]:
    """Return the fields of the event about ``news``: the place of an error as ``file:line:column``."""
    fields: dict[str, object] = {"watch": watch.id, "path": watch.path}
    if news.digest is not None:
        fields["definition_digest"] = news.digest
    if news.trouble is not None:
        fields |= {"code": news.trouble.code, "message": news.trouble.message}
        if news.trouble.location is not None:
            fields["place"] = str(news.trouble.location)
    return fields
