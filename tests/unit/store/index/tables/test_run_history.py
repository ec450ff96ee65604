"""The history of runs in the index: filters, ids by their beginning, notes and tags."""

from __future__ import annotations

import asyncio
import sqlite3

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.model.errors import InvalidRequestError
from roost.model.history import RunFilter
from roost.model.records import RunRecord
from roost.store.index.tables.records import (
    IdAmbiguousError,
    RecordUnknownError,
    annotate_run,
    find_id,
    insert_record,
    list_matching_runs,
    matching_runs_query,
    update_record,
)
from roost.store.migrations.schema import MIGRATIONS, statements
from roost.store.store import Store


def new_index(to: int = max(MIGRATIONS)) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    for number in range(1, to + 1):
        for statement in statements(MIGRATIONS[number]):
            connection.execute(statement)
    return connection


def run_of(number: int, **fields: object) -> RunRecord:
    values: dict[str, object] = {
        "id": f"r20261123-07{number:04}-{number:06x}",
        "state": "succeeded",
        "target": "local",
        "command": ["python", "train.py"],
        "cwd": "/home/me/project",
        "definition_digest": "sha256:d",
        "settings_digest": "sha256:s",
        "created": f"2026-11-23T07:{number % 60:02}:00.000000Z",
        **fields,
    }
    return msgspec.convert(values, RunRecord)


RUNS = [
    run_of(0, environment_name="train", environment_version=1),
    run_of(1, environment_name="train", environment_version=2, experiment="sweep", state="failed"),
    run_of(2, command=["python", "100%_done.py"], cwd="/home/me/project/sub", tags=["best"]),
    run_of(3, command=["bash", "-c", "echo 'it''s'"], cwd="/home/me/project2", target="docker", state="lost"),
    run_of(4, experiment="sweep", cwd="/", tags=["best", "lr=0.1"], state="running"),
]


@pytest.fixture
def index() -> sqlite3.Connection:
    connection = new_index()
    for run in RUNS:
        insert_record(connection, run)
    return connection


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (RunFilter(), [4, 3, 2, 1, 0]),
        (RunFilter(environment="train"), [1, 0]),
        (RunFilter(environment="train", version=2), [1]),
        (RunFilter(experiment="sweep"), [4, 1]),
        (RunFilter(states=("failed", "lost")), [3, 1]),
        (RunFilter(since="2026-11-23T07:03:00.000000Z"), [4, 3]),
        (RunFilter(command="train.py"), [4, 1, 0]),
        (RunFilter(command="PYTHON 100%_"), [2]),
        (RunFilter(command="100%d"), []),
        (RunFilter(command="1__%"), []),
        (RunFilter(target="docker"), [3]),
        (RunFilter(folder="/home/me/project"), [2, 1, 0]),
        (RunFilter(folder="/"), [4, 3, 2, 1, 0]),
        (RunFilter(tags=("best",)), [4, 2]),
        (RunFilter(tags=("best", "lr=0.1")), [4]),
        (RunFilter(experiment="sweep", states=("failed",), command="train"), [1]),
        (RunFilter(experiment="none"), []),
    ],
)
def test_filters(index: sqlite3.Connection, wanted: RunFilter, numbers: list[int]) -> None:
    assert list_matching_runs(index, wanted, 100, None) == [RUNS[number] for number in numbers]


def test_pages(index: sqlite3.Connection) -> None:
    assert list_matching_runs(index, RunFilter(tags=("best",)), 1, None) == [RUNS[4]]
    assert list_matching_runs(index, RunFilter(tags=("best",)), 1, RUNS[4].id) == [RUNS[2]]


def test_changes_are_searched(index: sqlite3.Connection) -> None:
    update_record(index, RunRecord, RUNS[4].id, {"state": "failed"})
    annotate_run(index, RUNS[0].id, note="hello", add_tags=["best", "new"])
    annotate_run(index, RUNS[2].id, remove_tags=["best"])
    assert [run.id for run in list_matching_runs(index, RunFilter(states=("running",)), 9, None)] == []
    found = list_matching_runs(index, RunFilter(tags=("best",)), 9, None)
    assert [(run.id, run.tags, run.note) for run in found] == [
        (RUNS[4].id, ("best", "lr=0.1"), None),
        (RUNS[0].id, ("best", "new"), "hello"),
    ]
    assert annotate_run(index, RUNS[0].id, note="").note is None
    assert annotate_run(index, RUNS[0].id, add_tags=["x"]).note is None


def test_a_run_has_a_bounded_number_of_tags(index: sqlite3.Connection) -> None:
    with pytest.raises(InvalidRequestError, match="51 tags"):
        annotate_run(index, RUNS[0].id, add_tags=[f"t{number}" for number in range(51)])
    with pytest.raises(RecordUnknownError, match="no run r9"):
        annotate_run(index, "r9", note="x")


@pytest.mark.parametrize(
    ("wanted", "index_name"),
    [
        (RunFilter(environment="train", states=("failed",)), "run_facts_environment"),
        (RunFilter(experiment="sweep", command="x"), "run_facts_experiment"),
    ],
)
def test_a_search_by_name_uses_an_index_and_sorts_nothing(
    index: sqlite3.Connection, wanted: RunFilter, index_name: str
) -> None:
    plan = explain(index, wanted)
    assert any(f"SEARCH run_facts USING INDEX {index_name}" in line for line in plan), plan
    searched = plan[: plan.index("SCAN f")]  # what is found is put in order afterwards, a page at most
    assert not any("TEMP B-TREE" in line for line in searched), plan


def test_records_are_read_by_number_and_only_for_what_is_found(index: sqlite3.Connection) -> None:
    for wanted in (RunFilter(), RunFilter(command="x", folder="/", tags=("a",)), RunFilter(states=("lost",))):
        plan = explain(index, wanted)
        assert any("SEARCH r USING INTEGER PRIMARY KEY" in line for line in plan), plan
        assert not any(line.startswith(("SCAN r ", "SCAN runs")) for line in plan), plan


def explain(index: sqlite3.Connection, wanted: RunFilter) -> list[str]:
    query, values = matching_runs_query(wanted, 100, RUNS[4].id)
    return [row["detail"] for row in index.execute(f"EXPLAIN QUERY PLAN {query}", values)]


def test_an_id_is_found_by_its_beginning(index: sqlite3.Connection) -> None:
    assert find_id(index, RunRecord, RUNS[2].id) == RUNS[2].id
    assert find_id(index, RunRecord, RUNS[2].id[:-6]) == RUNS[2].id
    assert find_id(index, RunRecord, "latest") == RUNS[4].id


def test_an_ambiguous_beginning_names_the_candidates(index: sqlite3.Connection) -> None:
    with pytest.raises(IdAmbiguousError) as caught:
        find_id(index, RunRecord, "r2026")
    newest_first = [run.id for run in reversed(RUNS)]
    assert caught.value.fields["candidates"] == newest_first
    assert all(run_id in caught.value.message for run_id in newest_first)
    insert_record(index, run_of(5))
    with pytest.raises(IdAmbiguousError, match="…"):
        find_id(index, RunRecord, "r")


@pytest.mark.parametrize("text", ["", "x", "%", "r2026%", "R2026", "\ud800", "r\0", "latest "])
def test_an_unknown_id_says_how_to_list(index: sqlite3.Connection, text: str) -> None:
    with pytest.raises(RecordUnknownError) as caught:
        find_id(index, RunRecord, text)
    assert "roost runs list" in caught.value.hint


def test_nothing_is_latest_in_a_new_index() -> None:
    with pytest.raises(RecordUnknownError, match="No run is recorded yet"):
        find_id(new_index(), RunRecord, "latest")


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_every_text_is_one_id_or_refused(text: str) -> None:
    index = new_index()
    insert_record(index, RUNS[0])
    try:
        found = find_id(index, RunRecord, text)
    except RecordUnknownError:
        return
    assert found.startswith(text) or text == "latest"


def test_runs_of_an_older_schema_are_searched_too() -> None:
    index = new_index(9)
    for run in RUNS[:2]:
        insert_record(index, run)
    index.execute("UPDATE runs SET record = x'00ff' WHERE number = 1")
    for statement in statements(MIGRATIONS[10]):
        index.execute(statement)
    assert list_matching_runs(index, RunFilter(environment="train"), 9, None) == [RUNS[1]]
    assert index.execute("SELECT count(*) FROM run_facts").fetchone()[0] == 2


async def test_writers_and_readers_share_a_store(store: Store) -> None:
    runs = store.index.runs
    await asyncio.gather(*(runs.insert(run) for run in RUNS))
    await asyncio.gather(*(runs.annotate(run.id, add_tags=["all"]) for run in RUNS))
    assert len(await runs.list_matching(RunFilter(tags=("all",)), 100, None)) == len(RUNS)
    assert await runs.find_id(RUNS[0].id[:-2]) == RUNS[0].id


def test_the_tags_of_a_deleted_run_go_with_it(index: sqlite3.Connection) -> None:
    index.execute("DELETE FROM runs")
    assert index.execute("SELECT count(*) FROM run_facts").fetchone()[0] == 0
    assert index.execute("SELECT count(*) FROM run_tags").fetchone()[0] == 0
