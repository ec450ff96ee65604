"""Routes about images: what one is, and which there are. Pushing and pulling are builds."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from roost.daemon.decision.facts import Request
from roost.daemon.definitions.resolved import target_definition
from roost.daemon.planning.image_details import ImageDetails, describe_image
from roost.daemon.server.routing import Call, Route
from roost.daemon.services import SERVICES, Services
from roost.model.errors import ServiceUnreachableError
from roost.model.records import ImageRecord
from roost.wire.plans import EnvironmentSelector


class ImageShowRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    what: EnvironmentSelector
    target: str = "docker"


class ImageRow(msgspec.Struct, kw_only=True):
    """An image that was made or pulled here."""

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
    """Reference in a registry to the manifest's digest there, as it was pushed or pulled."""


class ImagesResponse(msgspec.Struct, kw_only=True):
    images: list[ImageRow]


async def show_image(call: Call[ImageShowRequest]) -> ImageDetails:
    work, body = call.app[SERVICES], call.body
    found = await work.resolver.resolve(body.what)
    request = Request(definition=found.definition, target=body.target)
    resolved = target_definition(found, request)
    what = await work.resolver.pin(resolved, body.what)
    planned = await work.planner.plan(resolved, request, what)
    return await describe_image(work.store.index, work.planner.image_probe, resolved, planned)


async def list_images(call: Call[None]) -> ImagesResponse:
    work = call.app[SERVICES]
    images = await work.store.index.images.list_all()
    there = await _in_engine(work, images) if images else {}
    return ImagesResponse(images=[_row(image, there) for image in images])


async def _in_engine(work: Services, images: Iterable[ImageRecord]) -> dict[str, int] | None:
    """Config digest to bytes of those that the engine has; ``None``: it does not answer."""
    found: dict[str, int] = {}
    try:
        engine = await work.engines.docker()
        for image in images:
            seen = await engine.images.find(image.config_digest)
            if seen is not None:
                found[image.config_digest] = seen.bytes
    except ServiceUnreachableError:
        return None
    return found


def _row(image: ImageRecord, there: dict[str, int] | None) -> ImageRow:
    return ImageRow(
        name=image.name,
        digest=image.config_digest,
        platform=image.platform,
        definition_digest=image.definition_digest,
        lock_digest=image.lock_digest,
        created=image.created,
        in_engine=None if there is None else image.config_digest in there,
        bytes=(there or {}).get(image.config_digest),
        places=image.registry_digests,
    )


ROUTES_IMAGES = [
    Route("GET", "/v1/images", list_images, response=ImagesResponse, summary="Images that were made or pulled here"),
    Route(
        "POST",
        "/v1/images/show",
        show_image,
        request=ImageShowRequest,
        response=ImageDetails,
        summary="What the image of a definition is, and where",
    ),
]
