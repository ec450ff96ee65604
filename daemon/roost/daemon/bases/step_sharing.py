"""What docker steps and Dockerfiles made, shared by way of the workspace's registry: steps never come out the same
again, and an engine alone keeps nothing for long.

In the repository ``<registry>/steps`` a result has a tag of its content, and the first one of a definition and platform
a tag of those, as locks have: another machine takes that one and does not run the steps again. A rebuild's result gets
the tag of its content alone.
"""

from __future__ import annotations

import msgspec

from roost.daemon.bases.bases import Bases, ResolvedBase
from roost.daemon.bases.naming import LABEL_BASE, content_tag, image_repository, steps_repository, steps_tag
from roost.daemon.bases.push import ImagePusher
from roost.daemon.config.source import ConfigSource
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.answers import Answer, No, Unknown, Yes
from roost.daemon.oci.manifests import Manifest, parse_manifest
from roost.daemon.oci.references import Reference
from roost.daemon.oci.registries import list_locations
from roost.model.errors import CodedError, ServiceUnreachableError
from roost.model.records import BaseRecord, Generation
from roost.store.disk.layout import Layout
from roost.store.index.index import Index
from roost.wire.plans import Reason

ANNOTATION_BASE = LABEL_BASE
"""Of the manifest: the config digest of the base that the steps ran on; none for a whole Dockerfile."""


class StepShareResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of offering a result."""

    settled: ResolvedBase
    """Another machine's, where that was there first."""
    reason: Reason | None = None


class StepsUnknownError(ServiceUnreachableError):
    """Whether a registry has what docker steps made, or a generation's base, could not be found out."""

    code = "registry-unknown"


class StepShare:
    """Results of steps in the registries that are in force."""

    def __init__(self, index: Index, layout: Layout, engines: Engines, bases: Bases, config: ConfigSource) -> None:
        self._index = index
        self._engines = engines
        self._bases = bases
        self._pusher = ImagePusher(engines, bases, layout)
        self._config = config

    async def find_first(
        self, definition_digest: str, platform: str, image_platform: str, *, mirrored: bool = True
    ) -> ResolvedBase | None:
        """What somebody made of this definition first; ``None``: nobody did, or nobody can say. Not ``mirrored``: as
        the registries themselves have it, which mirrors may not yet.

        Raises BaseInvalidError, BasePlatformError."""
        for repository in self._repositories():
            reference = repository.with_tag(steps_tag(definition_digest, platform))
            found = await self._manifest(reference, mirrored=mirrored)
            if isinstance(found, Yes):
                return await self._settled(*found.value, image_platform, mirrored=mirrored)
        return None

    async def find_recorded(
        self, generation: Generation, image_platform: str, *, stepped: bool = True
    ) -> ResolvedBase | None:
        """What a generation keeps, from a registry that has it; ``None``: none has. Not ``stepped``: that is its base.

        Raises StepsUnknownError where one can't say: what can't be made again must not be made again for that."""
        digest, unknown = generation.steps_digest or generation.base_digest or "", None
        for reference in self._contents(digest):
            found = await self._manifest(reference)
            if isinstance(found, Yes):
                settled = await self._settled(*found.value, image_platform)
                if settled is not None and settled.top.digest == digest:
                    assert generation.base_digest is not None
                    return msgspec.structs.replace(
                        settled, base_digest=generation.base_digest, steps_digest=generation.steps_digest
                    )
            unknown = found.reason if isinstance(found, Unknown) else unknown
        if unknown is not None:
            raise _unknown(generation, unknown.message, stepped=stepped)
        return None

    async def has(self, digest: str) -> Answer[None]:
        """Whether a registry has the result ``digest``."""
        unknown: Answer[None] = No()
        for reference in self._contents(digest):
            found = await self._manifest(reference)
            if isinstance(found, Yes):
                return Yes(None)
            unknown = found if isinstance(found, Unknown) else unknown
        return unknown

    async def offer(
        self,
        settled: ResolvedBase,
        definition_digest: str,
        platform: str,
        image_platform: str,
        progress: Progress,
        *,
        own: bool,
    ) -> StepShareResult:
        """Push a result that was made here. ``own``: it is a later one, which nobody takes unasked. Fails into
        ``reason``, never by raising: what is ready here is ready."""
        place = next((each for each in list_locations(self._config.registries) if each.kind == "workspace"), None)
        if place is None:
            return StepShareResult(settled=settled)
        repository, content = steps_repository(place.location), content_tag(settled.top.digest)
        tags = [content] if own else [steps_tag(definition_digest, platform), content]
        noted = {ANNOTATION_BASE: settled.base_digest} if settled.steps_digest else {}
        try:
            pushed = await self._pusher.push(settled.top, repository, tags, progress, annotations=noted)
            if pushed.digest != settled.top.digest:
                return await self._instead(settled, definition_digest, platform, image_platform)
        except CodedError as error:
            progress.log(f"What the docker steps made is not shared: {error.message}")
            text = f"What the docker steps made is on this machine alone: {error.message}"
            return StepShareResult(settled=settled, reason=Reason(code="steps-not-pushed", message=text))
        text = f"What the docker steps made is kept as {pushed.reference}"
        return StepShareResult(settled=settled, reason=Reason(code="steps-pushed", message=text))

    async def publish_missing(
        self, settled: ResolvedBase, definition_digest: str, platform: str, image_platform: str, progress: Progress
    ) -> StepShareResult:
        """Push a result that a generation keeps, where that could not be done when it was made: as the first one only
        where the workspace says that there is none. Nobody else's takes its place."""
        place = next((each for each in list_locations(self._config.registries) if each.kind == "workspace"), None)
        if place is None:
            return StepShareResult(settled=settled)
        repository = steps_repository(place.location)
        there = await self._manifest(repository.with_tag(content_tag(settled.top.digest)), mirrored=False)
        if not isinstance(there, No):
            return StepShareResult(settled=settled)
        first = await self._manifest(repository.with_tag(steps_tag(definition_digest, platform)), mirrored=False)
        own = not isinstance(first, No)
        shared = await self.offer(settled, definition_digest, platform, image_platform, progress, own=own)
        return msgspec.structs.replace(shared, settled=settled)

    async def _instead(
        self, settled: ResolvedBase, definition_digest: str, platform: str, image_platform: str
    ) -> StepShareResult:
        """Somebody else's reached the registry meanwhile."""
        theirs = await self.find_first(definition_digest, platform, image_platform, mirrored=False)
        if theirs is None:
            return StepShareResult(settled=settled)
        text = "Another machine shared what the docker steps made first: that is taken"
        return StepShareResult(settled=theirs, reason=Reason(code="steps-shared", message=text))

    def _repositories(self) -> list[Reference]:
        return [steps_repository(place.location) for place in list_locations(self._config.registries)]

    def _contents(self, digest: str) -> list[Reference]:
        """Where ``digest`` may be: on its own, or beside the images that were put on it."""
        named = [place.location for place in list_locations(self._config.registries)]
        repositories = [of(each) for each in named for of in (steps_repository, image_repository)]
        return [repository.with_tag(content_tag(digest)) for repository in repositories]

    async def _manifest(self, reference: Reference, *, mirrored: bool = True) -> Answer[tuple[Reference, Manifest]]:
        answer = await (await self._engines.registry()).manifest(reference, mirrored=mirrored)
        if not isinstance(answer, Yes):
            return answer
        document = parse_manifest(answer.value.data, answer.value.media_type)
        if not isinstance(document, Manifest):
            return No()
        return Yes((reference.with_digest(answer.value.digest), document))

    async def _settled(
        self, reference: Reference, document: Manifest, image_platform: str, *, mirrored: bool = True
    ) -> ResolvedBase | None:
        """Recorded, so that the next time asks nobody."""
        found = await self._bases.find_in_registry(reference, image_platform, mirrored=mirrored)
        if not isinstance(found, BaseRecord):
            return None
        below = document.annotations.get(ANNOTATION_BASE)
        top = msgspec.structs.replace(found, below=below)
        await self._index.bases.put(top)
        if below is None:
            return ResolvedBase(top=top, base_digest=top.digest)
        return ResolvedBase(top=top, base_digest=below, steps_digest=top.digest)


def _unknown(generation: Generation, why: str, *, stepped: bool) -> StepsUnknownError:
    number = generation.number
    what = f"What the docker steps of generation {number} made" if stepped else f"The base image of generation {number}"
    anew = "runs them again" if stepped else "takes what the base's name stands for now"
    return StepsUnknownError(
        f"{what} is not here, and whether a registry has it is not known: {why}",
        hint=f"Try again when it can be asked; `roost build --rebuild` {anew}, as a new generation.",
    )
