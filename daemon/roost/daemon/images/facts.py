"""What a decision has to know of images: asked of the index, the engine and the registries. Changes nothing.

The engine is asked first; registries only for what it lacks. An answer that did not come is kept as that.
"""

from __future__ import annotations

import asyncio

import msgspec

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.naming import LABEL_KEY, definition_tag, image_repository, key_tag
from roost.daemon.bases.registry_images import RegistryImage, read_registry_image
from roost.daemon.bases.step_sharing import StepRegistry
from roost.daemon.config.source import ConfigSource
from roost.daemon.decision.facts import BasePolicy, Facts, ImageFacts, ImageLocation
from roost.daemon.decision.images import IMAGE_STEP_KINDS
from roost.daemon.definitions.editables import EditableFolders, has_editables
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.images.requests import key_of
from roost.daemon.oci.answers import Answer, No, Unknown, Yes
from roost.daemon.oci.platforms import image_platform
from roost.daemon.oci.references import Reference, parse_reference
from roost.daemon.oci.registries import list_locations
from roost.model.definition import Definition
from roost.model.errors import CodedError, ServiceUnreachableError
from roost.model.records import Generation
from roost.store.store import Store
from roost.wire.plans import Reason


class ImageProbe:
    """Looks for the image of a lock wherever it may be."""

    def __init__(self, store: Store, engines: Engines, bases: Bases, config: ConfigSource) -> None:
        self._index = store.index
        self._engines = engines
        self._bases = bases
        self.steps = StepRegistry(store.index, engines, bases, config)
        self._config = config
        self._frozen = EditableFolders()

    @property
    def policy(self) -> BasePolicy:
        """What a moved tag of a base image means for a generation that keeps the old one."""
        return self._config.config.docker.base_policy

    async def look(self, facts: Facts, resolved: TargetedDefinition, *, exact: bool = False) -> Facts:
        """``facts`` with what is known of the image. ``exact``: of that generation, wherever its base's tag went."""
        estimates = {**facts.estimates, **await self._index.durations.estimate(list(IMAGE_STEP_KINDS))}
        image = ImageFacts()
        if facts.lock_digest is not None:
            image = await self._image(facts, resolved, exact=exact)
            folders = () if exact else await self._folders(facts.lock_digest, facts.generation, resolved.definition)
            image = msgspec.structs.replace(image, editable_reasons=folders)
        return msgspec.structs.replace(facts, estimates=estimates, image=image)

    async def _folders(self, digest: str, generation: Generation | None, definition: Definition) -> tuple[Reason, ...]:
        """What editable installs became, for they alone are in a lock and not wholly in the definition's digest."""
        lock = await self._index.locks.find(digest) if has_editables(definition.pip.requirements) else None
        return await self._frozen.compare(lock, generation) if lock is not None else ()

    async def _image(self, facts: Facts, resolved: TargetedDefinition, *, exact: bool) -> ImageFacts:
        generation = facts.generation
        assert facts.lock_digest is not None
        if generation is None or generation.base_digest is None:
            return await self._unmade(resolved.digest, facts.lock_digest)
        key = key_of(facts.lock_digest, resolved.platform, generation.base_digest, generation.steps_digest)
        now = None if exact else await self.base_now(resolved)
        found = ImageFacts(key=key, base_policy=self.policy, current_base=now)
        found = await self._in_engine(found, key)
        if isinstance(found.engine, Yes):
            return found
        answers = await self.in_registries(key_tag(key))
        kept = await self._repeatable(generation)
        return msgspec.structs.replace(found, workspace=answers[0], catalogues=answers[1], repeatable=kept)

    async def _in_engine(self, facts: ImageFacts, key: str) -> ImageFacts:
        """Only what was made or pulled here counts, and only while the engine has it: users prune."""
        kept = await self._index.images.find(key)
        artifact = await self._index.artifacts.find_ready("image", key)
        if kept is None or artifact is None:
            return msgspec.structs.replace(facts, engine=No())
        facts = msgspec.structs.replace(facts, id=artifact.id, interpreter=kept.interpreter)
        try:
            image = await (await self._engines.docker()).images.find(kept.config_digest)
        except ServiceUnreachableError as error:
            return msgspec.structs.replace(facts, engine=_unknown(error))
        if image is None:
            return msgspec.structs.replace(facts, engine=No())
        place = ImageLocation(reference=kept.name, digest=image.id, bytes=image.bytes)
        return msgspec.structs.replace(facts, engine=Yes(place))

    async def _repeatable(self, generation: Generation) -> bool:
        """Without docker steps, building comes to the same; with them, only while what they made is to be had."""
        digest = generation.steps_digest or generation.base_digest or ""
        top = await self._index.bases.find(digest)
        try:
            if top is not None and await self._bases.loader.is_available(top):
                return True
        except ServiceUnreachableError:
            return True  # not known to be gone: the build will see
        return not isinstance(await self.steps.has_content(digest), No)

    async def _unmade(self, definition_digest: str, lock_digest: str) -> ImageFacts:
        """No base is known here: somebody else may have made an image of this definition and lock."""
        answers = await self.in_registries(definition_tag(definition_digest, lock_digest))
        found = next((a.value for a in (answers[0], *answers[1]) if isinstance(a, Yes)), None)
        if found is None:
            return ImageFacts(workspace=answers[0], catalogues=answers[1], base_policy=self.policy)
        return ImageFacts(
            key=found.key,
            workspace=answers[0],
            catalogues=answers[1],
            base_policy=self.policy,
            repeatable=False,
        )

    async def in_registries(self, tag: str) -> tuple[Answer[ImageLocation] | None, tuple[Answer[ImageLocation], ...]]:
        """The workspace's answer, and those of the catalogues."""
        asked = list_locations(self._config.registries)
        answers = await asyncio.gather(*(self._place(image_repository(each.location).with_tag(tag)) for each in asked))
        pairs = list(zip(asked, answers, strict=True))
        workspace = next((answer for place, answer in pairs if place.kind == "workspace"), None)
        return workspace, tuple(answer for place, answer in pairs if place.kind != "workspace")

    async def _place(self, reference: Reference) -> Answer[ImageLocation]:
        answer = await self._asked(reference)
        if isinstance(answer, Unknown):
            return Unknown(
                Reason(code=answer.reason.code, message=f"{reference.host} can't say: {answer.reason.message}")
            )
        if not isinstance(answer, Yes):
            return answer
        image = answer.value
        return Yes(
            ImageLocation(
                reference=image.reference,
                digest=image.digest,
                manifest_digest=image.manifest_digest,
                bytes=image.bytes,
                key=image.labels.get(LABEL_KEY),
            )
        )

    async def _asked(self, reference: Reference) -> Answer[RegistryImage]:
        try:
            return await read_registry_image(self._engines, reference)
        except CodedError as error:
            return _unknown(error)

    async def base_now(self, resolved: TargetedDefinition) -> Answer[str] | None:
        """What the base's tag names now, where the policy cares. A digest never names anything else."""
        base = resolved.definition.base
        if self.policy == "pin" or (base is not None and (base.dockerfile or base.context)):
            return None
        text = (base.image if base else None) or resolved.defaults.base_image
        reference = parse_reference(text)
        if reference.digest is not None:
            return None
        try:
            found = await self._bases.resolver.find_in_registry(reference, image_platform(resolved.platform))
            if isinstance(found, Unknown):  # what the engine has under the name may be years old
                return found
            if found is None:  # as when it is settled: then the engine's counts
                image = await (await self._engines.docker()).images.find(text)
                return Yes(image.id) if image is not None else No()
        except CodedError as error:
            return _unknown(error)
        return Yes(found.digest)


def _unknown(error: CodedError) -> Unknown:
    return Unknown(Reason(code=error.code, message=error.message))
