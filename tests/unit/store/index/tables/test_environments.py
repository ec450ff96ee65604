"""Versions, labels and the archive in the index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.definition import Defaults, Definition, Pip, PipItem, Settings
from roost.model.names import VersionReference
from roost.model.records import EnvironmentBody, NewVersion, RegistrationResult
from roost.store.index.index import Index
from roost.store.index.tables.environments import EnvironmentUnknownError, VersionTakenError


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    opened = await Index.open(str(tmp_path / "index.db"))
    yield opened
    await opened.close()


def new(name: str, requirement: str, *, variable: str = "1", **fields: object) -> NewVersion:
    definition = Definition(pip=Pip(requirements=(PipItem(kind="requirement", text=requirement),)))
    settings = Settings(variables={"A": variable})
    form, run = canonicalise_definition(definition, Defaults()), canonicalise_settings(settings)
    return NewVersion(
        name=name,
        body=EnvironmentBody(definition=definition, settings=settings),
        definition_digest=digest_bytes(form),
        settings_digest=digest_bytes(run),
        canonical=form,
        settings_canonical=run,
        kind="system-managed",
        **fields,  # type: ignore[arg-type]
    )


async def find(index: Index, name: str, version: int | None = None, label: str | None = None) -> int:
    reference = VersionReference(name=name, version=version, label=label)
    return (await index.environments.get(reference)).version


def number(registered: RegistrationResult) -> tuple[int, bool]:
    return registered.version.version, registered.created


async def test_versions_count_up_and_the_same_again_is_none(index: Index) -> None:
    assert number(await index.environments.register(new("train", "six==1"))) == (1, True)
    assert number(await index.environments.register(new("train", "six==1"))) == (1, False)
    assert number(await index.environments.register(new("train", "six==2"))) == (2, True)
    assert number(await index.environments.register(new("train", "six==2", variable="2"))) == (3, True)
    assert number(await index.environments.register(new("other", "six==1"))) == (1, True)


@pytest.mark.parametrize("by_hand", [True, False])
async def test_what_was_there_before_is_the_version_that_it_was(index: Index, by_hand: bool) -> None:
    for requirement in ("six==1", "six==2"):
        await index.environments.register(new("train", requirement))
    assert number(await index.environments.register(new("train", "six==1", by_hand=by_hand))) == (1, False)
    assert await find(index, "train") == 2


async def test_registering_by_hand_brings_back_what_is_archived(index: Index) -> None:
    for requirement in ("six==1", "six==2"):
        await index.environments.register(new("train", requirement))
    await index.environments.set_archived("train", 1, True)
    await index.environments.set_archived("train", None, True)
    assert (await index.environments.register(new("train", "six==1", by_hand=False))).version.archived
    assert not (await index.environments.register(new("train", "six==1"))).version.archived
    assert [row.versions for row in await index.environments.list_page()] == [2]


async def test_a_body_comes_back_whole(index: Index) -> None:
    wanted = new("train", "six==1")
    await index.environments.register(wanted)
    assert await index.environments.load_body("train", 1) == wanted.body
    known = await index.definitions.find(wanted.definition_digest)
    assert known is not None
    assert known.canonical == wanted.canonical
    assert await index.definitions.find_settings(wanted.settings_digest) == wanted.settings_canonical


async def test_labels_move_and_latest_is_kept(index: Index) -> None:
    first = await index.environments.register(new("train", "six==1", labels=("prod",)))
    assert first.version.labels == ("latest", "prod")
    await index.environments.register(new("train", "six==2"))
    assert await find(index, "train", label="prod") == 1
    assert (await index.environments.put_labels("train", ["prod"], 2)).labels == ("latest", "prod")
    assert await find(index, "train", label="prod") == 2
    assert await find(index, "train", label="latest") == 2
    await index.environments.delete_label("train", "prod")
    refusals = (
        *(index.environments.delete_label("train", "prod"), index.environments.put_labels("train", ["x"], 9)),
        index.environments.put_labels("no", ["x"], 1),
    )
    for refused in refusals:
        with pytest.raises(EnvironmentUnknownError):
            await refused


async def test_what_is_archived_is_hidden_and_stays_to_be_found(index: Index) -> None:
    for requirement in ("six==1", "six==2"):
        await index.environments.register(new("train", requirement))
    await index.environments.set_archived("train", 2, True)
    assert await find(index, "train") == 1
    assert await find(index, "train", version=2) == 2
    assert [v.version for v in await index.environments.list_versions("train")] == [1]
    assert [v.version for v in await index.environments.list_versions("train", archived=True)] == [2, 1]
    await index.environments.set_archived("train", 1, True)
    with pytest.raises(EnvironmentUnknownError, match="archived"):
        await find(index, "train")
    assert [row.latest.name for row in await index.environments.list_page()] == []
    assert [(row.latest.version, row.versions) for row in await index.environments.list_page(archived=True)] == [(2, 2)]
    await index.environments.set_archived("train", None, False)
    assert await find(index, "train") == 2
    await index.environments.set_archived("train", None, True)
    assert await index.environments.list_page() == []
    assert await find(index, "train") == 2
    await index.environments.register(new("train", "six==2"))
    assert [row.latest.name for row in await index.environments.list_page()] == ["train"]


async def test_a_version_of_a_hidden_environment_comes_back_alone(index: Index) -> None:
    for requirement in ("six==1", "six==2", "six==3"):
        await index.environments.register(new("train", requirement))
    await index.environments.set_archived("train", None, True)
    await index.environments.set_archived("train", 2, False)
    assert [(row.latest.version, row.versions) for row in await index.environments.list_page()] == [(2, 1)]
    assert [v.version for v in await index.environments.list_versions("train")] == [2]
    assert await find(index, "train") == 2
    await index.environments.set_archived("train", 1, False)
    assert [v.version for v in await index.environments.list_versions("train")] == [2, 1]
    await index.environments.set_archived("train", None, False)
    assert [v.version for v in await index.environments.list_versions("train")] == [3, 2, 1], (
        "all, since it was not hidden"
    )


async def test_an_environment_comes_back_as_it_was_seen(index: Index) -> None:
    for requirement in ("six==1", "six==2"):
        await index.environments.register(new("train", requirement))
    await index.environments.set_archived("train", 2, True)
    await index.environments.set_archived("train", None, True)
    await index.environments.set_archived("train", None, False)
    assert [v.version for v in await index.environments.list_versions("train")] == [1]


async def test_numbers_are_never_given_twice(index: Index) -> None:
    for requirement in ("six==1", "six==2"):
        await index.environments.register(new("train", requirement))
    await index.environments.set_archived("train", 2, True)
    assert number(await index.environments.register(new("train", "six==3"))) == (3, True)
    assert number(await index.environments.register(new("train", "six==4"))) == (4, True)


async def test_pages_of_names_and_versions(index: Index) -> None:
    for name in ("c", "a", "b"):
        for requirement in ("six==1", "six==2", "six==3"):
            await index.environments.register(new(name, requirement))
    first = await index.environments.list_page(2)
    assert [(row.latest.name, row.latest.version, row.versions) for row in first] == [("a", 3, 3), ("b", 3, 3)]
    assert [row.latest.name for row in await index.environments.list_page(2, "b")] == ["c"]
    assert [v.version for v in await index.environments.list_versions("a", 2)] == [3, 2]
    assert [v.version for v in await index.environments.list_versions("a", 2, 2)] == [1]
    found = await index.environments.list_by_definition(new("x", "six==1").definition_digest)
    assert [(v.name, v.version) for v in found] == [("a", 1), ("b", 1), ("c", 1)]


async def test_many_at_once_are_numbered_without_a_gap(index: Index) -> None:
    made = await asyncio.gather(*(index.environments.register(new("train", f"six=={n}")) for n in range(200)))
    assert sorted(each.version.version for each in made) == list(range(1, 201))
    assert all(each.created for each in made)


async def test_all_of_a_catalogue_or_nothing(index: Index) -> None:
    await index.environments.register(new("Roost-A", "six==1", number=4))
    assert number(await index.environments.register(new("Roost-A", "six==1", number=4))) == (4, False)
    with pytest.raises(VersionTakenError):
        await index.environments.register_all([new("Roost-B", "six==1", number=1), new("Roost-A", "six==9", number=4)])
    assert [row.latest.name for row in await index.environments.list_page(curated="only")] == ["Roost-A"]


async def test_lists_are_without_curated_ones_with_them_or_of_them_alone(index: Index) -> None:
    for name in ("Apple", "Roost-A", "Roost-Z", "Rooster", "Roost", "pear"):
        await index.environments.register(new(name, "six==1"))
    ordinary, kept = ["Apple", "Roost", "Rooster", "pear"], ["Roost-A", "Roost-Z"]
    assert [row.latest.name for row in await index.environments.list_page()] == ordinary
    assert [row.latest.name for row in await index.environments.list_page(curated="only")] == kept
    everything = [row.latest.name for row in await index.environments.list_page(curated="with")]
    assert everything == sorted(ordinary + kept)
    assert [row.latest.name for row in await index.environments.list_page(1, "Roost-A", curated="only")] == ["Roost-Z"]
    await index.environments.register_all([new("Roost-A", "six==2", number=7), new("Roost-B", "six==1", number=1)])
    assert await find(index, "Roost-A") == 7


async def test_what_is_not_there_is_named_with_what_is(index: Index) -> None:
    await index.environments.register(new("train", "six==1", labels=("prod",)))
    with pytest.raises(EnvironmentUnknownError) as unknown:
        await find(index, "trian")
    assert "'train'" in unknown.value.hint
    with pytest.raises(EnvironmentUnknownError) as no_label:
        await find(index, "train", label="test")
    assert "latest, prod" in no_label.value.hint
    with pytest.raises(EnvironmentUnknownError, match="no version 7"):
        await find(index, "train", version=7)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("AzureML-sklearn-1.5-ubuntu22.04-py310-cpu", "'Roost-Scikit-Learn'"),
        ("azureml-minimal", "roost curated list"),
        ("Roost-Scikit-Lern", "Did you mean 'Roost-Scikit-Learn'?"),
    ],
)
async def test_one_of_azures_curated_names_hints_at_its_counterpart(index: Index, name: str, hint: str) -> None:
    await index.environments.register(new("Roost-Scikit-Learn", "six==1", number=1))
    with pytest.raises(EnvironmentUnknownError) as caught:
        await find(index, name)
    assert hint in caught.value.hint


async def test_a_version_that_its_user_numbers_leaves_a_gap_and_the_next_one_follows(index: Index) -> None:
    assert number(await index.environments.register(new("train", "six==1", number=7))) == (7, True)
    assert number(await index.environments.register(new("train", "six==1"))) == (7, False)
    assert number(await index.environments.register(new("train", "six==2"))) == (8, True)
    with pytest.raises(VersionTakenError):
        await index.environments.register(new("train", "six==2", number=7))


async def test_references_for_completion_are_bounded_and_the_newest_first(index: Index) -> None:
    for version in range(1, 6):
        await index.environments.register(new("train", f"six=={version}"))
    await index.environments.put_labels("train", ["prod", "live"], 1)
    await index.environments.register(new("old", "six==1"))
    await index.environments.set_archived("old", None, True)
    await index.environments.register(new("serve", "six==9"))
    await index.environments.set_archived("train", 4, True)
    found = await index.environments.list_references(10, 3)
    assert list(found) == ["serve", "train"]
    assert found["serve"] == ["@latest", ":1"]
    assert found["train"] == ["@latest", ":5", ":3", "@live", "@prod", ":1"]
    assert list(await index.environments.list_references(1, 3)) == ["serve"]
