"""Which generation an edited definition had before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.definition import Defaults, Definition, Pip, PipItem, Settings
from roost.model.locks.lock import CondaPython, Lock, Wheel
from roost.model.records import EnvironmentBody, Generation, NewGeneration, NewVersion
from roost.store.index.index import Index

PATH = "/w/environment.yml"


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    opened = await Index.open(str(tmp_path / "index.db"))
    yield opened
    await opened.close()


def lock_of(name: str) -> Lock:
    return Lock(platform="linux-64", provider=CondaPython(), wheels=(Wheel(name=name, version="1", sha256=name),))


async def build(index: Index, digest: str, platform: str = "linux-64") -> Generation:
    return await index.generations.add(NewGeneration(definition_digest=digest, platform=platform), lock_of(digest))


async def see(index: Index, digest: str, path: str = PATH) -> None:
    await index.definitions.record_sighting(digest, digest.encode(), "train", path)


def name(found: Generation | None) -> str | None:
    return found.definition_digest if found is not None else None


async def test_the_one_that_was_used_last_counts_and_not_the_one_that_was_made_last(index: Index) -> None:
    for digest in ("a", "b"):
        await see(index, digest)
        await build(index, digest)
    await see(index, "new")
    assert name(await index.generations.find_last_of_path("new", "linux-64", PATH)) == "b"
    await see(index, "a")
    await see(index, "new")
    assert name(await index.generations.find_last_of_path("new", "linux-64", PATH)) == "a"
    assert name(await index.generations.find_last_of_path("a", "linux-64", PATH)) == "b", "never the definition itself"


async def test_what_has_no_generation_for_the_platform_or_is_elsewhere_does_not_count(index: Index) -> None:
    await see(index, "here")
    await build(index, "here")
    await see(index, "failed")
    await see(index, "other-kind")
    await build(index, "other-kind", "linux-64+host")
    await see(index, "elsewhere", "/v/environment.yml")
    await build(index, "elsewhere")
    assert name(await index.generations.find_last_of_path("new", "linux-64", PATH)) == "here"
    assert await index.generations.find_last_of_path("new", "osx-arm64", PATH) is None


async def test_it_is_the_current_generation(index: Index) -> None:
    await see(index, "a")
    first = await build(index, "a")
    await index.generations.add(NewGeneration(definition_digest="a", platform="linux-64"), lock_of("later"))
    await index.generations.promote("a", "linux-64", 1)
    found = await index.generations.find_last_of_path("new", "linux-64", PATH)
    assert found == msgspec.structs.replace(first, current=True)


async def test_a_version_has_that_of_the_latest_before_it(index: Index) -> None:
    digests = [await register(index, f"six=={number}") for number in (1, 2, 3)]
    for digest in digests[:2]:
        await build(index, digest)
    find = index.generations.find_of_earlier_version
    assert name(await find(digests[2], "linux-64", "train", 3)) == digests[1]
    assert name(await find(digests[1], "linux-64", "train", 2)) == digests[0]
    assert await find(digests[0], "linux-64", "train", 1) is None
    assert await find(digests[2], "linux-64", "other", 3) is None


async def register(index: Index, requirement: str) -> str:
    definition = Definition(pip=Pip(requirements=(PipItem(kind="requirement", text=requirement),)))
    form, settings = canonicalise_definition(definition, Defaults()), canonicalise_settings(Settings())
    new = NewVersion(
        name="train",
        body=EnvironmentBody(definition=definition, settings=Settings()),
        definition_digest=digest_bytes(form),
        settings_digest=digest_bytes(settings),
        canonical=form,
        settings_canonical=settings,
        kind="system-managed",
    )
    await index.environments.register(new)
    return new.definition_digest
