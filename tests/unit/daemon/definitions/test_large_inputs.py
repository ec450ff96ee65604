"""Large inputs are read in a worker: the same result and the same errors, and an end if it takes too long."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.corpus import CORPUS, needs_corpus

from roost.daemon.definitions import large_inputs
from roost.daemon.definitions.files import PathOutsideError
from roost.daemon.definitions.large_inputs import LARGE_BYTES, LargeReadRequest, ReadingTimeoutError
from roost.daemon.definitions.resolve import read_large, resolve
from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.workers.jobs import WorkerJob
from roost.daemon.workers.pool import WorkerPool
from roost.model.definition import Defaults
from roost.model.errors import InvalidDefinitionError, StoreError
from roost.wire.plans import EnvironmentSelector

LINES = "".join(f"package-number-{number}==1.{number}\n" for number in range(LARGE_BYTES // 20))
UNUSED: Any = None


@pytest.fixture
async def workers(tmp_path: Path) -> AsyncIterator[WorkerPool]:
    pool = WorkerPool(str(tmp_path / "workers"))
    yield pool
    await pool.close()


def write(folder: Path, text: str, name: str = "requirements.txt") -> EnvironmentSelector:
    (folder / name).write_text(text)
    return EnvironmentSelector(cwd=str(folder), file=name)


async def read(pool: WorkerPool, selector: EnvironmentSelector) -> ResolvedDefinition:
    return await resolve(selector, Defaults(), workers=pool)


async def test_a_small_file_needs_no_worker(tmp_path: Path, workers: WorkerPool) -> None:
    await read(workers, write(tmp_path, "six==1.16\n"))
    assert workers.list_pids() == []


async def test_a_large_file_is_read_in_a_worker_to_the_same_end(tmp_path: Path, workers: WorkerPool) -> None:
    selector = write(tmp_path, LINES)
    assert len(LINES) > LARGE_BYTES
    found = await read(workers, selector)
    assert len(workers.list_pids()) == 1
    assert found == read_large(LargeReadRequest(selector=selector, defaults=Defaults()), UNUSED)
    watched = [os.path.basename(stamp.path) for stamp in found.guards or ()]
    assert watched == ["requirements.txt", "roost.lock"], "its lock file may appear"


@pytest.mark.parametrize("how", ["included", "text", "document"])
async def test_whatever_is_large_of_it_counts(tmp_path: Path, workers: WorkerPool, how: str) -> None:
    if how == "included":
        (tmp_path / "all.txt").write_text(LINES)
        selector = write(tmp_path, "-r all.txt\n")
    elif how == "text":
        selector = EnvironmentSelector(cwd=str(tmp_path), file="requirements.txt", text=LINES)
    else:
        document = {"pip": {"requirements": LINES.splitlines()}}
        selector = EnvironmentSelector(cwd=str(tmp_path), document=document)
    found = await read(workers, selector)
    assert len(workers.list_pids()) == 1
    assert found.definition.pip.requirements


async def test_a_large_file_of_one_folder_reads_nothing_outside(tmp_path: Path, workers: WorkerPool) -> None:
    stage = tmp_path / "stage"
    stage.mkdir()
    (tmp_path / "more.txt").write_text("six\n")
    selector = write(stage, LINES)
    assert (await resolve(selector, Defaults(), folder=str(stage), workers=workers)).definition.pip.requirements
    selector = write(stage, LINES + "-r ../more.txt\n")
    with pytest.raises(PathOutsideError) as caught:
        await resolve(selector, Defaults(), folder=str(stage), workers=workers)
    assert caught.value.fields["path"] == str(tmp_path / "more.txt")
    assert len(workers.list_pids()) == 1


async def test_an_error_in_a_large_file_has_its_place(tmp_path: Path, workers: WorkerPool) -> None:
    with pytest.raises(InvalidDefinitionError) as caught:
        await read(workers, write(tmp_path, LINES + "not a requirement!\n"))
    location = caught.value.location
    assert location is not None
    assert (location.path, location.line) == (str(tmp_path / "requirements.txt"), LINES.count("\n") + 1)
    assert len(workers.list_pids()) == 1


async def test_reading_that_takes_too_long_names_the_file(
    tmp_path: Path, workers: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {**msgspec.structs.asdict(large_inputs.READ), "timeout": 0.001}
    monkeypatch.setattr(large_inputs, "READ", WorkerJob(**fields))
    with pytest.raises(ReadingTimeoutError) as caught:
        await read(workers, write(tmp_path, LINES))
    path = str(tmp_path / "requirements.txt")
    assert (
        caught.value.message
        == f"{path} was not read within 0.001 s: it has {len(LINES):,} bytes, with what it includes"
    )
    assert caught.value.fields == {"bytes": len(LINES), "seconds": 0.001}
    assert workers.list_pids() == []


@needs_corpus
def test_what_is_read_travels_unchanged() -> None:
    count = 0
    for path in sorted(CORPUS.rglob("*"))[::7]:
        if not path.is_file() or path.stat().st_size > LARGE_BYTES:
            continue
        selector = EnvironmentSelector(cwd=str(path.parent), file=path.name)
        try:
            found = read_large(LargeReadRequest(selector=selector, defaults=Defaults()), UNUSED)
        except (InvalidDefinitionError, StoreError, OSError):
            continue
        count += 1
        data = msgspec.msgpack.encode(found)
        assert msgspec.msgpack.decode(data, type=ResolvedDefinition) == found
    assert count > 20


def test_requests_travel_unchanged(tmp_path: Path) -> None:
    selector = EnvironmentSelector(cwd="/", document={"a": [1, {"b": None}]}, environ={"A": "b"}, command=["x"])
    request = LargeReadRequest(selector=selector, defaults=Defaults())
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(request), type=LargeReadRequest) == request
