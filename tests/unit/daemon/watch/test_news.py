"""News are reported once, and neither forgotten nor repeated because a registry did not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from roost.daemon.jobs.events import Events
from roost.daemon.oci.answers import Unknown
from roost.daemon.watch.closure import NOTHING
from roost.daemon.watch.news import WatchNews
from roost.daemon.watch.reading import Reading, WatchSubject
from roost.model.definition import Base, Defaults, Definition
from roost.model.errors import ServiceUnreachableError
from roost.model.locks.lock import CondaPython, Lock
from roost.model.records import NewGeneration
from roost.store.index.index import Index
from roost.wire.plans import Reason


class Elsewhere:
    """Registries, a reader of definitions, and what is watched."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.events = Events(index, keep=100)
        self.base = Base(image="registry.example/base:1")
        self.tag: Any = SimpleNamespace(digest="sha256:one")
        self.newer: dict[str, tuple[int, int | None]] | None = {}
        self.asked: list[str] = []
        config: Any = SimpleNamespace(registries=SimpleNamespace(catalogues=("catalogue.example",)))
        parts: Any = self
        self.news = WatchNews(index, self.events, parts, parts, parts, config, lambda: [WatchSubject(path="/p/a")] * 2)

    async def read(self, subject: WatchSubject) -> Reading:
        definition: Any = SimpleNamespace(
            digest="sha256:d", definition=Definition(base=self.base), defaults=Defaults(), for_image=lambda: definition
        )
        return Reading(closure=NOTHING, definition=definition)

    async def find_in_registry(self, reference: object, platform: str) -> Any:
        self.asked.append(f"{reference} {platform}")
        return self.tag

    async def find_newer(self, location: str) -> dict[str, tuple[int, int | None]]:
        if self.newer is None:
            raise ServiceUnreachableError("no answer")
        return self.newer

    async def look(self) -> list[tuple[str, dict[str, object]]]:
        seen = self.events.last
        await self.news.look()
        return [(each.kind, each.fields) for each in await self.index.events.list_since(seen, 100)]


@pytest.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[Elsewhere]:
    index = await Index.open(str(tmp_path / "index.db"))
    lock = Lock(platform="linux-64", provider=CondaPython())
    new = NewGeneration(definition_digest="sha256:d", platform="linux-64", base_digest="sha256:one")
    await index.generations.add(new, lock)
    yield Elsewhere(index)
    await index.close()


async def test_a_tag_that_moved_is_reported_once_and_adopted_never(elsewhere: Elsewhere) -> None:
    assert await elsewhere.look() == []
    elsewhere.tag = SimpleNamespace(digest="sha256:two")
    ((kind, fields),) = await elsewhere.look()
    assert kind == "base-moved"
    assert (fields["image"], fields["digest"], fields["was"]) == (elsewhere.base.image, "sha256:two", "sha256:one")
    assert fields["paths"] == ["/p/a", "/p/a"]
    assert await elsewhere.look() == []
    elsewhere.tag = Unknown(Reason(code="registry-unknown", message="no answer"))
    assert await elsewhere.look() == []
    elsewhere.tag = SimpleNamespace(digest="sha256:two")
    assert await elsewhere.look() == []
    elsewhere.tag = SimpleNamespace(digest="sha256:three")
    assert len(await elsewhere.look()) == 1
    (generation,) = await elsewhere.index.generations.list_by_definition("sha256:d")
    assert generation.base_digest == "sha256:one"
    assert len(elsewhere.asked) == 6, "one question for one tag"


@pytest.mark.parametrize(
    "base", [Base(image=f"a@sha256:{'0' * 64}"), Base(dockerfile="FROM a"), Base(context="sha256:c")]
)
async def test_what_no_tag_decides_is_not_asked_for(elsewhere: Elsewhere, base: Base) -> None:
    elsewhere.base = base
    assert await elsewhere.look() == []
    assert elsewhere.asked == []


async def test_newer_versions_are_reported_once(elsewhere: Elsewhere) -> None:
    elsewhere.newer = {"Roost-A": (3, 2)}
    expected = {"environment": "Roost-A:3", "known": 2, "registry": "catalogue.example"}
    assert await elsewhere.look() == [("curated-newer", expected)]
    elsewhere.newer = None
    assert await elsewhere.look() == []
    elsewhere.newer = {"Roost-A": (3, 2), "Roost-B": (1, None)}
    ((_, fields),) = await elsewhere.look()
    assert fields["environment"] == "Roost-B:1"
