"""What a decision has to know about images: answers of the index, the engine and the registries. Changes nothing.

The engine is asked first; registries only for what the engine lacks. A missing answer is recorded as unknown.
"""

from __future__ import annotations

import asyncio

import msgspec

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.naming import LABEL_KEY, definition_tag, image_repository, key_tag
from roost.daemon.bases.registry_images import read_registry_image
from roost.daemon.bases.step_sharing import StepRegistry
from roost.daemon.config.source import ConfigSource
from roost.daemon.decision.facts import BasePolicy, ImageFacts, ImageLocation, RegistryAnswers
from roost.daemon.decision.images import preferred_location
from roost.daemon.definitions.editables import EditableFolders, has_editables
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.images.requests import image_key_of
from roost.daemon.oci.answers import Answer, No, Unknown, Yes
from roost.daemon.oci.platforms import image_platform
from roost.daemon.oci.references import Reference, parse_reference
from roost.daemon.oci.registries import list_locations
from roost.model.errors import CodedError, ServiceUnreachableError
from roost.model.records import Generation
from roost.store.store import Store
from roost.wire.plans import Reason


class _EngineAnswer(msgspec.Struct, frozen=True):
    """Whether the engine has an image that was made or pulled on this machine."""

    answer: Answer[ImageLocation]
    artifact_id: str | None = None
    interpreter: str | None = None


class ImageProbe:
    """Looks for the image of a lock wherever it may be."""

    def __init__(self, store: Store, engines: Engines, bases: Bases, config: ConfigSource) -> None:
        self._index = store.index
        self._engines = engines
        self._bases = bases
        self.steps = StepRegistry(store.index, engines, bases, config)
        self._config = config
        self._editables = EditableFolders()

    @property
    def policy(self) -> BasePolicy:
        """What a moved tag of a base image means for a generation that keeps the old one."""
        return self._config.config.docker.base_policy

    async def probe(
        self, resolved: TargetedDefinition, lock_digest: str, generation: Generation | None, *, pinned: bool
    ) -> ImageFacts:
        """Return what is known about the image of a lock. ``pinned``: this generation is requested, so neither the
        base's tag nor the folders of editable installs matter."""
        editable_reasons = () if pinned else await self._compare_editables(resolved, lock_digest, generation)
        if generation is None or generation.base_digest is None:
            return await self._probe_registries(resolved.digest, lock_digest, editable_reasons)
        key = image_key_of(lock_digest, resolved.platform, generation.base_digest, generation.steps_digest)
        current_base = None if pinned else await self.find_current_base(resolved)
        engine = await self._ask_engine(key)
        has_image = isinstance(engine.answer, Yes)
        answers = RegistryAnswers() if has_image else await self.ask_registries(key_tag(key))
        return ImageFacts(
            key=key,
            id=engine.artifact_id,
            interpreter=engine.interpreter,
            engine=engine.answer,
            workspace=answers.workspace,
            catalogues=answers.catalogues,
            repeatable=has_image or await self._is_repeatable(generation),
            base_policy=self.policy,
            editable_reasons=editable_reasons,
            current_base=current_base,
        )

    async def _compare_editables(
        self, resolved: TargetedDefinition, lock_digest: str, generation: Generation | None
    ) -> tuple[Reason, ...]:
        """Compare editable folders with the lock: all else in a lock counts in the definition's digest."""
        if not has_editables(resolved.definition.pip.requirements):
            return ()
        lock = await self._index.locks.find(lock_digest)
        return await self._editables.compare(lock, generation) if lock is not None else ()

    async def _probe_registries(
        self, definition_digest: str, lock_digest: str, editable_reasons: tuple[Reason, ...] = ()
    ) -> ImageFacts:
        """Return what is known if no base is recorded here: another machine may have made an image of this definition
        and lock."""
        answers = await self.ask_registries(definition_tag(definition_digest, lock_digest))
        location = preferred_location(answers)
        return ImageFacts(
            key=location.key if location else None,
            workspace=answers.workspace,
            catalogues=answers.catalogues,
            repeatable=location is None,
            base_policy=self.policy,
            editable_reasons=editable_reasons,
        )

    async def _ask_engine(self, key: str) -> _EngineAnswer:
        """Only an image that was made or pulled here counts, and only while the engine has it: users prune."""
        record = await self._index.images.find(key)
        artifact = await self._index.artifacts.find_ready("image", key)
        if record is None or artifact is None:
            return _EngineAnswer(No())
        try:
            image = await (await self._engines.docker()).images.find(record.config_digest)
        except ServiceUnreachableError as error:
            return _EngineAnswer(_unknown_answer(error), artifact.id, record.interpreter)
        if image is None:
            return _EngineAnswer(No(), artifact.id, record.interpreter)
        location = ImageLocation(reference=record.name, digest=image.id, bytes=image.bytes)
        return _EngineAnswer(Yes(location), artifact.id, record.interpreter)

    async def _is_repeatable(self, generation: Generation) -> bool:
        """Whether a build gives the same image again. Without docker steps it needs the same base; with them, what they
        made, since steps never give the same result twice."""
        digest = generation.steps_digest or generation.base_digest or ""
        top = await self._index.bases.find(digest)
        try:
            if top is not None and await self._bases.loader.is_available(top):
                return True
        except ServiceUnreachableError:
            return True  # it is not known to be missing: the build will find out
        return not isinstance(await self.steps.has_content(digest), No)

    async def ask_registries(self, tag: str) -> RegistryAnswers:
        """Ask all registries in force at once whether they have an image under ``tag``."""
        locations = list_locations(self._config.registries)
        references = [image_repository(each.location).with_tag(tag) for each in locations]
        answers = await asyncio.gather(*map(self._ask_registry, references))
        pairs = list(zip(locations, answers, strict=True))
        return RegistryAnswers(
            workspace=next((answer for location, answer in pairs if location.kind == "workspace"), None),
            catalogues=tuple(answer for location, answer in pairs if location.kind != "workspace"),
        )

    async def _ask_registry(self, reference: Reference) -> Answer[ImageLocation]:
        try:
            answer = await read_registry_image(self._engines, reference)
        except CodedError as error:
            answer = _unknown_answer(error)
        if isinstance(answer, Unknown):
            text = f"{reference.host} can't be checked: {answer.reason.message}"
            return Unknown(Reason(code=answer.reason.code, message=text))
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
                layers=image.layers,
            )
        )

    async def find_current_base(self, resolved: TargetedDefinition) -> Answer[str] | None:
        """Return the digest that the base's tag names now; ``None`` if that does not matter: the policy ignores it, or
        the base is named by a digest, which never names anything else."""
        base = resolved.definition.base
        if self.policy == "pin" or (base is not None and (base.dockerfile or base.context)):
            return None
        text = (base.image if base else None) or resolved.defaults.base_image
        reference = parse_reference(text)
        if reference.digest is not None:
            return None
        try:
            record = await self._bases.resolver.find_in_registry(reference, image_platform(resolved.platform))
            if isinstance(record, Unknown):  # what the engine has under the name may be years old
                return record
            if record is None:  # as a build resolves a base: if the registry has none, the engine's image counts
                image = await (await self._engines.docker()).images.find(text)
                return Yes(image.id) if image is not None else No()
        except CodedError as error:
            return _unknown_answer(error)
        return Yes(record.digest)


def _unknown_answer(error: CodedError) -> Unknown:
    return Unknown(Reason(code=error.code, message=error.message))
