"""A build that a hot path requests as soon as it knows that one is needed, so that the daemon works while the command
line is imported. The command line takes over the stream: it is this client's interest in the build, and ends with it.

Imported only when there is something to build; standard library only, and little of it.
"""

from __future__ import annotations

from roost.client.caller import HEADER, caller_header
from roost.wire.installation import is_older

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from typing import Any


class BegunBuild:
    """A request for a build, whose answer has not been read yet."""

    def __init__(self, connection: socket, request: str, answer: dict[str, Any]) -> None:
        self.connection = connection
        self.answer = answer
        """What the daemon answered before: that something has to be built first."""
        self._request = request

    def is_for(self, request: dict[str, Any]) -> bool:
        """Return whether the request is the one that was sent. If it is not, the connection is closed, which withdraws
        it."""
        import json  # the command line, which asks this, has imported it

        if json.loads(self._request) == request:
            return True
        self.connection.close()
        return False


def begin_build(
    send: Callable[..., socket | None], version: str, answer: dict[str, Any], what: str, target: str
) -> BegunBuild | None:
    """Request the build of an environment that is not ready, as the ``answer`` of a daemon of ``version`` says.

    ``send``: ``hot.send``; ``what``: the selector of the former request, as JSON. Return ``None`` if the daemon is away
    by now, or is one that the command line may replace: an older one, or one that does not tell its version.
    """
    if not version or is_older(version):
        return None
    request = f'{{"what":{what},"target":"{target}"}}'
    connection = send("POST", "/v1/builds", request, more_headers=f"{HEADER}: {caller_header()}\r\n")
    return None if connection is None else BegunBuild(connection, request, answer)
