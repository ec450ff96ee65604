"""Whose an automatic name is: claims of origins in one index."""

from __future__ import annotations

import sqlite3
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.store.index.tables.test_environments import index, new  # noqa: F401

from roost.model.origins import FOLDER, NameOrigin, list_candidates
from roost.store.index.names import claim_name, find_claimed_name
from roost.store.migrations.schema import MIGRATIONS, statements

DIGEST = new("x", "six==1").definition_digest
OTHER = new("x", "six==2").definition_digest


def folder(place: str) -> NameOrigin:
    return NameOrigin(key=FOLDER + place, place=place)


def clone(remote: str, place: str) -> NameOrigin:
    return NameOrigin(key=f"git:{remote}", place=place)


async def claim(index, origin, *names, digest=DIGEST, gone=()):  # noqa: F811
    found = await index.claim_name(origin, names or ("train", "b-train"), digest, frozenset(gone))
    return None if found is None else (found.name, found.wanted, found.owner)


async def test_the_first_origin_has_the_name_and_keeps_it(index):  # noqa: F811
    assert await claim(index, folder("/a/train")) == ("train", None, "")
    assert await claim(index, folder("/b/train")) == ("b-train", "train", "folder:/a/train")
    assert await claim(index, folder("/b/train")) == ("b-train", None, ""), "reported once"
    assert await claim(index, folder("/a/train"), "other") == ("train", None, "")
    assert await claim(index, folder("/c/train")) is None
    assert await index.find_claimed_name("folder:/b/train") == "b-train"


async def test_clones_of_one_remote_share_and_forks_do_not(index):  # noqa: F811
    assert (await claim(index, clone("h/o/train", "/a/train")))[0] == "train"
    assert (await claim(index, clone("h/o/train", "/b/other"), "other"))[0] == "train"
    assert (await claim(index, clone("h/fork/train", "/b/train")))[0] == "b-train"


async def test_a_place_keeps_its_name_when_its_remote_comes_moves_or_goes(index):  # noqa: F811
    await claim(index, folder("/a/train"))
    assert (await claim(index, clone("h/o/train", "/a/train")))[0] == "train"
    await index.environments.register(new("train", "six==1"))
    assert (await claim(index, clone("h/new/train", "/a/train")))[0] == "train"

    await claim(index, clone("h/o/gone", "/a/gone"), "gone")
    assert (await claim(index, folder("/a/gone"), "gone"))[0] == "gone"


async def test_another_repository_in_the_same_place_is_another(index):  # noqa: F811
    await claim(index, clone("h/o/one", "/workspace"), "workspace")
    await index.environments.register(new("workspace", "six==1"))
    found = await claim(index, clone("h/o/two", "/workspace"), "workspace", "workspace-2", digest=OTHER)
    assert found == ("workspace-2", "workspace", "git:h/o/one")


@pytest.mark.parametrize(("gone", "digest", "name"), [((), DIGEST, "b-train"), (("/a/train",), OTHER, "b-train")])
async def test_a_name_passes_only_to_a_folder_that_was_moved(index, gone, digest, name):  # noqa: F811
    await claim(index, folder("/a/train"))
    await index.environments.register(new("train", "six==1"))
    assert await index.list_owners(["train", "b-train"]) == ["/a/train"]
    assert (await claim(index, folder("/b/train"), digest=digest, gone=gone))[0] == name
    assert (await claim(index, folder("/c/train"), "train", "c-train", gone=("/a/train", "/b/train")))[0] == "train"


async def test_an_environment_of_an_older_index_stays_with_the_file_it_is_from(index):  # noqa: F811
    made = new("train", "six==1")
    await index.definitions.record_sighting(made.definition_digest, made.canonical, "train", "/a/train/environment.yml")
    await index.environments.register(made)
    assert await index.list_owners(["train"]) == ["/a/train/environment.yml"]
    assert (await claim(index, folder("/b/train"))) == ("b-train", "train", "/a/train/environment.yml")
    assert (await claim(index, folder("/a/train"), digest=OTHER))[0] == "train"


async def test_one_by_hand_belongs_to_whoever_has_its_definition(index):  # noqa: F811
    await index.environments.register(new("train", "six==1"))
    assert (await claim(index, folder("/b/train"), digest=OTHER)) == ("b-train", "train", "train")
    assert (await claim(index, folder("/a/train")))[0] == "train"


ORIGINS = st.tuples(st.sampled_from("abc"), st.sampled_from(["", "h/x", "h/y"]), st.sampled_from(["n", "m"]))


@pytest.fixture(scope="module")
def connection():
    opened = sqlite3.connect(":memory:")
    opened.row_factory = sqlite3.Row
    for schema in sorted(MIGRATIONS):
        for statement in statements(MIGRATIONS[schema]):
            opened.execute(statement)
    yield opened
    opened.close()


@given(st.lists(ORIGINS, max_size=12))
def test_no_name_is_that_of_two_remotes_or_two_folders(connection, claims):
    connection.execute("DELETE FROM environment_origins")
    owners: dict[str, set[str]] = {}
    for above, remote, name in claims:
        place = f"/{above}/{name}"
        origin = clone(f"{remote}/{name}", place) if remote else folder(place)
        found = claim_name(connection, origin, tuple(islice(list_candidates(origin), 20)), DIGEST)
        assert found is not None
        assert find_claimed_name(connection, origin.key) == found.name
        owners.setdefault(found.name, set()).add(origin.key)
    for keys in owners.values():
        assert sum(key.startswith(FOLDER) for key in keys) <= 1
        assert sum(not key.startswith(FOLDER) for key in keys) <= 1
