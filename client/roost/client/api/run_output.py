"""Following a run to its end: what making its environment says, then what its command prints."""

from __future__ import annotations

import codecs
import time
from contextlib import closing
from typing import Any, TextIO

from roost.client.api.builds import show
from roost.client.api.errors import DaemonUnreachableError, RoostError
from roost.client.api.workspace import Workspace, path_to

Json = dict[str, Any]
OVER = frozenset({"succeeded", "failed", "cancelled", "lost"})
STEP_SECONDS = 0.05
"""Between two looks at a run that is being made ready."""
LONGEST_STEP_SECONDS = 1.0


class RunOutput:
    """One run's output, printed to ``stream``; ``None``: it is waited for in silence."""

    def __init__(self, workspace: Workspace, run_id: str, stream: TextIO | None) -> None:
        self._workspace = workspace
        self._id = run_id
        self._stream = stream
        self._printed = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._builds: set[str] = set()

    def follow(self) -> None:
        """Return when the run is over."""
        self._say(f"RunId: {self._id}")
        state = self._prepared()
        if state not in OVER or self._has_output():
            self._title("Streaming the run's output")
        while not self._followed():
            time.sleep(STEP_SECONDS)
        self._write(self._decoder.decode(b"", final=True))
        self._summary()

    def _record(self) -> Json:
        return self._workspace._request("GET", path_to("runs", self._id))

    def _prepared(self) -> str:
        """Wait until its environment is there, and tell of the build."""
        step = STEP_SECONDS
        while (record := self._record())["state"] in ("queued", "preparing"):
            if not self._follow_build(record["definition_digest"]):
                time.sleep(step)
                step = min(2 * step, LONGEST_STEP_SECONDS)
        return str(record["state"])

    def _follow_build(self, definition_digest: str) -> bool:
        """Tell of the build that the run waits for, if there is one; whether there was."""
        for build in self._workspace._request("GET", "/v1/builds")["builds"]:
            if build["definition_digest"] != definition_digest or build.get("ended") or build["id"] in self._builds:
                continue
            self._builds.add(build["id"])
            self._title("Making the environment")
            target = path_to("builds", build["id"], "logs", follow=1)
            with closing(self._workspace._lines("GET", target)) as messages:
                show(messages, self._stream)
            return True
        return False

    def _has_output(self) -> bool:
        with closing(self._workspace._chunks(path_to("runs", self._id, "logs"))) as chunks:
            return next(chunks, None) is not None

    def _followed(self) -> bool:
        """Print what it prints; whether it is over. A daemon that stops meanwhile is asked again."""
        try:
            with closing(self._workspace._chunks(path_to("runs", self._id, "logs", follow=1))) as chunks:
                seen = 0
                for chunk in chunks:
                    self._take(chunk[max(0, self._printed - seen) :])
                    seen += len(chunk)
        except DaemonUnreachableError:
            time.sleep(STEP_SECONDS)
        except RoostError as error:
            if not error.retryable:
                raise
        return self._record()["state"] in OVER

    def _take(self, data: bytes) -> None:
        self._printed += len(data)
        self._write(self._decoder.decode(data))

    def _title(self, text: str) -> None:
        self._say(f"\n{text}\n{'=' * len(text)}")

    def _summary(self) -> None:
        record = self._record()
        self._title("Execution Summary")
        self._say(f"RunId: {self._id}\nState: {record['state']}, exit status {record['exit_status']}")

    def _say(self, line: str) -> None:
        self._write(line + "\n")

    def _write(self, text: str) -> None:
        if self._stream is not None and text:
            self._stream.write(text)
            self._stream.flush()
