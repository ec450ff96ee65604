"""Base images and images in the index."""

from __future__ import annotations

import msgspec
import pytest

from roost.model.locks.lock import CondaPython, Lock, digest_lock
from roost.model.records import Artifact, BaseLayer, BaseRecord, ImageRecord, NewGeneration

LOCK = Lock(platform="linux-64", provider=CondaPython())
BASE = "sha256:" + "ba" * 32
NEW = NewGeneration(definition_digest="sha256:d", platform="linux-64")


@pytest.fixture
def index(store):
    return store.index


def image(**changes):
    fields = {
        "key": "sha256:k",
        "config_digest": "sha256:c",
        "definition_digest": "sha256:d",
        "lock_digest": digest_lock(LOCK),
        "platform": "linux-64",
        "base_digest": BASE,
        "name": "roost/train:0123456789ab",
    }
    return ImageRecord(**{**fields, **changes})


def artifact(**changes):
    fields = {"id": "i-1", "kind": "image", "key": "sha256:k", "platform": "linux-64", "state": "ready"}
    return Artifact(**{**fields, "path": "roost/train:0123456789ab", "bytes": 5, "last_used": "2026", **changes})


async def test_a_base_comes_back_as_it_went_in_and_later_knowledge_wins(index):
    layer = BaseLayer(diff_id="sha256:1", digest="sha256:2", size=3, media_type="m", stored=True)
    kept = BaseRecord(digest=BASE, config=b'{"os":"linux"}\x00', layers=(layer,))
    await index.bases.put(kept)
    assert await index.bases.find(BASE) == kept
    known = msgspec.structs.replace(kept, reference="h/r@sha256:" + "0" * 64)
    await index.bases.put(known)
    assert await index.bases.find(BASE) == known
    assert await index.bases.find("sha256:other") is None


async def test_publishing_an_image_numbers_its_generation_with_the_base(index):
    ready, generation = await index.publish_image(artifact(), image(steps_digest="sha256:s"), LOCK, NEW)
    assert ready == await index.artifacts.find_ready("image", "sha256:k")
    assert (generation.number, generation.base_digest, generation.steps_digest) == (1, BASE, "sha256:s")
    assert await index.generations.find_current("sha256:d", "linux-64") == generation
    assert (await index.images.list_all())[0].created


async def test_a_generation_that_had_a_prefix_only_gets_its_base_and_keeps_the_first_one(index):
    plain = await index.generations.add(NEW, LOCK)
    _, first = await index.publish_image(None, image(), LOCK, plain)
    assert (first.number, first.base_digest) == (1, BASE)
    _, second = await index.publish_image(None, image(key="sha256:k2", base_digest="sha256:x"), LOCK, plain)
    assert second == first
    assert await index.artifacts.find_ready("image", "sha256:k") is None


async def test_an_image_that_was_lost_and_made_again_is_one_artifact_and_its_places_add_up(index):
    await index.publish_image(artifact(), image(registry_digests={"a/i:k": "sha256:m"}), LOCK, NEW)
    again = artifact(id="i-2", path="roost/other:0123456789ab", bytes=7)
    ready, _ = await index.publish_image(again, image(registry_digests={"b/i:k": "sha256:n"}), LOCK, None)
    assert (ready.id, ready.path, ready.bytes) == ("i-1", "roost/other:0123456789ab", 7)
    assert (await index.images.find("sha256:k")).registry_digests == {"a/i:k": "sha256:m", "b/i:k": "sha256:n"}
    other = await index.images.put(image(config_digest="sha256:new"))
    assert other.registry_digests == {}, "a registry has the other content"
