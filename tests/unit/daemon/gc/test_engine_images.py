"""Images of roost in an engine: what of them is removed, and what an engine that refuses or is silent leaves."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from roost.daemon.engines.docker.errors import EngineError, EngineUnreachableError
from roost.daemon.gc.engine_images import ImagesInEngine
from roost.model.caches import Kept
from roost.model.records import Artifact, ImageRecord

ARTIFACT = Artifact(id="i-1", kind="image", key="k", platform="linux-64", state="ready", path="roost/x:k", bytes=7)
IMAGE = ImageRecord(
    key="k", config_digest="sha256:c", definition_digest="d", lock_digest="l", platform="linux-64", base_digest="b",
    name="roost/x:k",
)  # fmt: skip


class Engine:
    """``is_last``: whether roost's name is the last one. ``failure``: what the removal raises."""

    def __init__(self, *, is_last=True, failure=None):
        self.is_last, self.failure, self.removed = is_last, failure, []

    async def is_last_name(self, image_id, reference):
        return self.is_last

    async def remove(self, image_id, reference, pulled=()):
        if self.failure is not None:
            raise self.failure
        self.removed.append((image_id, reference, *pulled))
        return self.is_last


class Rows:
    def __init__(self, protections=(), image=IMAGE):
        self.protections, self.image, self.deleted = protections, image, []

    async def find(self, key):
        return ARTIFACT if key == ARTIFACT.id else self.image

    async def list_all(self):
        return [ARTIFACT]

    async def list_protections(self, artifact_id):
        return self.protections

    async def delete(self, artifact_id):
        self.deleted.append(artifact_id)


def images_of(engine, uses=None, protections=(), image=IMAGE):
    rows = Rows(protections, image)

    async def docker():
        return SimpleNamespace(images=engine)

    async def find_images_in_use():
        if isinstance(uses, Exception):
            raise uses
        return uses or {}

    index = SimpleNamespace(artifacts=rows, images=rows)
    return ImagesInEngine(index, SimpleNamespace(docker=docker), find_images_in_use), rows


async def test_the_name_that_roost_gave_goes_with_the_row():
    engine = Engine()
    images, rows = images_of(engine)
    assert await images.remove("i-1") == 7
    assert engine.removed == [("sha256:c", "roost/x:k")]
    assert rows.deleted == ["i-1"]


async def test_an_image_that_the_user_named_too_frees_nothing():
    images, rows = images_of(Engine(is_last=False))
    assert await images.remove("i-1") == 0
    assert rows.deleted == ["i-1"]


@pytest.mark.parametrize(
    ("engine", "uses", "protections", "reason"),
    [
        (Engine(), {"sha256:c": ("container:abc",)}, (), "container:abc"),
        (Engine(), EngineUnreachableError("away"), (), "unknown:the engine does not answer"),
        (Engine(), {}, ("pin",), "pin"),
        (Engine(failure=EngineUnreachableError("away")), {}, (), "unknown:the engine does not answer"),
        (Engine(failure=EngineError("container abc uses it")), {}, (), "container abc uses it"),
    ],
)
async def test_what_is_used_or_can_not_be_told_stays_with_its_row(engine, uses, protections, reason):
    images, rows = images_of(engine, uses, protections)
    assert await images.remove("i-1") == Kept(reason=reason)
    assert (engine.removed, rows.deleted) == ([], [])


@pytest.mark.parametrize(
    ("is_last", "places", "freed"),
    [(True, {}, Kept(reason="foreign")), (False, {}, 0), (True, {"registry/images:k": "sha256:m"}, 7)],
)
async def test_an_image_that_others_made_stays_unless_it_has_another_name_or_a_registry_has_it(is_last, places, freed):
    image = msgspec.structs.replace(IMAGE, base_digest=IMAGE.config_digest, registry_digests=places)
    images, rows = images_of(Engine(is_last=is_last), image=image)
    assert await images.remove("i-1") == freed
    assert rows.deleted == ([] if isinstance(freed, Kept) else ["i-1"])


async def test_the_end_of_a_root_ends_pins_and_leases_but_no_use():
    images, _ = images_of(Engine(), protections=("pin", "lease:l-1"))
    assert await images.remove_all() == {ARTIFACT.path: 7}
    images, _ = images_of(Engine(), {"sha256:c": ("container:abc",)})
    assert await images.remove_all() == {ARTIFACT.path: Kept(reason="container:abc")}


async def test_the_name_by_which_the_engine_pulled_it_goes_too():
    engine = Engine()
    images, _ = images_of(
        engine, image=msgspec.structs.replace(IMAGE, registry_digests={"host.example/a:1": "sha256:m"})
    )
    await images.remove("i-1")
    assert engine.removed == [("sha256:c", "roost/x:k", "host.example/a@sha256:m")]
