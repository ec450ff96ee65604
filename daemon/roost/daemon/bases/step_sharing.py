"""Results of docker steps and Dockerfiles, shared through the workspace's registry.

Steps never produce the same result twice, and an engine alone does not store it for long. In the repository
``<registry>/steps`` a result has a tag for its content, and the first result of a definition and platform a tag for
those, like locks: other machines use the first result and do not run the steps again. The result of a rebuild gets the
tag for its content only.
"""

from __future__ import annotations

import msgspec

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.errors import StepsUnknownError
from roost.daemon.bases.naming import LABEL_BASE, content_tag, image_repository, steps_repository, steps_tag
from roost.daemon.bases.push import ImagePusher
from roost.daemon.bases.resolve import ResolvedBase
from roost.daemon.config.source import ConfigSource
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.answers import Answer, No, Unknown, Yes
from roost.daemon.oci.manifests import Manifest, parse_manifest
from roost.daemon.oci.references import Reference
from roost.daemon.oci.registries import find_workspace_location, list_locations
from roost.model.errors import CodedError
from roost.model.records import BaseRecord, Generation
from roost.store.index.index import Index
from roost.wire.plans import Reason

ANNOTATION_BASE = LABEL_BASE
"""Annotation of a manifest: the config digest of the base that the steps ran on; absent for a complete Dockerfile."""


class StepShareResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of publishing a result of docker steps."""

    resolved: ResolvedBase
    """The published result, or another machine's if that was first."""
    reason: Reason | None = None


class StepRegistry:
    """Results of docker steps in the registries in effect."""

    def __init__(self, index: Index, engines: Engines, bases: Bases, config: ConfigSource) -> None:
        self._index = index
        self._engines = engines
        self._resolver = bases.resolver
        self._pusher = ImagePusher(engines, bases.loader)
        self._config = config

    async def find_first(
        self, definition_digest: str, platform: str, image_platform: str, *, mirrored: bool = True
    ) -> ResolvedBase | None:
        """Return the first result of a definition; ``None`` if there is none, or no registry answers.

        Not ``mirrored``: ask the registries themselves; mirrors may not have it yet.

        Raises: BaseInvalidError, BasePlatformError.
        """
        for location in list_locations(self._config.registries):
            reference = steps_repository(location.location).with_tag(steps_tag(definition_digest, platform))
            answer = await self._find_manifest(reference, mirrored=mirrored)
            if isinstance(answer, Yes):
                return await self._record_result(*answer.value, image_platform, mirrored=mirrored)
        return None

    async def find_recorded(
        self, generation: Generation, image_platform: str, *, stepped: bool = True
    ) -> ResolvedBase | None:
        """Return the result that ``generation`` records, from a registry; ``None`` if no registry has it.

        Not ``stepped``: the generation has no docker steps, so that the result is its base.

        Raises: StepsUnknownError if a registry gives no answer: a result that can't be reproduced must not be replaced
        because of that.
        """
        digest, unknown = generation.steps_digest or generation.base_digest or "", None
        for reference in self._content_references(digest):
            answer = await self._find_manifest(reference)
            if isinstance(answer, Yes):
                resolved = await self._record_result(*answer.value, image_platform)
                if resolved is not None and resolved.top.digest == digest:
                    assert generation.base_digest is not None
                    return msgspec.structs.replace(
                        resolved, base_digest=generation.base_digest, steps_digest=generation.steps_digest
                    )
            unknown = answer.reason if isinstance(answer, Unknown) else unknown
        if unknown is not None:
            raise _steps_unknown_error(generation, unknown.message, stepped=stepped)
        return None

    async def has_content(self, digest: str) -> Answer[None]:
        """Return whether a registry has the result ``digest``."""
        unknown: Answer[None] = No()
        for reference in self._content_references(digest):
            answer = await self._find_manifest(reference)
            if isinstance(answer, Yes):
                return Yes(None)
            unknown = answer if isinstance(answer, Unknown) else unknown
        return unknown

    async def publish_first(
        self, resolved: ResolvedBase, definition_digest: str, platform: str, image_platform: str, progress: Progress
    ) -> StepShareResult:
        """Push a result of this machine as the first one of its definition; another machine's takes precedence.

        A failure becomes the ``reason`` and is not raised: the result is complete here.
        """
        tags = [steps_tag(definition_digest, platform), content_tag(resolved.top.digest)]
        return await self._publish(resolved, tags, definition_digest, platform, image_platform, progress)

    async def publish_rebuild(
        self, resolved: ResolvedBase, definition_digest: str, platform: str, image_platform: str, progress: Progress
    ) -> StepShareResult:
        """Push a later result of this machine, which other machines do not use by themselves. Failures: as above."""
        tags = [content_tag(resolved.top.digest)]
        return await self._publish(resolved, tags, definition_digest, platform, image_platform, progress)

    async def publish_missing(
        self, resolved: ResolvedBase, definition_digest: str, platform: str, image_platform: str, progress: Progress
    ) -> StepShareResult:
        """Push a recorded result that could not be pushed when it was produced.

        It is pushed as the first one only if the workspace reports that there is none. The returned result is always
        ``resolved``, even if another machine publishes a first one meanwhile. Failures: as in ``publish_first``.
        """
        workspace = find_workspace_location(self._config.registries)
        if workspace is None:
            return StepShareResult(resolved=resolved)
        repository = steps_repository(workspace.location)
        content = repository.with_tag(content_tag(resolved.top.digest))
        if not isinstance(await self._find_manifest(content, mirrored=False), No):
            return StepShareResult(resolved=resolved)
        first = repository.with_tag(steps_tag(definition_digest, platform))
        has_no_first = isinstance(await self._find_manifest(first, mirrored=False), No)
        publish = self.publish_first if has_no_first else self.publish_rebuild
        shared = await publish(resolved, definition_digest, platform, image_platform, progress)
        return msgspec.structs.replace(shared, resolved=resolved)

    async def _publish(
        self,
        resolved: ResolvedBase,
        tags: list[str],
        definition_digest: str,
        platform: str,
        image_platform: str,
        progress: Progress,
    ) -> StepShareResult:
        """Push ``resolved`` under ``tags`` to the workspace, if there is one.

        If another machine's result has the first tag meanwhile, return that one.
        """
        workspace = find_workspace_location(self._config.registries)
        if workspace is None:
            return StepShareResult(resolved=resolved)
        repository = steps_repository(workspace.location)
        annotations = {ANNOTATION_BASE: resolved.base_digest} if resolved.steps_digest else {}
        try:
            pushed = await self._pusher.push(resolved.top, repository, tags, progress, annotations=annotations)
            if pushed.digest != resolved.top.digest:
                other = await self.find_first(definition_digest, platform, image_platform, mirrored=False)
                if other is None:
                    return StepShareResult(resolved=resolved)
                text = "Another machine shared the result of the docker steps first: that result is used"
                return StepShareResult(resolved=other, reason=Reason(code="steps-shared", message=text))
        except CodedError as error:
            progress.log(f"The result of the docker steps is not shared: {error.message}")
            text = f"The result of the docker steps is only on this machine: {error.message}"
            return StepShareResult(resolved=resolved, reason=Reason(code="steps-not-pushed", message=text))
        text = f"The result of the docker steps is stored as {pushed.reference}"
        return StepShareResult(resolved=resolved, reason=Reason(code="steps-pushed", message=text))

    def _content_references(self, digest: str) -> list[Reference]:
        """Return the references at which the result ``digest`` may be: its own, and beside images built on it."""
        locations = [each.location for each in list_locations(self._config.registries)]
        repositories = [name(each) for each in locations for name in (steps_repository, image_repository)]
        return [repository.with_tag(content_tag(digest)) for repository in repositories]

    async def _find_manifest(
        self, reference: Reference, *, mirrored: bool = True
    ) -> Answer[tuple[Reference, Manifest]]:
        answer = await (await self._engines.registry()).manifest(reference, mirrored=mirrored)
        if not isinstance(answer, Yes):
            return answer
        document = parse_manifest(answer.value.data, answer.value.media_type)
        if not isinstance(document, Manifest):
            return No()
        return Yes((reference.with_digest(answer.value.digest), document))

    async def _record_result(
        self, reference: Reference, document: Manifest, image_platform: str, *, mirrored: bool = True
    ) -> ResolvedBase | None:
        """Return a result in a registry, and record it, so that the registry is not asked again."""
        found = await self._resolver.find_in_registry(reference, image_platform, mirrored=mirrored)
        if not isinstance(found, BaseRecord):
            return None
        below = document.annotations.get(ANNOTATION_BASE)
        top = msgspec.structs.replace(found, below=below)
        await self._index.bases.put(top)
        if below is None:
            return ResolvedBase(top=top, base_digest=top.digest)
        return ResolvedBase(top=top, base_digest=below, steps_digest=top.digest)


def _steps_unknown_error(generation: Generation, why: str, *, stepped: bool) -> StepsUnknownError:
    number = generation.number
    what = (
        f"The result of the docker steps of generation {number}"
        if stepped
        else f"The base image of generation {number}"
    )
    remedy = "runs them again" if stepped else "uses what the base's name refers to now"
    return StepsUnknownError(
        f"{what} is not on this machine, and the registries can't be checked: {why}",
        hint=f"Try again when the registry can be reached; `roost build --rebuild` {remedy}, as a new generation.",
    )
