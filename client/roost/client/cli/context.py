"""What every command works with: its options, the daemon, and the two output streams.

Apart from ``main``, because the modules of the commands need it and ``main`` needs them.
"""

from __future__ import annotations

import argparse
from typing import Any

from roost.client.launch.begun import BegunBuild
from roost.client.terminal.console import Console
from roost.client.transport.session import Session

Json = dict[str, Any]


class Context(Console):
    """One invocation of the command line."""

    def __init__(self, options: argparse.Namespace, begun: BegunBuild | None = None) -> None:
        super().__init__(json=getattr(options, "json", False), quiet=getattr(options, "quiet", False))
        self.options = options
        self.session = Session(self.note)
        self._begun = begun

    def request(self, method: str, target: str, body: Json | None = None) -> Json:
        """Send a request to the daemon and return the answer; see ``Session.request``."""
        return self.session.request(method, target, body)

    def take_begun(self, request: Json) -> BegunBuild | None:
        """Return the build that the hot path has requested, once, if ``request`` (``wire.BuildRequest``) is that."""
        begun, self._begun = self._begun, None
        return begun if begun is not None and begun.is_for(request) else None
