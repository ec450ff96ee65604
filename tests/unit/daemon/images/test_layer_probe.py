"""Which layers of an image are still to be written, loaded, pushed or pulled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from roost.daemon.images.layer_probe import LayerProbe
from roost.daemon.layers.grouping import describe_python, layer_key, list_units
from roost.model.errors import ServiceUnreachableError
from roost.model.locks.lock import CondaPackage, CondaPython, Lock
from roost.model.records import BaseLayer, BaseRecord, Generation, ImageLayer, ImageRecord, LayerRecord
from roost.store.disk.layer_files import blob_path
from roost.store.store import Store

LARGE = 5 << 20


def package(name: str, size: int) -> CondaPackage:
    version = "3.11.9" if name == "python" else "1.0"
    return CondaPackage(
        name=name, version=version, build="0", subdir="linux-64", file_name=name, url=name, sha256="a" * 64, size=size
    )


LOCK = Lock(
    platform="linux-64",
    provider=CondaPython(),
    conda=(package("python", LARGE), package("big", 2 * LARGE), package("small", 70)),
)
BASE = BaseRecord(
    digest="sha256:base",
    config=b"{}",
    layers=(BaseLayer(diff_id="b1", size=1000), BaseLayer(diff_id="b2", size=500)),
    reference="reg:5000/base@sha256:" + "c" * 64,
)


class Loaded:
    """An engine that has the lowest layers of any image, or does not answer."""

    def __init__(self, *diff_ids: str) -> None:
        self.diff_ids: tuple[str, ...] | None = diff_ids

    async def count_loaded(self, image: BaseRecord) -> int:
        if self.diff_ids is None:
            raise ServiceUnreachableError("no engine")
        pairs = zip(image.layers, self.diff_ids, strict=False)
        return next((n for n, (layer, there) in enumerate(pairs) if layer.diff_id != there), len(self.diff_ids))


@pytest_asyncio.fixture
async def store(short_folder: Path) -> AsyncIterator[Store]:
    opened = await Store.open(str(short_folder))
    yield opened
    await opened.close()


def probe(store: Store, loaded: Loaded | None = None) -> LayerProbe:
    engines: Any = SimpleNamespace()
    bases: Any = SimpleNamespace(loader=loaded or Loaded())
    return LayerProbe(store, engines, bases)


async def write_layers(store: Store, *, content: bytes = b"packed") -> list[str]:
    """Store each layer of the lock but the lowest; their diff_ids, from the bottom."""
    units = list_units(LOCK, clear=False)
    for number, unit in enumerate(units[1:]):
        digest = "sha256:" + f"{number:x}" * 64
        path = Path(blob_path(store.layout, digest))
        path.write_bytes(content)
        stamp = path.stat().st_mtime_ns
        key = layer_key(unit, describe_python(LOCK))
        record = LayerRecord(key=key, diff_id=f"own{number}", digest=digest, size=6, stamp=stamp)
        await store.index.layers.put(record)
    return [f"own{number}" for number in range(len(units) - 1)]


async def test_without_anything_all_layers_are_written_and_loaded(store: Store) -> None:
    found = probe(store)
    planned = await found.plan_layers(LOCK, BASE, adds_packages=True)
    missing = await found.find_missing(planned)
    assert (missing.layers, missing.loaded) == (4, 6)  # two large ones, a group, and the top
    assert missing.packages == {("conda", name) for name in ("python", "big", "small")}
    assert missing.loaded_bytes == 1500 + 3 * LARGE + 70
    assert missing.registry_bytes == 1500


async def test_only_what_has_no_layer_is_written_and_what_the_engine_has_is_not_loaded(store: Store) -> None:
    await write_layers(store)
    found = probe(store, Loaded("b1", "b2"))
    planned = await found.plan_layers(LOCK, BASE, adds_packages=True)
    missing = await found.find_missing(planned)
    assert (missing.layers, missing.packages) == (1, {("conda", "big")})
    assert (missing.loaded, missing.loaded_bytes) == (4, 3 * LARGE + 70)
    assert missing.registry_bytes == 0


async def test_a_row_whose_blob_was_removed_or_cut_counts_as_missing(store: Store) -> None:
    await write_layers(store, content=b"cut")
    missing = await (found := probe(store)).find_missing(await found.plan_layers(LOCK, BASE, adds_packages=True))
    assert missing.layers == 4


async def test_an_image_without_packages_has_the_layers_of_its_base(store: Store) -> None:
    found = probe(store, Loaded("b1"))
    missing = await found.find_missing(await found.plan_layers(LOCK, BASE, adds_packages=False))
    assert (missing.layers, missing.loaded, missing.loaded_bytes) == (0, 1, 500)


async def test_an_engine_that_does_not_answer_counts_as_empty(store: Store) -> None:
    silent = Loaded()
    silent.diff_ids = None
    found = probe(store, silent)
    assert (await found.find_missing(await found.plan_layers(LOCK, BASE, adds_packages=False))).loaded == 2
    assert (await found.find_pull_work(BASE.layers)).amounts == {"layers": 2, "bytes": 1500}


async def test_a_pull_brings_what_the_engine_lacks(store: Store) -> None:
    work = await probe(store, Loaded("b1")).find_pull_work(BASE.layers)
    assert (work.step, work.amounts) == ("pull", {"layers": 1, "bytes": 500})


@pytest.mark.parametrize(
    ("location", "pushed_to", "missing"),
    [
        ("other:5000/team", None, 6),
        ("reg:5000/team", None, 4),  # the base's registry: its layers get another name only
        ("other:5000/team", "other:5000/team/images:x", 1),  # the one that is not written yet
        ("other:5000/team", "other:5000/else/images:x", 6),
    ],
)
async def test_a_push_sends_what_was_not_pushed_there_before(
    store: Store, location: str, pushed_to: str | None, missing: int
) -> None:
    own = await write_layers(store)
    found = probe(store)
    planned = await found.plan_layers(LOCK, BASE, adds_packages=True)
    image = ImageRecord(
        key="sha256:k",
        config_digest="sha256:i",
        definition_digest="sha256:d",
        lock_digest="sha256:l",
        platform="linux-64",
        base_digest=BASE.digest,
        name="roost/x:1",
        layers=tuple(ImageLayer(diff_id=diff_id) for diff_id in ("b1", "b2", *own)),
        registry_digests={pushed_to: "sha256:m"} if pushed_to else {},
    )
    await store.index.images.put(image)
    assert (await found.find_push_work(planned, location)).amounts["layers"] == missing


async def test_the_likely_base_is_that_of_the_generation_or_of_the_name(store: Store) -> None:
    await store.index.bases.put(BASE)
    found = probe(store)
    generation = Generation(
        definition_digest="sha256:d",
        platform="linux-64",
        number=1,
        lock_digest="sha256:l",
        created="2026",
        current=True,
        base_digest=BASE.digest,
    )
    assert await found.find_likely_base(generation, "whatever:1") == BASE
    assert await found.find_likely_base(None, "reg:5000/base:2") == BASE
