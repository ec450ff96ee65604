"""Builds by the engine's own (classic) builder, over its API."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO

from roost.daemon.engines.docker.client import DockerClient, EngineRequest, Json
from roost.daemon.engines.docker.context import dockerfile_name, pack_context
from roost.daemon.engines.docker.errors import FULL, engine_failed
from roost.daemon.jobs.progress import Progress

RUNNING_STEPS = "running the docker steps"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OWN = ("Removing intermediate container", "--->", "Step ")
"""What the builder itself says, and not a command."""


@dataclass(frozen=True)
class DockerBuild:
    """What to build. ``context`` is an absolute folder; ``labels`` go into the image."""

    text: str
    context: str | None = None
    platform: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False
    """Run every step, though the engine remembers what it made before."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """With the credentials for what the text builds on; the docker command has its own."""


async def classic_build(client: DockerClient, building: DockerBuild, stage: str, progress: Progress) -> str:
    """The id of the image that was built. Cancelling makes the engine stop."""
    name = await asyncio.to_thread(dockerfile_name, building.context, building.text)
    params = {"dockerfile": name, "rm": "1", "forcerm": "1", "labels": json.dumps(dict(building.labels))}
    if building.fresh:
        params["nocache"] = "1"
    if building.platform:
        params["platform"] = building.platform
    tell = _BuildProgress(progress)
    headers = {"Content-Type": "application/x-tar", **building.headers}
    with tempfile.TemporaryFile(dir=stage) as packed:
        ask = EngineRequest("/build", RUNNING_STEPS, params, headers, lambda: _packed(building, name, packed, stage))
        await client.stream(ask, tell)
    if tell.image is None:
        raise engine_failed("it named no result", RUNNING_STEPS)
    return tell.image


def _packed(building: DockerBuild, name: str, packed: IO[bytes], stage: str) -> IO[bytes]:
    """The context as a tar, with the Dockerfile in it. Blocks."""
    pack_context(building.context, building.text, name, packed, stage)
    packed.seek(0)
    return packed


def strip_colours(text: str) -> str:
    """What a command says, without its colours."""
    return _COLOUR.sub("", text)


class _BuildProgress:
    """Logs what the builder says, and keeps the id of the result."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._telling = ""
        """The line that says why: the last one, or the one that tells of a full disk."""
        self.image: str | None = None

    def __call__(self, message: Json) -> None:
        if "error" in message:
            raise engine_failed(
                f"{message['error']} ({self._telling})" if self._telling else message["error"], RUNNING_STEPS
            )
        if "ID" in (message.get("aux") or {}):
            self.image = message["aux"]["ID"]
        for line in strip_colours(str(message.get("stream", ""))).splitlines():
            if line.strip():
                self._take(line.rstrip())

    def _take(self, line: str) -> None:
        self._progress.log(line)
        if FULL not in self._telling.lower() and not line.lstrip().startswith(_OWN):
            self._telling = line.strip()
