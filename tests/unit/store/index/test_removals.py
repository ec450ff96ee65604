"""Removed versions of environments: what refers to them, and their numbers."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.definition import Defaults, Definition, Pip, PipItem, Settings
from roost.model.locks.lock import HostPython, Lock
from roost.model.names import VersionReference
from roost.model.records import EnvironmentBody, KnownDefinition, NewGeneration, NewVersion, RunRecord
from roost.store.index.index import Index
from roost.store.index.removals import VersionInUseError, remove_versions
from roost.store.index.tables.environments import EnvironmentUnknownError, VersionTakenError, register_version
from roost.store.migrations.schema import MIGRATIONS, statements

NOW = "2026-01-01T00:00:00.000000Z"


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    opened = await Index.open(str(tmp_path / "index.db"))
    yield opened
    await opened.close()


def new(name: str, requirement: str, **fields: object) -> NewVersion:
    definition = Definition(pip=Pip(requirements=(PipItem(kind="requirement", text=requirement),)))
    form, run = canonicalise_definition(definition, Defaults()), canonicalise_settings(Settings())
    return NewVersion(
        name=name,
        body=EnvironmentBody(definition=definition, settings=Settings()),
        definition_digest=digest_bytes(form),
        settings_digest=digest_bytes(run),
        canonical=form,
        settings_canonical=run,
        kind="system-managed",
        **fields,  # type: ignore[arg-type]
    )


async def register(index: Index, name: str, *requirements: str) -> list[int]:
    return [(await index.environments.register(new(name, each))).version.version for each in requirements]


async def begin_run(index: Index, run_id: str, version: NewVersion, number: int) -> None:
    run = RunRecord(
        id=run_id,
        state="succeeded",
        target="local",
        command=("python",),
        cwd="/",
        definition_digest=version.definition_digest,
        settings_digest=version.settings_digest,
        created=NOW,
        environment_name=version.name,
        environment_version=number,
    )
    seen = KnownDefinition(digest=version.definition_digest, canonical=version.canonical, name=None, source=None)
    await index.begin_run(run, seen, version.settings_canonical, "run-created", {})


async def test_a_removed_number_is_given_to_no_other_content(index: Index) -> None:
    assert await register(index, "train", "a", "b", "c") == [1, 2, 3]
    removed = await index.remove_versions("train", 3)
    assert (removed.versions, removed.latest) == ((3,), 2)
    assert await register(index, "train", "d") == [4]
    await index.remove_versions("train", None)
    assert await register(index, "train", "a") == [5]
    with pytest.raises(VersionTakenError, match="was removed"):
        await index.environments.register(new("train", "x", number=3))
    assert (await index.environments.register(new("train", "c", number=3))).version.version == 3  # that very content


async def test_numbers_survive_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "index.db")
    first = await Index.open(path)
    await register(first, "train", "a", "b")
    await first.remove_versions("train", None)
    await first.close()
    second = await Index.open(path)
    assert await register(second, "train", "a") == [3]
    await second.close()


async def test_what_was_removed_is_unknown_and_its_time_is_said(index: Index) -> None:
    await register(index, "train", "a", "b")
    await index.remove_versions("train", 1)
    with pytest.raises(EnvironmentUnknownError, match="has no version 1: it was removed at 2"):
        await index.environments.get(VersionReference(name="train", version=1))
    await index.remove_versions("train", None)
    with pytest.raises(EnvironmentUnknownError, match="'train': it was removed at 2"):
        await index.environments.get(VersionReference(name="train"))
    assert await index.environments.list_page() == []
    for version in (None, 7):
        with pytest.raises(EnvironmentUnknownError):
            await index.remove_versions("train", version)


async def test_runs_and_labels_refuse_without_force(index: Index) -> None:
    await register(index, "train", "a", "b")
    await register(index, "other", "a")  # the same definition under another name
    await begin_run(index, "r-1", new("train", "a"), 1)
    await index.environments.put_labels("train", ["good"], 2)
    with pytest.raises(VersionInUseError, match=r"train:1 was not removed: 1 run \(r-1\) refers to it"):
        await index.remove_versions("train", 1)
    with pytest.raises(VersionInUseError, match="the label good refers to it"):
        await index.remove_versions("train", 2)
    with pytest.raises(VersionInUseError, match=r"1 run \(r-1\) and the label good refer to it") as refusal:
        await index.remove_versions("train", None)
    assert "env archive train" in refusal.value.hint
    await index.remove_versions("other", None)  # the run is of another name
    removed = await index.remove_versions("train", None, force=True)
    assert (removed.versions, removed.labels, removed.runs, removed.latest) == ((1, 2), ("good",), 1, None)
    assert await index.definitions.find(new("train", "a").definition_digest) is not None


async def test_where_used_counts_no_removed_version(index: Index) -> None:
    lock = Lock(platform="linux-64", provider=HostPython(version="3.11"))
    two = Lock(platform="linux-64", provider=HostPython(version="3.12"))
    for name in ("train", "other"):
        await register(index, name, "a")
    generation = NewGeneration(definition_digest=new("", "a").definition_digest, platform="linux-64")

    def counts(connection: object) -> list[tuple[int, int]]:
        rows = connection.execute("SELECT versions, shared FROM lock_uses ORDER BY lock")  # type: ignore[attr-defined]
        return [tuple(row) for row in rows]

    await index.generations.add(generation, lock)
    assert await index.database.read(counts) == [(2, 0)]
    await index.remove_versions("train", None)
    assert await index.database.read(counts) == [(1, 0)]
    await index.generations.add(generation, two)
    assert await index.database.read(counts) == [(0, 1), (0, 1)]
    await index.remove_versions("other", None)
    assert await index.database.read(counts) == [(0, 0), (0, 0)]


names = st.sampled_from(["a", "b"])
actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), names, st.integers(0, 4)),
        st.tuples(st.just("remove"), names, st.one_of(st.none(), st.integers(1, 6))),
    ),
    max_size=12,
)


@pytest.fixture(scope="module")
def connection() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        opened.row_factory = sqlite3.Row
        for script in MIGRATIONS.values():
            for statement in statements(script):
                opened.execute(statement)
        yield opened


@settings(max_examples=60, deadline=None)
@given(actions=actions)
def test_a_number_names_one_content_for_ever(connection: sqlite3.Connection, actions) -> None:
    seen: dict[tuple[str, int], str] = {}
    connection.execute("BEGIN")
    for kind, name, value in actions:
        if kind == "add":
            version = register_version(connection, new(name, f"p{value}")).version
            assert seen.setdefault((name, version.version), version.definition_digest) == version.definition_digest
        else:
            with contextlib.suppress(EnvironmentUnknownError):
                remove_versions(connection, name, value)
    connection.execute("ROLLBACK")
