"""Waiting for a daemon that does not answer: after five seconds the user is told which process it is.

Everything but ``Patience`` itself is imported when it is needed: the paths where a daemon answers pay nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from roost.client import paths
from roost.client.errors import ClientError, unreachable_error

PROBE_SECONDS = 2.0
"""Time for the answer to ``GET /v1/version``, for which a daemon only has to be alive. Together with the silence
before, the user waits five seconds."""


class DaemonSilentError(ClientError):
    """The daemon at a socket accepts connections and does not answer."""


class Patience:
    """Called when a request has been silent for a while. Reports a daemon that does not answer, once, and waits on.

    A request may take long. So the daemon is asked for its version on another connection first.
    """

    def __init__(self, path: str, notify: Callable[[str], None]) -> None:
        self._path = path
        self._notify = notify
        self._is_reported = False

    def __call__(self) -> None:
        if self._is_reported or is_answering(self._path):
            return
        self._is_reported = True
        self._notify(f"{describe_silence()}; waiting … `roost daemon stop` ends it")


def is_answering(path: str) -> bool:
    """Return whether the daemon at the socket answers a request at once."""
    from roost.client.transport.connection import NOT_SERVING, Daemon
    from roost.client.transport.root_holder import find_holder

    holder = find_holder(paths.root())
    if holder is not None and holder.is_suspended:
        return False
    try:
        Daemon(path, raise_silent, PROBE_SECONDS).request("GET", "/v1/version")
    except DaemonSilentError:
        return False
    except (*NOT_SERVING, ClientError):
        return True  # it is away, or it refused: the request itself finds out
    return True


def raise_silent() -> None:
    """Raise DaemonSilentError: for requests that shall not wait."""
    raise DaemonSilentError(
        unreachable_error(
            f"{describe_silence()}.", "`roost daemon stop` ends it; the next command starts another one."
        ).body
    )


def describe_silence() -> str:
    """Return a clause that names the process which does not answer."""
    from roost.client.transport.root_holder import find_holder

    holder = find_holder(paths.root())
    if holder is None:
        return f"the roost daemon at {paths.socket_path()} does not answer"
    suspended = ", which is suspended," if holder.is_suspended else ""
    return f"the roost daemon (process {holder.pid}){suspended} does not answer"
