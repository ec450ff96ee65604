"""Builds as objects: their state, their log, and waiting for them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any, TextIO

from roost.client.api.connection import WorkspaceConnection, path_to
from roost.client.api.errors import BuildFailedError, DaemonUnreachableError, error_from_body, unsupported_error
from roost.client.api.selectors import attach_variables
from roost.client.terminal.progress import STEP_TITLES
from roost.client.terminal.text import format_duration, render

Json = dict[str, Any]
BUILD_STATUSES = {"succeeded": "Succeeded", "failed": "Failed", "cancelled": "Canceled"}
POLL_SECONDS = 0.1
PLATFORMS = {"linux": "Linux", "darwin": "OSX", "win32": "Windows"}
"""``sys.platform`` to the name that Azure's scripts use."""


class ImageBuildDetails:
    """One build: ``status``, ``get_log``, ``wait_for_completion``. It continues whether or not a client waits."""

    def __init__(self, workspace: WorkspaceConnection, build_id: str | None) -> None:
        self._workspace = workspace
        self.id = build_id
        """``None`` if there was nothing to build."""

    @staticmethod
    def _start(workspace: WorkspaceConnection, request: Json) -> ImageBuildDetails:
        """Start the build of a request for ``POST /v1/builds``, and return at once."""
        selector = attach_variables(workspace, request["what"])
        answer = workspace._request("POST", "/v1/builds", {**request, "what": selector, "detach": True})
        return ImageBuildDetails(workspace, answer["build"]["id"])

    @property
    def status(self) -> str:
        """``Running``, ``Succeeded``, ``Failed`` or ``Canceled``."""
        return "Succeeded" if self.id is None else BUILD_STATUSES.get(self._fetch_build(self.id)["state"], "Running")

    def _fetch_build(self, build_id: str) -> Json:
        build: Json = self._workspace._request("GET", path_to("builds", build_id))["build"]
        return build

    def get_log(self) -> str:
        """Return the lines of the log so far."""
        return "".join(f"{line}\n" for line in _format_lines(self._stream_log(follow=False)))

    def _stream_log(self, *, follow: bool) -> Iterator[Json]:
        if self.id is None:
            return
        target = path_to("builds", self.id, "logs", follow=int(follow))
        with closing(self._workspace._stream_messages("GET", target)) as messages:
            yield from messages

    def wait_for_completion(self, show_output: bool = True, raise_on_error: bool = True) -> ImageBuildDetails:
        """Wait until the build has ended and return this object. ``show_output``: print its log to standard output.
        Raises ``BuildFailedError`` (or the error that ended the build) unless ``raise_on_error`` is false."""
        stream = sys.stdout if show_output else None
        printed, is_whole = print_messages(self._stream_log(follow=True), stream)
        while not is_whole or self.status == "Running":  # the daemon stopped: the next one knows how the build ended
            time.sleep(POLL_SECONDS)
            more, is_whole = print_messages(self._stream_log(follow=True), stream, printed)
            printed += more
        if raise_on_error:
            self._raise_failure()
        return self

    def _raise_failure(self) -> None:
        if self.id is None:
            return
        record = self._fetch_build(self.id)
        if record["state"] == "succeeded":
            return
        if record.get("error"):
            raise error_from_body(record["error"])
        message = f"The build {self.id} ended as {record['state']}"
        raise BuildFailedError({"code": f"build-{record['state']}", "message": message, "exit_status": 4})

    def cancel(self) -> None:
        """Cancel the build for every client that waits for it. Raises ``RoostError`` if it has ended."""
        if self.id is not None:
            self._workspace._request("DELETE", path_to("builds", self.id))

    def __repr__(self) -> str:
        return f"ImageBuildDetails(id={self.id!r})"


def print_messages(messages: Iterator[Json], stream: TextIO | None, skipped: int = 0) -> tuple[int, bool]:
    """Follow the messages of a build until the build or the daemon ends, and print them to ``stream`` as lines, except
    the first ``skipped`` lines. Return how many lines were printed, or would be if ``stream`` is ``None``, and whether
    the daemon lived until the last."""
    number, is_whole = 0, False
    with suppress(DaemonUnreachableError):
        for number, line in enumerate(_format_lines(messages), start=1):
            if stream is not None and number > skipped:
                print(render(line), file=stream, flush=True)
        is_whole = True
    return max(0, number - skipped), is_whole


def _format_lines(messages: Iterator[Json]) -> Iterator[str]:
    """Yield a line for each warning, each step that starts, each line of the log, and the end."""
    for message in messages:
        event, step = message.get("event"), str(message.get("step"))
        yield from (f"warning: {warning['message']}" for warning in message.get("warnings", ()))
        if event == "log":
            yield str(message.get("line", ""))
        elif event == "step" and message.get("state") == "started":
            yield f"{STEP_TITLES.get(step, step)} …"
        elif event == "result":
            yield f"ready after {format_duration(message['result']['seconds'])}"
        elif event == "error":
            yield from f"failed: {message['error']['message']}".split("\n")


def check_platform(platform: str | None) -> None:
    """Raises: UnsupportedError if ``platform`` is not that of this machine, such as ``Linux``."""
    local = PLATFORMS.get(sys.platform, sys.platform)
    if platform is not None and platform != local:
        raise unsupported_error(f"platform={platform!r} on this machine, which is {local},", "Leave it out.")
