"""Images of registries: what they state about themselves is checked before a layer of them is fetched."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from roost.daemon.bases.bases import Bases
from roost.daemon.bases.naming import LABEL_BASE, LABEL_KEY, LABEL_STEPS, content_tag, engine_reference
from roost.daemon.bases.registry_images import RegistryImage, read_registry_image
from roost.daemon.engines.engine_set import Engines
from roost.daemon.images.config import packages_of_layers
from roost.daemon.images.requests import INTERPRETER, PullRequest, image_key_of
from roost.daemon.oci.answers import Yes
from roost.daemon.oci.platforms import image_platform
from roost.daemon.oci.references import Reference, parse_reference
from roost.model.errors import BuildError, CodedError
from roost.model.locks.lock import digest_lock
from roost.model.records import BaseRecord, ImageLayer, ImageRecord
from roost.store.index.index import Index


class ImageWrongError(BuildError):
    """The image under a tag of roost in a registry is not the one that the tag stands for."""

    code = "image-wrong"


class FoundImage(msgspec.Struct, frozen=True, kw_only=True):
    """An image of a registry that passed all checks, and is not fetched yet."""

    registry: RegistryImage
    image: ImageRecord
    record: BaseRecord


async def find_image(engines: Engines, bases: Bases, request: PullRequest) -> FoundImage:
    """Return the requested image of a registry. Raises ImageWrongError if it disappeared or is not what is
    requested."""
    reference = parse_reference(request.location.reference)
    answer = await read_registry_image(engines, reference)
    if not isinstance(answer, Yes):
        raise ImageWrongError(f"{reference} no longer exists", hint="Try again.")
    found = answer.value
    image = _checked_record(request, found)
    pinned = reference.with_digest(found.manifest_digest)
    record = await bases.resolver.find_in_registry(pinned, image_platform(request.lock.platform))
    if not isinstance(record, BaseRecord) or record.digest != found.digest:
        raise ImageWrongError(f"{pinned} can no longer be read", hint="Try again.")
    layers = tuple(
        ImageLayer(diff_id=layer.diff_id, size=layer.size, packages=packages)
        for layer, packages in zip(record.layers, packages_of_layers(record.config), strict=True)
    )
    return FoundImage(registry=found, image=msgspec.structs.replace(image, layers=layers), record=record)


def _checked_record(request: PullRequest, found: RegistryImage) -> ImageRecord:
    """Return the record of the image.

    Raises ImageWrongError if the image is not one of this lock, is not on the base that the generation has, or
    contradicts its own key. An unmodified image has no labels: it is the base that the generation has, or that of
    whoever pushed it first.
    """
    lock_digest, platform, generation = digest_lock(request.lock), request.lock.platform, request.generation
    base, steps = found.labels.get(LABEL_BASE, ""), found.labels.get(LABEL_STEPS)
    stated_key = found.labels.get(LABEL_KEY)
    if request.is_unmodified:
        recorded = generation.base_digest if generation is not None else None
        base, steps = recorded or found.digest, None
        stated_key = image_key_of(lock_digest, platform, found.digest, None)
    key = image_key_of(lock_digest, platform, base, steps)
    requested_key = key
    if generation is not None and generation.base_digest is not None:
        requested_key = image_key_of(lock_digest, platform, generation.base_digest, generation.steps_digest)
    if stated_key != key or requested_key != key or found.digest != request.location.digest:
        raise ImageWrongError(
            f"{found.reference} is not the image of this lock, though its tag says so",
            hint="It was not used. Check it, or build with `roost build --rebuild`.",
        )
    return ImageRecord(
        key=key,
        config_digest=found.digest,
        definition_digest=request.definition_digest,
        lock_digest=lock_digest,
        platform=platform,
        base_digest=base,
        steps_digest=steps,
        name=engine_reference(request.name, key),
        interpreter=INTERPRETER if request.lock.conda else None,
        registry_digests={found.reference: found.manifest_digest},
    )


async def record_base(index: Index, bases: Bases, repository: Reference, image: ImageRecord) -> None:
    """Record what the image's own layers were put on, if it lies beside the image in the registry: with it, the image
    can be built again here. Errors are ignored: the image is ready without it."""
    digest = image.steps_digest or image.base_digest
    recorded = await index.bases.find(digest)
    if recorded is not None and recorded.config:
        return
    with suppress(CodedError):
        reference = repository.with_tag(content_tag(digest))
        found = await bases.resolver.find_in_registry(reference, image_platform(image.platform))
        if isinstance(found, BaseRecord) and found.digest == digest:
            below = image.base_digest if image.steps_digest else None
            await index.bases.put(msgspec.structs.replace(found, below=below))
