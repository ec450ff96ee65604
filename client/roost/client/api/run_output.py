"""Following a run to its end: the log of the build of its environment, then the output of its command."""

from __future__ import annotations

import codecs
import time
from contextlib import closing
from typing import Any, TextIO

from roost.client.api.builds import print_messages
from roost.client.api.connection import WorkspaceConnection, path_to
from roost.client.api.errors import DaemonUnreachableError, RoostError
from roost.client.api.run_record import ENDED_STATES

Json = dict[str, Any]
POLL_SECONDS = 0.05
"""Shortest time between two requests for the state of a run."""
LONGEST_POLL_SECONDS = 1.0
"""Longest time between two requests for the state of a run whose environment is not ready."""


class RunOutput:
    """The output of one run, printed to ``stream``. ``stream`` is ``None``: wait without printing."""

    def __init__(self, workspace: WorkspaceConnection, run_id: str, stream: TextIO | None) -> None:
        self._workspace = workspace
        self._id = run_id
        self._stream = stream
        self._printed_bytes = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._followed_builds: set[str] = set()

    def follow(self) -> None:
        """Print the output until the run has ended, and then a summary."""
        self._print(f"RunId: {self._id}\n")
        state = self._wait_for_environment()
        if state not in ENDED_STATES or self._has_output():
            self._print_title("Streaming the run's output")
        while not self._follow_output():
            time.sleep(POLL_SECONDS)
        self._print(self._decoder.decode(b"", final=True))
        record = self._fetch_run()
        self._print_title("Execution Summary")
        self._print(f"RunId: {self._id}\nState: {record['state']}, exit status {record['exit_status']}\n")

    def _fetch_run(self) -> Json:
        return self._workspace._request("GET", path_to("runs", self._id))

    def _wait_for_environment(self) -> str:
        """Wait until the environment is ready, printing the logs of its builds. Return the run's state after that."""
        interval = POLL_SECONDS
        while (record := self._fetch_run())["state"] in ("queued", "preparing"):
            if not self._follow_build(record["definition_digest"]):
                time.sleep(interval)
                interval = min(2 * interval, LONGEST_POLL_SECONDS)
        return str(record["state"])

    def _follow_build(self, definition_digest: str) -> bool:
        """Print the log of the build that the run waits for, until it ends. Return whether there was such a build."""
        for build in self._workspace._request("GET", "/v1/builds")["builds"]:
            is_followed = build["id"] in self._followed_builds
            if build["definition_digest"] != definition_digest or build.get("ended") or is_followed:
                continue
            self._followed_builds.add(build["id"])
            self._print_title("Making the environment")
            target = path_to("builds", build["id"], "logs", follow=1)
            with closing(self._workspace._stream_messages("GET", target)) as messages:
                print_messages(messages, self._stream)
            return True
        return False

    def _has_output(self) -> bool:
        with closing(self._workspace._stream_bytes(path_to("runs", self._id, "logs"))) as chunks:
            return next(chunks, None) is not None

    def _follow_output(self) -> bool:
        """Print the output as it arrives, and return whether all of it was printed and the run has ended. If the daemon
        stops meanwhile, the output starts again at its beginning with the next call, even if the run has ended by then:
        bytes that were printed are skipped."""
        try:
            with closing(self._workspace._stream_bytes(path_to("runs", self._id, "logs", follow=1))) as chunks:
                received = 0
                for chunk in chunks:
                    fresh = chunk[max(0, self._printed_bytes - received) :]
                    self._printed_bytes += len(fresh)
                    self._print(self._decoder.decode(fresh))
                    received += len(chunk)
        except DaemonUnreachableError:
            return False
        except RoostError as error:
            if not error.retryable:
                raise
            return False
        return self._fetch_run()["state"] in ENDED_STATES

    def _print_title(self, text: str) -> None:
        self._print(f"\n{text}\n{'=' * len(text)}\n")

    def _print(self, text: str) -> None:
        if self._stream is not None and text:
            self._stream.write(text)
            self._stream.flush()
