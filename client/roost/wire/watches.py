"""Watches: definitions whose environment is made ready in the background when a file changes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from roost.wire.protocol import LocationView

WatchPhase = Literal[
    "new", "cold", "warm", "queued", "building", "waiting", "failed", "broken", "missing", "passed-over", "paused"
]
WatchPath = Annotated[str, Meta(min_length=1, max_length=4096)]


class WatchReason(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why a watch has no ready environment: the code and message of the error."""

    code: str
    message: str
    location: LocationView | None = None


class WatchRequest(msgspec.Struct, kw_only=True):
    """Absolute paths of files, or of folders with an environment file (now or later)."""

    paths: Annotated[list[WatchPath], Meta(min_length=1, max_length=10_000)]
    target: str = "auto"


class WatchUpdate(msgspec.Struct, kw_only=True):
    """Pause, resume or remove watches: those of these paths and of the files below them, or all of them."""

    action: Literal["pause", "resume", "remove"]
    paths: list[WatchPath] = []
    all: bool = False


class WatchView(msgspec.Struct, kw_only=True):
    """A watched definition."""

    id: str
    path: str
    """The file, or the folder that was added."""
    origin: Literal["added", "used"]
    """``added``: by ``watch add``. ``used``: by a run, build or plan."""
    state: WatchPhase
    """``warm``: ready. ``cold``: not ready, and not built before somebody asks or its content changes. ``queued``: to
    be planned, or waiting for its turn. ``passed-over``: another file is used instead."""
    reason: WatchReason | None
    """Why it is ``waiting``, ``failed``, ``broken``, ``missing`` or ``passed-over``, or ``cold`` again."""
    method: Literal["inotify", "polling", "broken"]
    """How changes are noticed."""
    method_reason: str | None
    """Why not by inotify."""
    definition: str | None
    """The environment file that was found, if it is another path."""
    definition_digest: str | None
    inputs: int
    """Number of files and folders that are watched for it."""
    unwatched: str | None
    """A folder with too much in it: changes of a part of it are noticed at the next use only."""
    last_used: str


class WatchesResponse(msgspec.Struct, kw_only=True):
    """All watches, or those that the request was about, by path."""

    watches: list[WatchView]
