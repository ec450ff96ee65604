"""Images that have their own Python and are used unmodified: ``--image REF``, and definitions that name a base image
and nothing to put on top of it.

What the tag named first is recorded in a generation, by the digest of the image's config, and stays what the definition
means, within the policy for bases. The image may come from anywhere that still has it: the engine, roost's registries
or its own registry.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from roost.daemon.bases.naming import definition_tag, key_tag
from roost.daemon.bases.unmodified import UnmodifiedBases, parse_image_id
from roost.daemon.decision.facts import Facts, ImageFacts, RegistryAnswers, Request, short_digest
from roost.daemon.decision.images import (
    base_reasons,
    follows_moved_base,
    location_reason,
    preferred_location,
    unanswered_reasons,
)
from roost.daemon.decision.lock import new_generation_reason
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.estimates.estimator import Estimator, list_estimates
from roost.daemon.images.interpreters import ImageInterpreters, named_interpreter
from roost.daemon.images.layer_probe import LayerProbe
from roost.daemon.images.probe import ImageProbe
from roost.daemon.images.requests import empty_lock, image_key_of
from roost.daemon.oci.answers import No, Unknown, Yes
from roost.daemon.oci.platforms import image_platform, parse_platform
from roost.daemon.oci.references import parse_reference
from roost.model.definition import Base
from roost.model.errors import ServiceUnreachableError
from roost.model.locks.lock import digest_lock
from roost.model.records import BaseRecord, Generation
from roost.store.store import Store
from roost.wire.plans import Action, ArtifactView, PlanView, Reason, Step


class UnmodifiedImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image as the user named it, and what the engine has of it."""

    reference: str
    platform: str | None = None
    """``linux/arm64`` and the like, if the definition names it."""
    digest: str | None = None
    """Digest of the config; ``None`` if it is not known before the image is pulled."""
    built_for: str | None = None
    """The platform that the engine states for the image; ``None`` if the engine lacks it."""
    id: str | None = None
    """Id in the engine; ``None`` if the engine lacks the image."""
    bytes: int | None = None
    interpreter: str | None = None
    """Path of the interpreter in the image; ``None`` if none is named and none is there."""
    unknown: Reason | None = None
    """Code ``engine-unknown``: why it is not known whether the engine has the image."""
    unanswered: tuple[Reason, ...] = ()
    """Code ``registry-unknown``: registries that did not say which image the tag named for another machine first."""
    retagged: bool = False
    """Whether the engine has another image under that name by now."""

    @property
    def record(self) -> dict[str, object] | None:
        """What a run records as its interpreter."""
        return {"path": self.interpreter, "image": self.id} if self.id else None


class UnmodifiedImages:
    """Plans for definitions that are an unmodified image."""

    def __init__(
        self,
        store: Store,
        engines: Engines,
        bases: UnmodifiedBases,
        probe: ImageProbe,
        layer_probe: LayerProbe,
        interpreters: ImageInterpreters,
    ) -> None:
        self._index = store.index
        self._estimator = Estimator(store.index)
        self._engines = engines
        self._bases = bases
        self._probe = probe
        self._layer_probe = layer_probe
        self._interpreters = interpreters

    async def plan(
        self,
        target: str,
        resolved: TargetedDefinition,
        request: Request,
        generation: Generation | None,
        *,
        definition_known: bool,
        pinned: bool,
    ) -> tuple[PlanView, Facts, UnmodifiedImage]:
        """Decide: the image is in the engine, or is pulled. ``pinned``: that generation is requested, wherever the tag
        points now.

        Raises the engine's errors, ReferenceInvalidError, ImagePlatformError, InterpreterMissingError.
        """
        base = resolved.definition.base or Base()
        text = base.image or resolved.defaults.base_image
        image_id = parse_image_id(text)
        if image_id is None:
            parse_reference(text)
        if image_id is not None and generation is not None and generation.base_digest != image_id:
            generation = None  # of another image than the one with this id
        follows_tag = not pinned and image_id is None and generation is not None
        base_facts = ImageFacts(
            base_policy=self._probe.policy,
            current_base=await self._probe.find_current_base(resolved) if follows_tag else None,
        )
        image = await self._find(resolved, text, generation, base_facts)
        facts = Facts(
            platform=resolved.platform,
            definition_known=definition_known,
            generation=generation,
            lock_digest=digest_lock(empty_lock(resolved.platform)),
            interpreter=image.record,
            image=await self._locate(resolved, image, generation, base_facts),
        )
        location = preferred_location(facts.image)
        work = await self._layer_probe.find_pull_work(location.layers if location is not None else ())
        predicted = await self._estimator.predict([work])
        facts = msgspec.structs.replace(facts, estimates=list_estimates(predicted))
        return plan_unmodified(target, request, facts, image), facts, image

    async def _find(
        self, resolved: TargetedDefinition, text: str, generation: Generation | None, base_facts: ImageFacts
    ) -> UnmodifiedImage:
        """Find which image is meant, and what the engine has of it."""
        base = resolved.definition.base or Base()
        platform = str(parse_platform(base.platform)) if base.platform else None
        digest, unanswered = await self._find_digest(resolved, text, platform, generation, base_facts)
        engine, image_id = await self._engines.docker(), parse_image_id(text)
        try:
            named = image = await engine.images.find(image_id or text)
            if digest is not None and (named is None or named.id != digest):
                image = await engine.images.find(digest)
        except ServiceUnreachableError as error:
            unknown = Reason(code="engine-unknown", message=error.message)
            return UnmodifiedImage(
                reference=text, platform=platform, digest=digest, unanswered=unanswered, unknown=unknown
            )
        is_retagged = named is not None and named.id != digest and image_id is None
        found = UnmodifiedImage(
            reference=text, platform=platform, digest=digest, unanswered=unanswered, retagged=is_retagged
        )
        if image is None or digest is None:
            return found
        return msgspec.structs.replace(
            found,
            built_for=image.platform,
            id=image.id,
            bytes=image.bytes,
            interpreter=await self._interpreters.find(image.id, named_interpreter(resolved), image.variables),
        )

    async def _find_digest(
        self,
        resolved: TargetedDefinition,
        text: str,
        platform: str | None,
        generation: Generation | None,
        base_facts: ImageFacts,
    ) -> tuple[str | None, tuple[Reason, ...]]:
        """Return the digest of the image that is meant, and which registries did not answer: 1. the image that the tag
        names now, if the policy follows it; 2. the image that the id names, or the generation's; 3. the first one that
        a registry has for this definition; 4. the engine's; 5. that of the image's own registry."""
        if follows_moved_base(generation, base_facts) and isinstance(base_facts.current_base, Yes):
            return base_facts.current_base.value, ()
        recorded = parse_image_id(text) or (generation.base_digest if generation is not None else None)
        if recorded is not None:
            return recorded, ()
        lock_digest = digest_lock(empty_lock(resolved.platform))
        answers = await self._probe.ask_registries(definition_tag(resolved.digest, lock_digest))
        location = preferred_location(answers)
        if location is not None:
            return location.digest, ()
        named = await self._bases.find(text, image_platform(resolved.platform), platform)
        return named.digest if isinstance(named, BaseRecord) else None, tuple(unanswered_reasons(answers))

    async def _locate(
        self,
        resolved: TargetedDefinition,
        image: UnmodifiedImage,
        generation: Generation | None,
        base_facts: ImageFacts,
    ) -> ImageFacts:
        """Return where the image is. Registries are asked, by its content, if the engine lacks it: the image's own
        registry may have lost it."""
        engine = Unknown(image.unknown) if image.unknown else No()
        if image.digest is None:
            return msgspec.structs.replace(base_facts, engine=engine)
        lock_digest = digest_lock(empty_lock(resolved.platform))
        key = image_key_of(lock_digest, resolved.platform, image.digest, None)
        artifact = await self._index.artifacts.find_ready("image", key)
        record = await self._index.images.find(key)
        answers = RegistryAnswers()
        if image.id is None:
            answers = await self._probe.ask_registries(key_tag(key))
            if generation is None and preferred_location(answers) is None:
                answers = await self._probe.ask_registries(definition_tag(resolved.digest, lock_digest))
        return msgspec.structs.replace(
            base_facts,
            engine=engine,
            key=key,
            id=artifact.id if artifact and record else None,
            workspace=answers.workspace,
            catalogues=answers.catalogues,
        )


def plan_unmodified(target: str, request: Request, facts: Facts, image: UnmodifiedImage) -> PlanView:
    """Return the plan: a new generation if one is requested, else reuse or pull. Pure."""
    is_new = request.rebuild or request.as_of is not None
    action: Action = "build-image" if is_new else "reuse-image" if image.id else "pull-image"
    past, location = facts.estimates.get("pull"), preferred_location(facts.image)
    size = location.bytes if location else None
    # Of an image whose size nobody said, only past pulls tell how long it may take.
    seconds = past.seconds if past is not None and (size is not None or past.samples) else None
    step = Step(kind="pull", seconds=seconds, bytes=size)
    return PlanView(
        target=target,
        platform=facts.platform,
        action=action,
        artifact=_unmodified_view(image) if action == "reuse-image" else None,
        reasons=[new_generation_reason(request, facts)] if is_new else list(_reasons(facts, image)),
        steps=[] if action == "reuse-image" else [step],
    )


def _reasons(facts: Facts, image: UnmodifiedImage) -> Iterator[Reason]:
    yield Reason(code="user-managed", message=f"The image {image.reference} is used as it is")
    generation = facts.generation
    if generation is not None and not follows_moved_base(generation, facts.image):
        text = f"Generation {generation.number} of {generation.created[:10]} keeps {short_digest(image.digest or '')}"
        yield Reason(code="definition-known", message=text)
    yield from base_reasons(generation, facts.image)
    if image.retagged and generation is not None and facts.image.current_base is None:
        text = "The engine has another image under that name now; `roost build --rebuild` uses what its registry has, "
        yield Reason(code="base-moved", message=f"{text}or else the engine's image")
    if image.id:
        yield Reason(code="image-ready", message=f"The engine has it as {image.id[:19]}")
        yield from image.unanswered
        return
    yield image.unknown or Reason(code="image-missing", message="The engine does not have it")
    location = preferred_location(facts.image)
    if location is not None:
        yield location_reason(location, facts.image)
    yield from unanswered_reasons(facts.image)


def _unmodified_view(image: UnmodifiedImage) -> ArtifactView:
    return ArtifactView(kind="image", id=image.id or "", reference=image.reference, digest=image.id, bytes=image.bytes)
