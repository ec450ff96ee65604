"""The check of the Docker engine: its address, by which rule, and what it says of itself.

Separate since the engine's library is imported for it only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from roost.daemon.config.schema import DockerSettings
from roost.daemon.credentials.redaction import redact
from roost.daemon.doctor.deadlines import run_apart
from roost.daemon.doctor.findings import Check
from roost.daemon.doctor.surroundings import Surroundings
from roost.daemon.doctor.verdicts import judge_engine
from roost.model.errors import CodedError

if TYPE_CHECKING:
    from roost.daemon.engines.docker.address import EngineRule


async def check_docker(around: Surroundings) -> list[Check]:
    """Check the engine that the configuration or the caller names, or the one at Docker's default address."""
    settings = around.config.docker
    rule = await run_apart(_find_rule, settings, around.engines.docker_variables())
    named = rule.source if rule.source == "default" else f"{rule.source}: {redact(rule.value)}"
    url, facts, error = rule.value, "", None
    try:
        engine = await around.engines.docker()
        url = (await engine.client.address()).url
        await engine.ping()
        found = await engine.facts()
        mode = ", rootless" if found.rootless else ""
        store = ", containerd image store" if found.containerd else ""
        facts = f"version {found.version} (API {found.api}), {found.platform}{mode}{store}"
    except CodedError as raised:
        error = raised
    path = url.removeprefix("unix://")
    exists = not url.startswith("unix://") or await run_apart(os.path.lexists, path)
    check = judge_engine(
        url=redact(url),
        rule=named,
        is_configured=rule.source != "default",
        exists=exists,
        error=error,
        facts=facts,
    )
    return [check]


def _find_rule(settings: DockerSettings, variables: Mapping[str, str]) -> EngineRule:
    """Return what names the engine. Blocks, the first time by importing the engine's library."""
    from roost.daemon.engines.docker.address import find_rule
    from roost.daemon.engines.docker.values import DockerConfig

    return find_rule(DockerConfig(settings.host, settings.context, variables, {}))
