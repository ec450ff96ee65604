"""What there is to say of one image: where it is, what it is made of, and where in it things are."""

from __future__ import annotations

import asyncio

import msgspec

from roost.daemon.bases.naming import key_tag
from roost.daemon.decision.facts import ImageLocation
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.layers.grouping import PREFIX_IN_IMAGE
from roost.daemon.oci.answers import Answer, Unknown, Yes
from roost.daemon.oci.references import parse_reference
from roost.daemon.planning.planner import PlanWithFacts
from roost.daemon.services import Services
from roost.model.definition import Base, Defaults, Definition
from roost.model.errors import InvalidDefinitionError
from roost.model.records import ImageLayer, ImageRecord
from roost.store.sources.files import LocalFiles
from roost.wire.plans import Reason


class PythonDetails(msgspec.Struct, kw_only=True):
    """The Python environment as the definition has it."""

    user_managed: bool
    channels: list[str]
    conda: list[str]
    pip: list[str]


class ImageDetails(msgspec.Struct, kw_only=True):
    """What Azure's ``get_image_details`` tells, and the digests and layers. ``None``: not known, or not there yet."""

    exists_in_registry: bool | None
    """``None``: a registry that may have it can't be asked."""
    exists_in_engine: bool | None
    registry: str | None
    repository: str | None
    image: str | None
    """Its name in the engine, else its reference in the registry."""
    reference: str | None
    """In the registry."""
    digest: str | None
    """Of the config."""
    manifest_digest: str | None
    interpreter_path: str | None
    environment_path: str | None
    dockerfile: str
    python: PythonDetails
    definition_digest: str
    lock_digest: str | None
    generation: int | None
    platform: str
    base_digest: str | None
    steps_digest: str | None
    layers: list[ImageLayer]
    """From the bottom; those of the base name no packages."""
    reasons: list[Reason]


async def details(work: Services, resolved: TargetedDefinition, planned: PlanWithFacts) -> ImageDetails:
    """Everything about the image that ``planned`` is for."""
    facts = planned.facts
    kept = await _kept(work, planned)
    answers = await _in_registries(work, planned)
    place = next((answer.value for answer in answers if isinstance(answer, Yes)), None)
    reference = place.reference if place else None
    generation = facts.generation
    user = planned.unmodified_image
    environment = PREFIX_IN_IMAGE if kept is not None and kept.interpreter == f"{PREFIX_IN_IMAGE}/bin/python" else None
    own = kept.config_digest if kept else (user.id if user else None)
    return ImageDetails(
        exists_in_registry=_exists(answers, unknown=_unasked(planned)),
        exists_in_engine=_in_engine(planned),
        registry=parse_reference(reference).host if reference else None,
        repository=parse_reference(reference).repository if reference else None,
        image=kept.name if kept else (user.reference if user else reference),
        reference=reference,
        digest=own or (place.digest if place else None),
        manifest_digest=place.manifest_digest if place else None,
        interpreter_path=user.interpreter if user else facts.image.interpreter or (kept.interpreter if kept else None),
        environment_path=environment,
        dockerfile=await asyncio.to_thread(dockerfile_of, resolved.definition, resolved.defaults),
        python=_python(resolved.definition, resolved.defaults),
        definition_digest=resolved.digest,
        lock_digest=facts.lock_digest,
        generation=generation.number if generation else None,
        platform=resolved.platform,
        base_digest=generation.base_digest if generation else None,
        steps_digest=generation.steps_digest if generation else None,
        layers=list(kept.layers) if kept else [],
        reasons=planned.plan.reasons,
    )


async def _kept(work: Services, planned: PlanWithFacts) -> ImageRecord | None:
    key = planned.facts.image.key
    return await work.store.index.images.find(key) if key is not None else None


async def _in_registries(work: Services, planned: PlanWithFacts) -> list[Answer[ImageLocation]]:
    """A plan that reuses what the engine has did not ask them."""
    image = planned.facts.image
    if not _in_engine(planned) or image.key is None:
        return [answer for answer in (image.workspace, *image.catalogues) if answer is not None]
    workspace, catalogues = await work.planner.image_probe.in_registries(key_tag(image.key))
    return [answer for answer in (workspace, *catalogues) if answer is not None]


def _unasked(planned: PlanWithFacts) -> bool:
    """Without a lock, or the digest of an image that is taken as it is, nothing could be asked for: where a registry
    may have that, it may have the image as well."""
    user = planned.unmodified_image
    unknown = user is not None and user.digest is None and bool(user.unanswered)
    return unknown or planned.facts.registry_unknown is not None


def _exists(answers: list[Answer[ImageLocation]], *, unknown: bool) -> bool | None:
    if any(isinstance(answer, Yes) for answer in answers):
        return True
    return None if unknown or any(isinstance(answer, Unknown) for answer in answers) else False


def _in_engine(planned: PlanWithFacts) -> bool | None:
    user = planned.unmodified_image
    if user is not None:
        return None if user.unknown is not None else user.id is not None
    answer = planned.facts.image.engine
    return None if isinstance(answer, Unknown) else isinstance(answer, Yes)


def _python(definition: Definition, defaults: Defaults) -> PythonDetails:
    conda = [*definition.conda.dependencies, *(url for urls in definition.conda.explicit.values() for url in urls)]
    return PythonDetails(
        user_managed=definition.python.user_managed,
        channels=list(definition.conda.channels or defaults.channels) if conda else [],
        conda=conda,
        pip=[item.text for item in definition.pip.requirements],
    )


def dockerfile_of(definition: Definition, defaults: Defaults) -> str:
    """The first of the two steps as a Dockerfile: what the second adds no Dockerfile does. Blocks for a context."""
    base = definition.base or Base()
    if base.dockerfile is not None:
        return base.dockerfile
    if base.context is not None:
        try:
            return LocalFiles().read(f"{base.context_path}/Dockerfile").decode()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidDefinitionError(f"{base.context_path}/Dockerfile can't be read: {error}") from error
    return "\n".join([f"FROM {base.image or defaults.base_image}", *base.steps]) + "\n"
