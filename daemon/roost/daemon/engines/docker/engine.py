"""The Docker engine, and builds in it.

    engine = DockerEngine(DockerConfig(), stage=layout.stage)
    await engine.facts() -> EngineFacts
    await engine.images.find(reference_or_id) -> EngineImage | None       # see images.py
    await engine.containers.create(spec) -> container id                  # see containers.py
    await engine.build_steps(base_id, steps, progress=…) -> image id
    await engine.build_dockerfile(text, context=folder, progress=…) -> image id

Ids are ``sha256:…`` of the image's config. Every method raises errors of the roost tree only (``errors``):
EngineUnreachableError (retryable) if the engine does not answer, EngineFullError if its disk is full. Cancelling a
build cuts its connection, on which the engine stops the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext

from roost.daemon.engines.docker.building.base_name import temporary_base_name
from roost.daemon.engines.docker.building.buildx import buildx_build
from roost.daemon.engines.docker.building.classic import classic_build
from roost.daemon.engines.docker.building.context import DockerBuild, find_context_need
from roost.daemon.engines.docker.building.steps import ParentImage, find_buildkit_need, find_parent_images, parse_steps
from roost.daemon.engines.docker.client import DockerClient
from roost.daemon.engines.docker.containers import DockerContainers
from roost.daemon.engines.docker.errors import (
    NEEDS_BUILDKIT,
    EngineError,
    EngineFullError,
    EngineUnreachableError,
)
from roost.daemon.engines.docker.ids import config_reference, find_config_digest
from roost.daemon.engines.docker.images import DockerImages
from roost.daemon.engines.docker.values import DockerConfig, EngineFacts
from roost.daemon.engines.registry.credentials import RegistryLogin, build_header, find_login
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.references import parse_reference
from roost.model.documents.dockerfile import DOCKERFILE
from roost.model.errors import CodedError


class DockerEngine:
    """The engine that roost's config names.

    ``stage`` is a folder for temporary files; ``labels`` are put on containers that are not runs.
    """

    def __init__(self, config: DockerConfig, stage: str, labels: Mapping[str, str] | None = None) -> None:
        self.client = DockerClient(config)
        self.images = DockerImages(self.client, stage)
        self.containers = DockerContainers(self.client, labels)
        self._stage = stage

    def configure(self, config: DockerConfig) -> None:
        """Use ``config`` from the next request on."""
        self.client.configure(config)

    def close(self) -> None:
        """Close connections and threads."""
        self.client.close()

    async def ping(self) -> None:
        """Check that the engine answers. Raises: EngineUnreachableError."""
        await self.client.call(lambda api: api.ping(), "checking whether it answers")

    async def facts(self) -> EngineFacts:
        """Return the engine's version and properties. Raises: EngineUnreachableError."""
        return await self.client.facts()

    async def build_steps(
        self,
        base: str,
        steps: Sequence[str],
        *,
        platform: str | None = None,
        labels: Mapping[str, str] | None = None,
        fresh: bool = False,
        progress: Progress,
    ) -> str:
        """Run ``steps`` on top of the image ``base`` (an id) and return the id of the result.

        ``fresh``: run every step, even if the engine has its result cached.

        Raises: StepInvalidError if a step is not one instruction; EngineError if one fails; BuildKitMissingError.
        """
        checked = parse_steps(steps)

        async def build(buildkit: str | None) -> str:
            by_name = buildkit or await self.images.named_by_config()
            async with temporary_base_name(self.images, base) if by_name else nullcontext(base) as name:
                spec = DockerBuild(f"FROM {name}\n{checked.text}", None, platform, labels or {}, fresh, own=1)
                return await self._build(spec, buildkit, progress)

        return await _build_with_either(build, checked.buildkit, progress)

    async def build_dockerfile(
        self,
        text: str,
        *,
        context: str | None = None,
        file: str = DOCKERFILE,
        platform: str | None = None,
        labels: Mapping[str, str] | None = None,
        fresh: bool = False,
        progress: Progress,
    ) -> str:
        """Build a complete Dockerfile and return the id of the result.

        ``context`` is an absolute folder, and ``file`` the path of the Dockerfile in it; its ignore file is respected.
        ``fresh``: run every step, on the parent images as their registries have them now.

        Only the engine has the result, and a second build would not reproduce it. So it is named ``roost/base:…``:
        `docker system prune` deletes images without a name.

        Raises: EngineError if the build fails; BuildKitMissingError, ContextUnreadableError.
        """
        parents = find_parent_images(text)
        if fresh:
            for parent in parents:
                pinned = "@" in parent.reference or find_config_digest([parent.reference]) is not None
                if not pinned:
                    await self._pull_parent(parent, platform, progress)

        async def build(buildkit: str | None) -> str:
            references = [parent.reference for parent in parents]
            headers = {} if buildkit else await self._credential_headers(references, progress)
            return await self._build(
                DockerBuild(text, context, platform, labels or {}, fresh, headers, file), buildkit, progress
            )

        need = find_buildkit_need(text) or await asyncio.to_thread(find_context_need, context, file)
        image_id = await _build_with_either(build, need, progress)
        await self.images.tag(image_id, config_reference(image_id))
        return image_id

    async def _pull_parent(self, parent: ParentImage, platform: str | None, progress: Progress) -> None:
        """Pull a parent image of a Dockerfile; use the engine's own if no registry has it or answers.

        It may never have been in a registry. Each parent is pulled by itself, which neither builder's option does.
        """
        try:
            await self.images.pull(parent.reference, parent.platform or platform, progress)
        except (EngineFullError, EngineUnreachableError):
            raise
        except CodedError as error:
            progress.finish("pull")
            progress.log(
                f"{parent.reference} is used as the engine has it, because it can't be pulled: {error.message}"
            )

    async def _credential_headers(self, references: Sequence[str], progress: Progress) -> dict[str, str]:
        """Return the header with credentials for a Dockerfile's parents; unreadable ones may not be needed."""
        logins: dict[str, RegistryLogin] = {}
        for reference in references:
            try:
                host = parse_reference(reference).host
                login = await find_login(host, self.client.config.credentials)
            except CodedError as error:
                progress.log(f"Without credentials for {reference}: {error.message}")
                continue
            if login is not None:
                logins[host] = login
        return build_header(logins)

    async def _build(self, build: DockerBuild, buildkit: str | None, progress: Progress) -> str:
        progress.start("docker-steps")
        if buildkit is not None:
            built = await buildx_build(await self.client.address(), build, buildkit, self._stage, progress)
        else:
            built = await classic_build(self.client, build, self._stage, progress)
        progress.finish("docker-steps")
        image = await self.images.find(built)
        return image.id if image is not None else built


async def _build_with_either(
    build: Callable[[str | None], Awaitable[str]], buildkit: str | None, progress: Progress
) -> str:
    """Call ``build`` with the reason for BuildKit, or ``None`` for the classic builder, and return its result.

    A classic build is repeated with BuildKit if the engine asks for it: the engine sees what the base image adds
    (``ONBUILD``).
    """
    if buildkit is None:
        try:
            return await build(None)
        except EngineError as error:
            if NEEDS_BUILDKIT not in error.message.lower():
                raise
            progress.log(f"Trying again with BuildKit: {error.message}")
            buildkit = "the engine says so"
    return await build(buildkit)
