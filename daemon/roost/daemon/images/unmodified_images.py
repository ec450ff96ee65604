"""Images that bring their own Python and are taken as they are: ``--image REF``, and definitions that name a base image
and nothing to put on top of it.

What the tag named first is recorded in a generation, by the digest of its config, and stays what the definition means:
by the policy of bases, and from wherever it is still to be had, the engine, roost's registries or its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from roost.daemon.bases.naming import definition_tag, key_tag
from roost.daemon.bases.unmodified import UnmodifiedBases, parse_image_id
from roost.daemon.decision.facts import Facts, ImageFacts, Request, short_digest
from roost.daemon.decision.images import IMAGE_STEP_KINDS, base_reasons, follows_moved_base, preferred_location
from roost.daemon.decision.lock import new_generation_reason
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.images.facts import ImageProbe
from roost.daemon.images.interpreters import ImageInterpreters, named_interpreter
from roost.daemon.images.requests import key_of
from roost.daemon.oci.answers import No, Unknown, Yes
from roost.daemon.oci.platforms import image_platform, parse_platform
from roost.daemon.oci.references import parse_reference
from roost.model.definition import Base
from roost.model.errors import ServiceUnreachableError
from roost.model.locks.lock import CondaPython, Lock, digest_lock
from roost.model.records import BaseRecord
from roost.store.store import Store
from roost.wire.plans import Action, ArtifactView, PlanView, Reason, Step


class UnmodifiedImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image as the user named it, and what the engine has of it."""

    reference: str
    platform: str | None = None
    """``linux/arm64`` and the like, where the definition asks for it."""
    digest: str | None = None
    """Of its config; ``None``: not known before it is pulled."""
    built_for: str | None = None
    """What the engine says it is for; ``None``: the engine lacks it."""
    id: str | None = None
    """``None``: the engine lacks it."""
    bytes: int | None = None
    interpreter: str | None = None
    """Its path in the image; ``None`` where nothing was named and nothing is there."""
    unknown: Reason | None = None
    """Why it is not known whether the engine has it: code ``engine-unknown``."""
    unanswered: tuple[Reason, ...] = ()
    """Code ``registry-unknown``: who could not be asked whether this was another image for somebody before."""
    retagged: bool = False
    """The engine has another image under that name by now."""

    @property
    def record(self) -> dict[str, object] | None:
        """What a run keeps of the interpreter."""
        return {"path": self.interpreter, "image": self.id} if self.id else None


def nothing_on_top(platform: str) -> Lock:
    """The lock of an image as it is: of no packages, which makes its generations like all others."""
    return Lock(platform=platform, provider=CondaPython())


class UnmodifiedImages:
    """Finds them."""

    def __init__(
        self,
        store: Store,
        engines: Engines,
        bases: UnmodifiedBases,
        image_probe: ImageProbe,
        interpreters: ImageInterpreters,
    ) -> None:
        self._index = store.index
        self._engines = engines
        self._bases = bases
        self._image_probe = image_probe
        self._interpreters = interpreters

    async def plan(
        self, target: str, resolved: TargetedDefinition, request: Request, facts: Facts, *, exact: bool
    ) -> tuple[PlanView, Facts, UnmodifiedImage]:
        """The decision: the image is there, or is pulled. ``exact``: that generation, wherever its tag went.

        Raises the engine's errors, ReferenceInvalidError, ImagePlatformError, InterpreterMissingError."""
        base = resolved.definition.base or Base()
        text = base.image or resolved.defaults.base_image
        if parse_image_id(text) is None:
            parse_reference(text)
        estimates = await self._index.durations.estimate(list(IMAGE_STEP_KINDS))
        facts = msgspec.structs.replace(
            facts, lock_digest=digest_lock(nothing_on_top(resolved.platform)), estimates=estimates
        )
        facts = await self._with_base(facts, resolved, text, exact=exact)
        image = await self._in_engine(await self._found(facts, resolved, text), resolved)
        facts = await self._with_places(facts, resolved, image)
        facts = msgspec.structs.replace(facts, interpreter=image.record)
        return plan_of(target, resolved.platform, request, facts, image), facts, image

    async def _with_base(self, facts: Facts, resolved: TargetedDefinition, text: str, *, exact: bool) -> Facts:
        """What the tag names now where the policy cares, and the generation only if it is of that very image."""
        own, generation = parse_image_id(text), facts.generation
        if own is not None and generation is not None and generation.base_digest != own:
            return msgspec.structs.replace(facts, generation=None)
        now = None
        if not exact and own is None and generation is not None:
            now = await self._image_probe.base_now(resolved)
        image = ImageFacts(base_policy=self._image_probe.policy, current_base=now)
        return msgspec.structs.replace(facts, image=image)

    async def _found(self, facts: Facts, resolved: TargetedDefinition, text: str) -> UnmodifiedImage:
        """Which image it is: the generation's, else the first one's that the registries know, else the engine's, else
        that of its own registry."""
        base = resolved.definition.base or Base()
        wanted = str(parse_platform(base.platform)) if base.platform else None
        found = UnmodifiedImage(reference=text, platform=wanted)
        generation = facts.generation
        if follows_moved_base(facts) and isinstance(facts.image.current_base, Yes):
            return msgspec.structs.replace(found, digest=facts.image.current_base.value)
        pinned = parse_image_id(text) or (generation.base_digest if generation is not None else None)
        if pinned is not None:
            return msgspec.structs.replace(found, digest=pinned)
        tag = definition_tag(resolved.digest, facts.lock_digest or "")
        asked = await self._asked(tag)
        place = preferred_location(asked)
        if place is not None:
            return msgspec.structs.replace(found, digest=place.digest)
        found = msgspec.structs.replace(found, unanswered=tuple(_unanswered(asked)))
        named = await self._bases.find(text, image_platform(resolved.platform), wanted)
        if isinstance(named, BaseRecord):
            return msgspec.structs.replace(found, digest=named.digest)
        return found

    async def _in_engine(self, found: UnmodifiedImage, resolved: TargetedDefinition) -> UnmodifiedImage:
        engine, own = await self._engines.docker(), parse_image_id(found.reference)
        try:
            named = image = await engine.images.find(own or found.reference)
            if found.digest is not None and (named is None or named.id != found.digest):
                image = await engine.images.find(found.digest)
        except ServiceUnreachableError as error:
            return msgspec.structs.replace(found, unknown=Reason(code="engine-unknown", message=error.message))
        found = msgspec.structs.replace(found, retagged=named is not None and named.id != found.digest and own is None)
        if image is None or found.digest is None:
            return found
        return msgspec.structs.replace(
            found,
            built_for=image.platform,
            id=image.id,
            bytes=image.bytes,
            interpreter=await self._interpreters.find(image.id, named_interpreter(resolved), image.variables),
        )

    async def _with_places(self, facts: Facts, resolved: TargetedDefinition, image: UnmodifiedImage) -> Facts:
        """Registries are asked for what the engine lacks, by content: its own registry may have lost it."""
        found = msgspec.structs.replace(facts.image, engine=Unknown(image.unknown) if image.unknown else No())
        if image.digest is not None:
            key = key_of(facts.lock_digest or "", resolved.platform, image.digest, None)
            artifact = await self._index.artifacts.find_ready("image", key)
            kept = await self._index.images.find(key)
            found = msgspec.structs.replace(found, key=key, id=artifact.id if artifact and kept else None)
            if image.id is None:
                asked = await self._asked(key_tag(key))
                if facts.generation is None and preferred_location(asked) is None:
                    asked = await self._asked(definition_tag(resolved.digest, facts.lock_digest or ""))
                found = msgspec.structs.replace(found, workspace=asked.workspace, catalogues=asked.catalogues)
        return msgspec.structs.replace(facts, image=found)

    async def _asked(self, tag: str) -> ImageFacts:
        workspace, catalogues = await self._image_probe.in_registries(tag)
        return ImageFacts(workspace=workspace, catalogues=catalogues)


def plan_of(target: str, platform: str, request: Request, facts: Facts, image: UnmodifiedImage) -> PlanView:
    """Pure."""
    anew = request.rebuild or request.as_of is not None
    action: Action = "build-image" if anew else "reuse-image" if image.id else "pull-image"
    past, place = facts.estimates.get("pull"), preferred_location(facts.image)
    seconds, size = (past.seconds, past.bytes) if past else (None, None)
    step = Step(kind="pull", seconds=seconds, bytes=place.bytes if place and place.bytes else size)
    return PlanView(
        target=target,
        platform=platform,
        action=action,
        artifact=_artifact(image) if action == "reuse-image" else None,
        reasons=[new_generation_reason(request, facts)] if anew else list(_reasons(facts, image)),
        steps=[] if action == "reuse-image" else [step],
    )


def _reasons(facts: Facts, image: UnmodifiedImage) -> Iterator[Reason]:
    yield Reason(code="user-managed", message=f"The image {image.reference} is used as it is")
    generation = facts.generation
    if generation is not None and not follows_moved_base(facts):
        told = f"Generation {generation.number} of {generation.created[:10]} keeps {short_digest(image.digest or '')}"
        yield Reason(code="definition-known", message=told)
    yield from base_reasons(facts)
    if image.retagged and generation is not None and facts.image.current_base is None:
        told = "The engine has another image under that name now; `roost build --rebuild` takes what its registry has, "
        yield Reason(code="base-moved", message=f"{told}or the engine's where that has none")
    if image.id:
        yield Reason(code="image-ready", message=f"The engine has it as {image.id[:19]}")
        yield from image.unanswered
        return
    yield image.unknown or Reason(code="image-missing", message="The engine does not have it")
    place = preferred_location(facts.image)
    if place is not None:
        code = "image-in-registry" if isinstance(facts.image.workspace, Yes) else "image-in-catalogue"
        yield Reason(code=code, message=f"{place.reference} has it")
    yield from _unanswered(facts.image)


def _unanswered(image: ImageFacts) -> Iterator[Reason]:
    for answer in (image.workspace, *image.catalogues):
        if isinstance(answer, Unknown):
            yield Reason(code="registry-unknown", message=answer.reason.message)


def _artifact(image: UnmodifiedImage) -> ArtifactView:
    return ArtifactView(kind="image", id=image.id or "", reference=image.reference, digest=image.id, bytes=image.bytes)
