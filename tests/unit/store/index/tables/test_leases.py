"""What a lease protects: at the moment it is put, and later. One transaction decides between it and a deletion."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.definition import Defaults, Definition, Settings
from roost.model.locks.lock import CondaPython, Lock, digest_lock
from roost.model.records import (
    Artifact,
    EnvironmentBody,
    ImageRecord,
    LeaseTarget,
    NewGeneration,
    NewVersion,
)
from roost.store.index.tables.environments import EnvironmentUnknownError
from roost.store.index.tables.generations import GenerationUnknownError
from roost.store.index.tables.leases import LeaseTakenError, LeaseTargetError
from roost.store.migrations.schema import MIGRATIONS, statements
from roost.store.store import Store

FAR = "9999-01-01T00:00:00.000000Z"
PAST = "2001-01-01T00:00:00.000000Z"
BASE = "sha256:" + "ba" * 32
FORM = canonicalise_definition(Definition(), Defaults())
DEFINITION = digest_bytes(FORM)
NEW = NewGeneration(definition_digest=DEFINITION, platform="linux-64")


def target(kind, subject, generation=None):
    return LeaseTarget(kind=kind, subject=subject, generation=generation)


@pytest.fixture
async def environment(store):
    """``train:1``, of the definition ``DEFINITION``."""
    run = canonicalise_settings(Settings())
    await store.index.environments.register(
        NewVersion(
            name="train",
            body=EnvironmentBody(definition=Definition(), settings=Settings()),
            definition_digest=DEFINITION,
            settings_digest=digest_bytes(run),
            canonical=FORM,
            settings_canonical=run,
            kind="system-managed",
        )
    )
    return "train:1"


@pytest.fixture
def publish(store, lock_of, fill):
    """Publishes a prefix of a lock, as a new generation of ``DEFINITION`` if not told otherwise."""

    async def make(name, generation=NEW):
        return await store.artifacts.publish_prefix(
            lock=lock_of(name), generation=generation, build_id=f"b-{name}", fill=fill
        )

    return make


async def put(store, kind, subject, generation=None, lease_id="l", expires=FAR, holder="kernel"):
    return await store.index.leases.put(lease_id, target(kind, subject, generation), holder, expires)


async def is_deleted(store, artifact):
    return await store.artifacts.delete(artifact.id)


async def test_an_environment_protects_its_current_generation(store, environment, publish):
    artifact = await publish("a")
    lease = await put(store, "environment", environment)
    assert lease.definition_digest == DEFINITION
    assert await store.index.leases.list_subjects("l") == [artifact.key]
    assert not await is_deleted(store, artifact)
    await store.index.leases.delete("l")
    assert await is_deleted(store, artifact)


async def test_an_environment_protects_what_becomes_current_later_and_what_was(store, environment, publish):
    await put(store, "environment", environment)
    first, second = await publish("a"), await publish("b")
    assert not await is_deleted(store, first)
    assert not await is_deleted(store, second)


async def test_an_environment_does_not_protect_what_was_current_before(store, environment, publish):
    first, second = await publish("a"), await publish("b")
    await put(store, "environment", environment)
    assert await is_deleted(store, first)
    assert not await is_deleted(store, second)


async def test_a_rollback_under_a_lease_protects_the_older_generation(store, environment, publish):
    first = await publish("a")
    await publish("b")
    await put(store, "environment", environment)
    await store.index.generations.roll_back(DEFINITION, "linux-64")
    assert not await is_deleted(store, first)


async def test_a_generation_is_protected_alone(store, environment, publish):
    first, second = await publish("a"), await publish("b")
    await put(store, "generation", environment, 1)
    third = await publish("c")
    assert not await is_deleted(store, first)
    assert await is_deleted(store, second)
    assert await is_deleted(store, third)


async def test_a_definition_digest_is_as_good_as_a_name(store, publish):
    artifact = await publish("a")
    await put(store, "environment", DEFINITION)
    assert not await is_deleted(store, artifact)


@pytest.mark.parametrize("by", ["id", "key", "path"])
@pytest.mark.parametrize("kind", ["prefix", "artifact"])
async def test_a_prefix_is_protected_by_id_lock_or_path(store, publish, by, kind):
    artifact = await publish("a")
    if (kind, by) == ("artifact", "path"):
        with pytest.raises(LeaseTargetError):
            await put(store, kind, artifact.path)
        return
    await put(store, kind, getattr(artifact, by))
    assert not await is_deleted(store, artifact)


async def test_an_image_is_protected_by_itself_and_by_its_generation(store, environment):
    lock = Lock(platform="linux-64", provider=CondaPython())
    images = {
        key: ImageRecord(
            key=key,
            config_digest=f"sha256:config-{key}",
            definition_digest=DEFINITION,
            lock_digest=digest_lock(lock),
            platform="linux-64",
            base_digest=base,
            name=f"roost/train:{key}",
        )
        for key, base in (("k1", BASE), ("k2", "sha256:other"))
    }
    for key, image in images.items():
        artifact = Artifact(
            id=f"i-{key}", kind="image", key=key, platform="linux-64", path=image.name, state="ready", last_used="2026"
        )
        await store.index.publish_image(artifact, image, lock, NEW if key == "k1" else None)
    await put(store, "generation", environment, 1)
    assert await store.index.leases.map_protected() == {"i-k1": ["l"]}, "another base is another image"
    assert not await store.index.artifacts.mark_deleting("i-k1")
    for number, subject in enumerate(("k2", "sha256:config-k2", "i-k2", "roost/train:k2")):
        await put(store, "image", subject, lease_id=f"l{number}")
        assert (await store.index.leases.map_protected())["i-k2"] == [f"l{number}"]
        await store.index.leases.delete(f"l{number}")
    assert await store.index.artifacts.mark_deleting("i-k2")


async def test_a_base_that_is_recorded_later_is_followed(store, environment, lock_of):
    await put(store, "environment", environment)
    generation = await store.index.generations.add(NEW, lock_of("a"))
    await store.index.database.write(
        lambda connection: connection.execute("UPDATE generations SET base_digest = ?", (BASE,))
    )
    lock = generation.lock_digest
    assert await store.index.leases.list_subjects("l") == [lock, f"{lock}@{BASE}"]


async def test_renewing_is_idempotent_and_keeps_what_was_protected(store, environment, publish):
    first = await publish("a")
    before = await put(store, "environment", environment, expires="9998-01-01T00:00:00.000000Z")
    second = await publish("b")
    after = await put(store, "environment", environment)
    assert (after.created, after.expires) == (before.created, FAR)
    assert await put(store, "environment", environment) == after
    assert await store.index.leases.list_subjects("l") == sorted([first.key, second.key])
    assert len(await store.index.leases.list_active()) == 1


async def test_another_target_under_the_same_id_begins_anew(store, publish):
    first, second = await publish("a"), await publish("b")
    await put(store, "prefix", first.key)
    await put(store, "prefix", second.key)
    assert await is_deleted(store, first)
    assert not await is_deleted(store, second)


async def test_a_lease_of_another_holder_is_refused_until_it_ends(store, publish):
    artifact = await publish("a")
    await put(store, "prefix", artifact.key)
    with pytest.raises(LeaseTakenError) as caught:
        await put(store, "prefix", artifact.key, holder="editor")
    assert caught.value.http_status == 409
    await put(store, "prefix", artifact.key, expires=PAST)
    assert (await put(store, "prefix", artifact.key, holder="editor")).holder == "editor"


async def test_an_expired_lease_protects_nothing_and_goes(store, environment, publish):
    artifact = await publish("a")
    await put(store, "environment", environment, expires=PAST)
    assert await store.index.leases.list_active() == []
    assert await is_deleted(store, artifact)
    await put(store, "environment", environment, lease_id="other")
    assert await store.index.leases.find("l") is None
    assert await store.index.leases.list_subjects("l") == []


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (target("environment", "unknown"), EnvironmentUnknownError),
        (target("environment", "train:2"), EnvironmentUnknownError),
        (target("environment", "sha256:unknown"), LeaseTargetError),
        (target("generation", "train:1", 1), GenerationUnknownError),
        (target("prefix", "sha256:unknown"), LeaseTargetError),
        (target("prefix", "/no/such/prefix"), LeaseTargetError),
        (target("image", "unknown"), LeaseTargetError),
        (target("artifact", "unknown"), LeaseTargetError),
    ],
)
async def test_an_unknown_target_is_404_and_leaves_nothing(store, environment, wanted, error):
    with pytest.raises(error) as caught:
        await store.index.leases.put("l", wanted, "kernel", FAR)
    assert caught.value.http_status == 404
    assert await store.index.leases.find("l") is None


async def test_a_lease_and_a_deletion_at_once_never_both_win(store, publish):
    for round in range(10):
        artifact = await publish(f"p{round}", None)
        outcomes = await asyncio.gather(
            put(store, "prefix", artifact.id, lease_id=f"l{round}"),
            store.artifacts.delete(artifact.id),
            return_exceptions=True,
        )
        is_leased = not isinstance(outcomes[0], Exception)
        assert is_leased != (outcomes[1] is True)


async def test_leases_survive_a_restart_and_protect_in_the_recovery(root, lock_of, fill):
    store = await Store.open(root)
    artifact = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=fill)
    await put(store, "prefix", artifact.key)
    assert await store.artifacts.retire_prefix(artifact.id) is False
    await store.close()
    store = await Store.open(root)
    assert [lease.id for lease in await store.index.leases.list_active()] == ["l"]
    assert (await store.index.artifacts.find(artifact.id)).state == "retired"
    await store.index.leases.delete("l")
    await store.close()
    store = await Store.open(root)
    assert await store.index.artifacts.find(artifact.id) is None
    await store.close()


def test_leases_of_an_older_schema_protect_as_before():
    connection = sqlite3.connect(":memory:")
    for number in range(1, 6):
        for statement in statements(MIGRATIONS[number]):
            connection.execute(statement)
    connection.execute("INSERT INTO leases VALUES ('l', 'p-1', 'editor', ?)", (FAR,))
    for statement in statements(MIGRATIONS[6]):
        connection.execute(statement)
    assert connection.execute("SELECT id, kind, target, holder, expires FROM leases").fetchall() == [
        ("l", "artifact", "p-1", "editor", FAR)
    ]
    assert connection.execute("SELECT * FROM lease_subjects").fetchall() == [("p-1", "l")]
    connection.execute("DELETE FROM leases")
    assert connection.execute("SELECT * FROM lease_subjects").fetchall() == []


async def test_a_definition_without_any_prefix_left_is_collected(store, publish):
    artifact = await publish("a")
    assert await store.index.watches.list_collected([DEFINITION, "sha256:unknown"]) == set()
    assert await is_deleted(store, artifact)
    assert await store.index.watches.list_collected([DEFINITION, "sha256:unknown"]) == {DEFINITION}
