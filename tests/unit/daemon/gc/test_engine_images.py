"""Images of roost in an engine: what of them is removed, and what an engine that refuses or is silent leaves."""

from __future__ import annotations

from types import SimpleNamespace

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

    async def remove(self, image_id, reference):
        if self.failure is not None:
            raise self.failure
        self.removed.append((image_id, reference))
        return self.is_last


class Rows:
    def __init__(self, protections=()):
        self.protections, self.deleted = protections, []

    async def find(self, key):
        return ARTIFACT if key == ARTIFACT.id else IMAGE

    async def list_protections(self, artifact_id):
        return self.protections

    async def delete(self, artifact_id):
        self.deleted.append(artifact_id)


def images_of(engine, uses=None, protections=()):
    rows = Rows(protections)

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
