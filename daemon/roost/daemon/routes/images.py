"""Routes of images: list them, describe one, remove all. Pushing and pulling are builds."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from roost.daemon.decision.facts import Request
from roost.daemon.engines.engine_set import Engines
from roost.daemon.gc.texts import describe_protection
from roost.daemon.planning.image_details import ImageDetails, describe_image
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES
from roost.model.caches import Kept
from roost.model.errors import ServiceUnreachableError
from roost.model.records import ImageRecord
from roost.wire.collection import ImagesRemoval
from roost.wire.plans import EnvironmentSelector


class ImageShowRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Describe the image of an environment."""

    what: EnvironmentSelector
    target: str = "docker"


class ImageRow(msgspec.Struct, kw_only=True):
    """An image that was built or pulled on this machine."""

    name: str
    digest: str
    platform: str
    definition_digest: str
    lock_digest: str
    created: str
    in_engine: bool | None
    """``None``: the engine does not answer."""
    bytes: int | None
    places: dict[str, str]
    """Reference in a registry, where the image was pushed to or pulled from, to the digest of its manifest there."""


class ImagesResponse(msgspec.Struct, kw_only=True):
    images: list[ImageRow]


async def show_image(call: Call[ImageShowRequest]) -> ImageDetails:
    services, body = call.app[SERVICES], call.body
    found = await services.resolver.resolve(body.what)
    request = Request(definition=found.definition, target=body.target)
    resolved, selector = await services.resolver.target(found, request, body.what)
    planned = await services.planner.plan(resolved, request, selector)
    return await describe_image(services.store.index, services.planner.image_probe, resolved, planned)


async def list_images(call: Call[None]) -> ImagesResponse:
    services = call.app[SERVICES]
    images = await services.store.index.images.list_all()
    sizes = await _find_sizes(services.engines, images) if images else {}
    return ImagesResponse(images=[_view_image(image, sizes) for image in images])


async def remove_images(call: Call[None]) -> ImagesRemoval:
    done = await call.app[SERVICES].engine_images.remove_all()
    kept = {name: describe_protection((each.reason,)) for name, each in done.items() if isinstance(each, Kept)}
    return ImagesRemoval(removed=[name for name in done if name not in kept], kept=kept)


async def _find_sizes(engines: Engines, images: Iterable[ImageRecord]) -> dict[str, int] | None:
    """Return config digest to bytes for the images that the engine has; ``None`` if the engine does not answer."""
    sizes: dict[str, int] = {}
    try:
        engine = await engines.docker()
        for image in images:
            found = await engine.images.find(image.config_digest)
            if found is not None:
                sizes[image.config_digest] = found.bytes
    except ServiceUnreachableError:
        return None
    return sizes


def _view_image(image: ImageRecord, sizes: dict[str, int] | None) -> ImageRow:
    return ImageRow(
        name=image.name,
        digest=image.config_digest,
        platform=image.platform,
        definition_digest=image.definition_digest,
        lock_digest=image.lock_digest,
        created=image.created,
        in_engine=None if sizes is None else image.config_digest in sizes,
        bytes=(sizes or {}).get(image.config_digest),
        places=image.registry_digests,
    )


ROUTES_IMAGES = [
    Route("GET", "/v1/images", list_images, response=ImagesResponse, summary="Images that were built or pulled here"),
    Route(
        "DELETE",
        "/v1/images",
        remove_images,
        response=ImagesRemoval,
        summary="Remove all images that roost made or fetched from the engine, pinned ones too",
    ),
    Route(
        "POST",
        "/v1/images/show",
        show_image,
        request=ImageShowRequest,
        response=ImageDetails,
        summary="What the image of a definition is, and where",
    ),
]
