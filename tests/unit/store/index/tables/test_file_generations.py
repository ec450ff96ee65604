"""Generations whose lock a lock file has: found by it, never current without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from roost.model.locks.lock import CondaPython, Lock, Wheel, digest_lock
from roost.model.records import NewGeneration
from roost.store.index.index import Index
from roost.store.index.tables.generations import GenerationUnknownError

KEY = ("d", "linux-64")
STATED = "sha256:" + "5" * 64


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    opened = await Index.open(str(tmp_path / "index.db"))
    yield opened
    await opened.close()


def lock_of(name: str) -> Lock:
    return Lock(platform="linux-64", provider=CondaPython(), wheels=(Wheel(name=name, version="1", sha256=name),))


def new(stated: str | None = None) -> NewGeneration:
    return NewGeneration(
        definition_digest=KEY[0],
        platform=KEY[1],
        origin="file" if stated is not None else "solve",
        file_lock=stated,
    )


async def test_a_generation_of_a_lock_file_is_found_by_its_lock_and_by_what_the_file_states(index: Index) -> None:
    added = await index.generations.add(new(STATED), lock_of("built"))
    assert (added.number, added.current, added.origin, added.file_lock) == (1, False, "file", STATED)
    for digest in (STATED, digest_lock(lock_of("built"))):
        assert await index.generations.find_of_lock(*KEY, digest) == added
        assert (await index.load_facts(*KEY, lock=digest)).generation == added
    assert await index.generations.find_current(*KEY) is None
    assert (await index.load_facts(*KEY)).generation is None
    assert await index.generations.find_of_lock(*KEY, "sha256:" + "6" * 64) is None


async def test_it_takes_the_place_of_none_and_no_rollback_leads_to_it(index: Index) -> None:
    own = await index.generations.add(new(), lock_of("own"))
    await index.generations.add(new(STATED), lock_of("filed"))
    assert await index.generations.find_current(*KEY) == own
    rebuilt = await index.generations.add(new(), lock_of("rebuilt"))
    before, after = await index.generations.roll_back(*KEY)
    assert (before.number, after.number) == (rebuilt.number, own.number)
    with pytest.raises(GenerationUnknownError):
        await index.generations.roll_back(*KEY)


async def test_the_machine_s_own_generation_with_the_same_lock_comes_first(index: Index) -> None:
    await index.generations.add(new(digest_lock(lock_of("one"))), lock_of("one"))
    own = await index.generations.add(new(), lock_of("one"))
    await index.generations.add(new(digest_lock(lock_of("one"))), lock_of("one"))
    assert await index.generations.find_of_lock(*KEY, digest_lock(lock_of("one"))) == own
