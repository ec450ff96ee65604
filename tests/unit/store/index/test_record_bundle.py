"""The transaction of an import: versions, locks and generations, all or none, and nothing that is here changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.definition import Conda, Defaults, Definition, Settings
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, digest_lock
from roost.model.records import BaseRecord, EnvironmentBody, NewGeneration, NewVersion
from roost.store.index.index import Index

Row = tuple[NewVersion, NewGeneration, Lock, BaseRecord | None]


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    opened = await Index.open(str(tmp_path / "index.db"))
    yield opened
    await opened.close()


def lock_of(number: int) -> Lock:
    package = CondaPackage(
        name="a", version=str(number), build="0", subdir="noarch", file_name=f"a-{number}-0.conda", url="u",
        sha256=f"{number:064x}",
    )  # fmt: skip
    return Lock(platform="linux-64", provider=CondaPython(), conda=(package,))


def row(dependency: str, lock: Lock, *, number: int | None = None, base: BaseRecord | None = None) -> Row:
    definition = Definition(conda=Conda(dependencies=(dependency,)))
    canonical, settings = canonicalise_definition(definition, Defaults()), canonicalise_settings(Settings())
    new = NewVersion(
        name="train",
        body=EnvironmentBody(definition=definition),
        definition_digest=digest_bytes(canonical),
        settings_digest=digest_bytes(settings),
        canonical=canonical,
        settings_canonical=settings,
        kind="system-managed",
        number=number,
    )
    generation = NewGeneration(
        definition_digest=new.definition_digest, platform="linux-64", base_digest=base.digest if base else None
    )
    return new, generation, lock, base


async def test_a_number_that_is_taken_is_left_alone(index: Index) -> None:
    await index.record_bundle([row("a", lock_of(1), number=3)])
    (registered, generation), (other, _) = await index.record_bundle(
        [row("b", lock_of(2), number=3), row("a", lock_of(1), number=3)]
    )
    assert (registered.version.version, registered.created, generation.number) == (4, True, 1)
    assert (other.version.version, other.created) == (3, False)


async def test_a_lock_that_is_here_stays_current(index: Index) -> None:
    new, generation, _, _ = row("a", lock_of(1))
    await index.generations.add(generation, lock_of(1))
    await index.generations.add(generation, lock_of(2))
    await index.generations.promote(new.definition_digest, "linux-64", 1)
    for lock, expected in (
        (lock_of(3), (3, False)),
        (lock_of(2), (2, False)),
        (lock_of(1), (1, True)),
        (lock_of(3), (3, False)),
    ):
        ((_, found),) = await index.record_bundle([row("a", lock)])
        assert (found.number, found.current, found.lock_digest) == (*expected, digest_lock(lock))
    current = await index.generations.find_current(new.definition_digest, "linux-64")
    assert current is not None
    assert current.number == 1


async def test_a_base_completes_the_generation_of_its_lock(index: Index) -> None:
    new, generation, lock, _ = row("a", lock_of(1))
    await index.generations.add(generation, lock)
    base = BaseRecord(digest="sha256:b", config=b"{}", layers=())
    ((_, found),) = await index.record_bundle([row("a", lock, base=base)])
    assert (found.number, found.current, found.base_digest) == (1, True, "sha256:b")
    assert await index.bases.find("sha256:b") == base
    other = msgspec.structs.replace(base, digest="sha256:c")
    ((_, found),) = await index.record_bundle([row("a", lock, base=other)])
    assert (found.number, found.current, found.base_digest) == (2, False, "sha256:c")
    assert len(await index.generations.list_by_definition(new.definition_digest)) == 2
