"""The table of watches: a path has one, and inputs stay unless others are given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from roost.model.records import WatchRecord
from roost.store.index.index import Index


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    opened = await Index.open(str(tmp_path / "index.db"))
    yield opened
    await opened.close()


def record(watch_id: str, path: str, **fields: object) -> WatchRecord:
    return WatchRecord(id=watch_id, path=path, origin="used", last_used="2026-01-01T00:00:00.000000Z", **fields)  # type: ignore[arg-type]


async def test_a_row_keeps_its_inputs_unless_others_are_given(index: Index) -> None:
    await index.watches.put([record("w1", "/a", inputs=b"[1]"), record("w2", "/b")])
    await index.watches.put([record("w1", "/a", body=b"[2]", paused=True)])
    first, second = await index.watches.list_all()
    assert (first.body, first.inputs, first.paused) == (b"[2]", b"[1]", True)
    assert (second.body, second.inputs) == (b"{}", b"{}")


async def test_a_path_has_one_watch(index: Index) -> None:
    await index.watches.put([record("w1", "/a")])
    await index.watches.put([record("w2", "/a"), record("w3", "/b")], ["w1"])
    assert [each.id for each in await index.watches.list_all()] == ["w2", "w3"]
    await index.watches.put([], ["w2", "w3", "unknown"])
    assert await index.watches.list_all() == []


async def test_news_that_are_not_found_any_more_are_forgotten(index: Index) -> None:
    await index.watches.replace_news({"a": "1", "b": "2"})
    await index.watches.replace_news({"b": "3"})
    assert await index.watches.list_news() == {"b": "3"}
