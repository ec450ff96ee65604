"""Builds as objects: their state, their log, and waiting for them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any, TextIO

from roost.client.api.errors import BuildFailedError, DaemonUnreachableError, of_body, unsupported
from roost.client.api.variables import with_variables
from roost.client.api.workspace import Workspace, path_to
from roost.client.terminal.progress import STEP_TITLES
from roost.client.terminal.text import format_duration

Json = dict[str, Any]
STATUSES = {"succeeded": "Succeeded", "failed": "Failed", "cancelled": "Canceled"}
STEP_SECONDS = 0.1
PLATFORMS = {"linux": "Linux", "darwin": "OSX", "win32": "Windows"}


class ImageBuildDetails:
    """One build: ``status``, ``get_log``, ``wait_for_completion``. It goes on whether or not anybody waits."""

    def __init__(self, workspace: Workspace, build_id: str | None) -> None:
        self._workspace = workspace
        self.id = build_id
        """``None`` where nothing was to be built: all was there."""

    @staticmethod
    def _begun(workspace: Workspace, request: Json) -> ImageBuildDetails:
        what = with_variables(workspace, request["what"])
        answer = workspace._request("POST", "/v1/builds", {**request, "what": what, "detach": True})
        return ImageBuildDetails(workspace, answer["build"]["id"])

    @property
    def status(self) -> str:
        """``Running``, ``Succeeded``, ``Failed`` or ``Canceled``."""
        return "Succeeded" if self.id is None else STATUSES.get(self._record()["state"], "Running")

    def _record(self) -> Json:
        assert self.id is not None
        build: Json = self._workspace._request("GET", path_to("builds", self.id))["build"]
        return build

    def get_log(self) -> str:
        """What it said so far."""
        return "".join(f"{line}\n" for line in _lines(self._messages(follow=False)))

    def _messages(self, *, follow: bool) -> Iterator[Json]:
        if self.id is None:
            return
        with closing(self._workspace._lines("GET", path_to("builds", self.id, "logs", follow=int(follow)))) as messages:
            yield from messages

    def wait_for_completion(self, show_output: bool = True, raise_on_error: bool = True) -> ImageBuildDetails:
        """Wait until it is over and return this object. ``show_output``: print what it says to standard output.
        Raises ``BuildFailedError`` (or what else went wrong) unless ``raise_on_error`` is false."""
        shown = show(self._messages(follow=True), sys.stdout if show_output else None)
        while self.status == "Running":  # the daemon stopped meanwhile: the next one knows what became of it
            time.sleep(STEP_SECONDS)
            shown += show(self._messages(follow=True), sys.stdout if show_output else None, shown)
        if raise_on_error:
            self._raise()
        return self

    def _raise(self) -> None:
        record: Json = self._record() if self.id is not None else {"state": "succeeded"}
        if record["state"] == "succeeded":
            return
        if record.get("error"):
            raise of_body(record["error"])
        message = f"The build {self.id} ended as {record['state']}"
        raise BuildFailedError({"code": f"build-{record['state']}", "message": message, "exit_status": 4})

    def cancel(self) -> None:
        """End it for everybody who waits for it. Raises ``RoostError`` where it is over."""
        if self.id is not None:
            self._workspace._request("DELETE", path_to("builds", self.id))

    def __repr__(self) -> str:
        return f"ImageBuildDetails(id={self.id!r})"


def show(messages: Iterator[Json], stream: TextIO | None, skipped: int = 0) -> int:
    """Follow a build to its end, or the daemon's, and print what it says to ``stream``, without the first ``skipped``
    lines; how many were printed."""
    number = 0
    with suppress(DaemonUnreachableError):
        for number, line in enumerate(_lines(messages), start=1):
            if stream is not None and number > skipped:
                print(line, file=stream, flush=True)
    return max(0, number - skipped)


def _lines(messages: Iterator[Json]) -> Iterator[str]:
    """A line for each step that begins, each line of the log, and the end."""
    for message in messages:
        event, step = message.get("event"), str(message.get("step"))
        if event == "log":
            yield str(message.get("line", ""))
        elif event == "step" and message.get("state") == "started":
            yield f"{STEP_TITLES.get(step, step)} …"
        elif event == "result":
            yield f"ready after {format_duration(message['result']['seconds'])}"
        elif event == "error":
            yield f"failed: {message['error']['message']}"


def check_platform(platform: str | None) -> None:
    """Raises ``UnsupportedError`` for another platform than this machine's."""
    own = PLATFORMS.get(sys.platform, sys.platform)
    if platform is not None and platform != own:
        raise unsupported(f"platform={platform!r} on this machine, which is {own},", "Leave it out.")
