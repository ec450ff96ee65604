"""Builds by the engine's own (classic) builder, over its API."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections import deque
from typing import IO

from roost.daemon.engines.docker.building.context import DockerBuild, dockerfile_name, pack_context
from roost.daemon.engines.docker.building.failures import LAST_LINES, find_step_failure
from roost.daemon.engines.docker.client import DockerClient, EngineRequest
from roost.daemon.engines.docker.errors import FULL, engine_error
from roost.daemon.engines.docker.values import Json
from roost.daemon.jobs.progress import Progress

RUNNING_STEPS = "running the docker steps"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_BUILDER_PREFIXES = ("Removing intermediate container", "--->", "Step ")
"""Beginnings of lines that the builder itself prints, and not a command."""
_STEP = re.compile(r"Step (\d+)/\d+ : ")


async def classic_build(client: DockerClient, build: DockerBuild, stage: str, progress: Progress) -> str:
    """Build and return the id of the image. Cancelling stops the build in the engine.

    Raises: StepFailedError if a step fails; EngineError, EngineFullError, ContextUnreadableError, StoreFullError.
    """
    name = await asyncio.to_thread(dockerfile_name, build.context, build.text, build.file)
    params = {"dockerfile": name, "rm": "1", "forcerm": "1", "labels": json.dumps(dict(build.labels))}
    if build.fresh:
        params["nocache"] = "1"
    if build.platform:
        params["platform"] = build.platform
    output = _BuildOutput(build, progress)
    headers = {"Content-Type": "application/x-tar", **build.headers}
    with tempfile.TemporaryFile(dir=stage) as packed:

        def body() -> IO[bytes]:
            pack_context(build, name, packed, stage)
            packed.seek(0)
            return packed

        await client.stream(EngineRequest("/build", RUNNING_STEPS, params, headers, body), output.read_message)
    if output.image is None:
        raise engine_error("it returned no result", RUNNING_STEPS)
    return output.image


def strip_colours(text: str) -> str:
    """Return ``text`` without terminal colour sequences."""
    return _COLOUR.sub("", text)


class _BuildOutput:
    """Logs the builder's messages and stores the id of the result."""

    def __init__(self, build: DockerBuild, progress: Progress) -> None:
        self._build = build
        self._progress = progress
        self._step: int | None = None
        self._lines = deque[str](maxlen=LAST_LINES)
        """The end of what the command of the step has printed."""
        self._cause = ""
        """The line to report if the build fails: the last one of a command, or the first one about a full disk."""
        self.image: str | None = None

    def read_message(self, message: Json) -> None:
        """Process one message of the builder. Raises: EngineError if it reports a failure."""
        if "error" in message:
            reason = str(message["error"])
            failure = find_step_failure(self._build, reason, tuple(self._lines), number=self._step)
            if failure is not None:
                raise failure
            text = f"{message['error']} ({self._cause})" if self._cause else message["error"]
            raise engine_error(text, RUNNING_STEPS)
        if "ID" in (message.get("aux") or {}):
            self.image = message["aux"]["ID"]
        for line in strip_colours(str(message.get("stream", ""))).splitlines():
            if not line.strip():
                continue
            self._progress.log(line.rstrip())
            if step := _STEP.match(line):
                self._step = int(step[1])
                self._lines.clear()
            elif not line.lstrip().startswith(_BUILDER_PREFIXES):
                self._lines.append(line.rstrip())
            if FULL not in self._cause.lower() and not line.lstrip().startswith(_BUILDER_PREFIXES):
                self._cause = line.strip()
