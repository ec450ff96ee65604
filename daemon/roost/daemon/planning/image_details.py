"""Details of one image: its location, its layers, and the paths in it."""

from __future__ import annotations

import asyncio

import msgspec

from roost.daemon.bases.naming import key_tag
from roost.daemon.decision.facts import RegistryAnswers
from roost.daemon.decision.images import preferred_location
from roost.daemon.definitions.resolved import TargetedDefinition
from roost.daemon.images.probe import ImageProbe
from roost.daemon.layers.grouping import PREFIX_IN_IMAGE
from roost.daemon.oci.answers import Unknown, Yes
from roost.daemon.oci.references import parse_reference
from roost.daemon.planning.planner import PlanWithFacts
from roost.model.definition import Base, Defaults, Definition
from roost.model.documents.dockerfile import DOCKERFILE
from roost.model.errors import InvalidDefinitionError
from roost.model.records import ImageLayer
from roost.store.index.index import Index
from roost.store.sources.files import LocalFiles
from roost.wire.plans import Reason


class PythonDetails(msgspec.Struct, kw_only=True):
    """The Python environment as the definition states it."""

    user_managed: bool
    channels: list[str]
    conda: list[str]
    pip: list[str]


class ImageDetails(msgspec.Struct, kw_only=True):
    """The fields of Azure's ``get_image_details``, and digests and layers. ``None``: unknown, or not there yet."""

    exists_in_registry: bool | None
    """``None`` if a registry that may have it did not answer."""
    exists_in_engine: bool | None
    registry: str | None
    repository: str | None
    image: str | None
    """Name in the engine, else the reference in the registry."""
    reference: str | None
    """Reference in the registry."""
    digest: str | None
    """Digest of the config."""
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
    """Lowest first; layers of the base name no packages."""
    reasons: list[Reason]


async def describe_image(
    index: Index, probe: ImageProbe, resolved: TargetedDefinition, planned: PlanWithFacts
) -> ImageDetails:
    """Return everything about the image that ``planned`` is for."""
    facts, unmodified = planned.facts, planned.unmodified_image
    key, generation = facts.image.key, facts.generation
    record = await index.images.find(key) if key is not None else None
    in_engine = _is_in_engine(planned)
    # A plan that reuses what the engine has did not ask the registries.
    answers = await probe.ask_registries(key_tag(key)) if in_engine and key is not None else facts.image
    location = preferred_location(answers)
    reference = location.reference if location else None
    image_reference = unmodified.reference if unmodified else reference
    own_digest = record.config_digest if record else (unmodified.id if unmodified else None)
    has_prefix = record is not None and record.interpreter == f"{PREFIX_IN_IMAGE}/bin/python"
    interpreter = planned.image_interpreter or (record.interpreter if record else None)
    return ImageDetails(
        exists_in_registry=_is_in_registry(answers, planned),
        exists_in_engine=in_engine,
        registry=parse_reference(reference).host if reference else None,
        repository=parse_reference(reference).repository if reference else None,
        image=record.name if record else image_reference,
        reference=reference,
        digest=own_digest or (location.digest if location else None),
        manifest_digest=location.manifest_digest if location else None,
        interpreter_path=unmodified.interpreter if unmodified else interpreter,
        environment_path=PREFIX_IN_IMAGE if has_prefix else None,
        dockerfile=await asyncio.to_thread(read_dockerfile, resolved.definition, resolved.defaults),
        python=_python_details(resolved.definition, resolved.defaults),
        definition_digest=resolved.digest,
        lock_digest=facts.lock_digest,
        generation=generation.number if generation else None,
        platform=resolved.platform,
        base_digest=generation.base_digest if generation else None,
        steps_digest=generation.steps_digest if generation else None,
        layers=list(record.layers) if record else [],
        reasons=planned.plan.reasons,
    )


def _is_in_registry(answers: RegistryAnswers, planned: PlanWithFacts) -> bool | None:
    """Whether a registry has the image; ``None`` if one that may have it did not answer.

    Without a lock, or without the digest of an unmodified image, registries can't be asked for the image: one that did
    not answer whether it has those may have the image as well.
    """
    if preferred_location(answers) is not None:
        return True
    unmodified = planned.unmodified_image
    lacks_digest = unmodified is not None and unmodified.digest is None and bool(unmodified.unanswered)
    is_unanswered = any(isinstance(answer, Unknown) for answer in (answers.workspace, *answers.catalogues))
    return None if lacks_digest or planned.facts.registry_unknown is not None or is_unanswered else False


def _is_in_engine(planned: PlanWithFacts) -> bool | None:
    unmodified = planned.unmodified_image
    if unmodified is not None:
        return None if unmodified.unknown is not None else unmodified.id is not None
    answer = planned.facts.image.engine
    return None if isinstance(answer, Unknown) else isinstance(answer, Yes)


def _python_details(definition: Definition, defaults: Defaults) -> PythonDetails:
    conda = [*definition.conda.dependencies, *(url for urls in definition.conda.explicit.values() for url in urls)]
    return PythonDetails(
        user_managed=definition.python.user_managed,
        channels=list(definition.conda.channels or defaults.channels) if conda else [],
        conda=conda,
        pip=[item.text for item in definition.pip.requirements],
    )


def read_dockerfile(definition: Definition, defaults: Defaults) -> str:
    """Return the base and the docker steps as a Dockerfile; roost's own layers are not in it. Blocks for a context."""
    base = definition.base or Base()
    if base.dockerfile is not None:
        return base.dockerfile
    if base.context is not None:
        path = f"{base.context_path}/{base.dockerfile_path or DOCKERFILE}"
        try:
            return LocalFiles().read(path).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidDefinitionError(f"{path} can't be read: {error}") from error
    return "\n".join([f"FROM {base.image or defaults.base_image}", *base.steps]) + "\n"
