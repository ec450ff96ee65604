"""Start the daemon if no socket answers.

Many clients may start daemons at once: the root's lock lets one of them live.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from roost.client import paths
from roost.client.errors import ClientError, unreachable_error
from roost.client.transport.connection import NOT_SERVING, PROTOCOL, AnswerInterruptedError, Daemon
from roost.client.transport.patience import Patience
from roost.wire.installation import is_older

START_SECONDS = 120.0
"""A daemon that lives but does not serve yet is recovering its store."""
WINNER_SECONDS = 10.0
"""Time for the daemon that got the root's lock to serve, before another start is attempted."""
POLL_SECONDS = 0.02
WATCH_SECONDS = 1.0
NOTICE_LOOKS = 2
"""Looks at the holder of the root after which the user is told what is waited for."""
Notify = Callable[[str], None]


def connect(notify: Notify = lambda line: None) -> Daemon:
    """Return a daemon of this protocol, started if necessary.

    1. A daemon of this version or a newer one is used.
    2. An older version of the same protocol is replaced if it is idle; a busy one is used.
    3. An older protocol is replaced if its daemon is idle; any other protocol is an error.

    Raises: ClientError with exit status 5.
    """
    path = paths.socket_path()
    daemon = Daemon(path, Patience(path, notify))
    version = find_serving(daemon) or start(daemon, notify)
    if version.get("protocol") != PROTOCOL:
        _stop_other_protocol(daemon, version)
    elif not (is_older(version.get("version")) and _stop_if_idle(daemon)):
        return daemon
    start(daemon, notify)
    return daemon


def find_serving(daemon: Daemon) -> dict[str, Any] | None:
    """Return the answer of ``GET /v1/version``; ``None`` if no daemon serves, or if it died during the answer."""
    try:
        return daemon.request("GET", "/v1/version")
    except (*NOT_SERVING, AnswerInterruptedError):
        return None
    except ClientError as error:
        if error.code == "protocol":
            return {**error.body["fields"]}
        raise


def _stop_other_protocol(daemon: Daemon, version: dict[str, Any]) -> None:
    """Stop an idle daemon of an older protocol. Raises: ClientError for any other, which the user has to stop."""
    from roost.client.transport.stopping import stop  # most commands find a daemon that they can use

    protocol = version.get("protocol", 0)
    if isinstance(protocol, int) and protocol < PROTOCOL and version.get("idle"):
        stop(daemon)
        return
    raise unreachable_error(
        f"The daemon speaks protocol {protocol}, this client {PROTOCOL}.",
        "`roost daemon stop` once its work is done, then try again: the client starts one of its own version.",
    )


def _stop_if_idle(daemon: Daemon) -> bool:
    """Stop the daemon and return ``True``, or ``False`` if it is busy."""
    from roost.client.transport.stopping import stop

    try:
        stop(daemon, if_idle=True)
    except ClientError as error:
        if error.code != "daemon-busy":
            raise
        return False
    return True


def start(daemon: Daemon, notify: Notify = lambda line: None) -> dict[str, Any]:
    """Start a daemon, wait until one serves, and return the answer of ``GET /v1/version``. Raises: ClientError."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        version = _start_once(daemon, deadline, notify)
        if version is not None:
            return version
    raise unreachable_error("The daemon was started, but does not answer.", "`roost daemon logs` may show why.")


def _start_once(daemon: Daemon, deadline: float, notify: Notify) -> dict[str, Any] | None:
    """Start one process and wait until a daemon serves.

    Return ``None`` if the process ended since another daemon holds the root's lock, and that does not serve either.
    Raises: ClientError if the process failed.
    """
    from roost.client.transport import daemon_process  # most commands find a daemon and never need it

    with daemon_process.open_output() as output:
        began = output.seek(0, os.SEEK_END)
        process = daemon_process.spawn(output)
        winner_deadline = None
        watch = HolderWatch(process.pid, notify)
        while time.monotonic() < deadline:
            version = find_serving(daemon)
            if version is not None:
                return version
            if process.poll() is not None and process.returncode:
                raise ClientError(daemon_process.start_failure(output, began, process.returncode))
            if process.returncode == 0:
                winner_deadline = winner_deadline or time.monotonic() + WINNER_SECONDS
                if time.monotonic() > winner_deadline:
                    return None
            try:
                watch.check()
            except ClientError:
                process.terminate()  # it waits for the root, and would serve it when no command needs it any more
                raise
            time.sleep(POLL_SECONDS)
    return None


class HolderWatch:
    """Looks once a second at which process holds the root while a client waits for the daemon that it started.

    A daemon that starts or stops is waited for, with a notice. One that serves without a socket does not come back:
    a daemon that can, binds its socket again within a fraction of a second.
    """

    def __init__(self, started: int, notify: Notify) -> None:
        self._started = started
        self._notify = notify
        self._activity = "checking its store" if os.path.exists(os.path.join(paths.root(), "lock")) else "starting"
        """What a daemon that has the root does before it serves: there is nothing to check in a new root."""
        self._next = time.monotonic() + WATCH_SECONDS
        self._looks = 0
        self._lost: object = None
        """The holder that had no socket at the last look."""

    def check(self) -> None:
        """Look, if it is time. Raises: ClientError that names the process which holds the root without a socket."""
        if time.monotonic() < self._next:
            return
        from roost.client.transport.root_holder import find_holder

        self._next = time.monotonic() + WATCH_SECONDS
        self._looks += 1
        holder = find_holder(paths.root())
        if holder is None or holder.pid == self._started:
            if self._looks == NOTICE_LOOKS:
                self._notify(f"waiting for the daemon: it is {self._activity if holder else 'starting'}")
            return
        is_lost = holder.phase == "serving" or holder.is_suspended
        if is_lost and self._lost == holder:
            raise unreachable_error(
                f"The roost daemon (process {holder.pid}) holds {paths.root()}, but its socket {paths.socket_path()} "
                f"no longer exists{', and it is suspended' if holder.is_suspended else ''}.",
                "`roost daemon stop` ends it; then try again.",
            )
        self._lost = holder if is_lost else None
        if self._looks == NOTICE_LOOKS:
            activity = {"stopping": "which is stopping", "starting": f"which is {self._activity}"}
            self._notify(
                f"waiting for the daemon (process {holder.pid}), {activity.get(holder.phase, 'which has the root')}"
            )
