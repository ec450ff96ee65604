"""Starting the daemon where no socket answers. Many clients may try at once: the root's lock lets one daemon live."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from roost.client import paths
from roost.client.errors import ClientError, unreachable
from roost.client.transport.connection import GONE, PROTOCOL, BrokenOffAnswerError, Daemon
from roost.client.version import is_older

PATIENCE_SECONDS = 120.0
"""A daemon that lives but does not serve yet is recovering its store."""
LOSER_SECONDS = 10.0
"""After losing the race, so long may the winner take before a start is tried again."""
STEP_SECONDS = 0.02
Notify = Callable[[str], None]


def connect(notify: Notify = lambda line: None) -> Daemon:
    """A daemon of this protocol, started if need be. One of an older version makes room if it is idle; a busy one
    serves on, for it speaks the same protocol. Raises ``ClientError`` with exit status 5."""
    daemon = Daemon(paths.socket_path())
    version = answering(daemon) or start(daemon, notify)
    if version.get("protocol") != PROTOCOL:
        _refuse_or_stop(daemon, version)
    elif not (is_older(version.get("version")) and _made_room(daemon)):
        return daemon
    start(daemon, notify)
    return daemon


def answering(daemon: Daemon) -> dict[str, Any] | None:
    """The answer of ``GET /v1/version``; ``None`` where nobody serves, or who did died over the answer."""
    try:
        return daemon.request("GET", "/v1/version")
    except (*GONE, BrokenOffAnswerError):
        return None
    except ClientError as error:
        if error.code == "protocol":
            return {**error.body["fields"]}
        raise


def _refuse_or_stop(daemon: Daemon, version: dict[str, Any]) -> None:
    """An older daemon that is idle makes room for one of this client's age; any other is the user's to judge."""
    spoken = version.get("protocol", 0)
    if isinstance(spoken, int) and spoken < PROTOCOL and version.get("idle"):
        stop(daemon)
        return
    raise unreachable(
        f"The daemon speaks protocol {spoken}, this client {PROTOCOL}.",
        "`roost daemon stop` once its work is done, then try again: the client starts one of its own version.",
    )


def _made_room(daemon: Daemon) -> bool:
    try:
        stop(daemon, if_idle=True)
    except ClientError as error:
        if error.code != "daemon-busy":
            raise
        return False
    return True


def stop(daemon: Daemon, patience: float = 60.0, *, if_idle: bool = False) -> bool:
    """Ask it to stop and wait until nobody serves. ``False`` where nobody did. Raises ``ClientError``, with the code
    ``daemon-busy`` where it was to stop only if idle and is not."""
    try:
        daemon.request("POST", "/v1/shutdown", {"if_idle": True} if if_idle else {})
    except GONE:
        return False
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if not _serves(daemon):
            return True
        time.sleep(STEP_SECONDS)
    raise unreachable("The daemon did not stop in time.", "`roost daemon logs` may say what it waits for.")


def _serves(daemon: Daemon) -> bool:
    try:
        daemon.request("GET", "/v1/version")
    except GONE:
        return False
    except ClientError:
        return True
    return True


def start(daemon: Daemon, notify: Notify = lambda line: None) -> dict[str, Any]:
    """Start a daemon and wait until one serves; the answer of ``GET /v1/version``."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        version = _attempt(daemon, deadline, notify)
        if version is not None:
            return version
    raise unreachable("The daemon was started, but does not answer.", "`roost daemon logs` may say why.")


def _attempt(daemon: Daemon, deadline: float, notify: Notify) -> dict[str, Any] | None:
    from roost.client.transport import daemon_process  # only here: most commands find a daemon

    with daemon_process.output() as output:
        began = output.seek(0, os.SEEK_END)
        process = daemon_process.spawn(output)
        lost_until, told = None, time.monotonic() + 2
        while time.monotonic() < deadline:
            version = answering(daemon)
            if version is not None:
                return version
            if process.poll() is not None and process.returncode:
                raise ClientError(daemon_process.last_words(output, began, process.returncode))
            if process.returncode == 0:
                lost_until = lost_until or time.monotonic() + LOSER_SECONDS
                if time.monotonic() > lost_until:
                    return None
            if time.monotonic() > told:
                notify("waiting for the daemon: it is looking after its store")
                told = deadline
            time.sleep(STEP_SECONDS)
    return None
