"""What a lock leaves to do, by what is in the caches."""

from __future__ import annotations

import msgspec

from roost.daemon.estimates.work import MissingLayers, image_work, layer_work, list_cache_ids, prefix_work
from roost.model.caches import CachedFile, CacheKind
from roost.model.locks.lock import CondaPackage, CondaPython, HostPython, Lock, ProjectLayer, Wheel, WheelSource

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)
PYTHON = CondaPackage(
    name="python", version="3.11.9", build="h_0", subdir="linux-64", file_name="p", url="u", sha256=A, size=1000
)
PURE = CondaPackage(
    name="pure",
    version="1.0",
    build="py_0",
    subdir="noarch",
    file_name="q",
    url="v",
    sha256=B,
    size=200_000,
    record={"noarch": "python"},
)
WHEEL = Wheel(name="idna", version="3.7", file_name="idna-3.7-py3-none-any.whl", url="w", sha256=C, size=50)
LOCK = Lock(platform="linux-64", provider=CondaPython(), conda=(PYTHON, PURE), wheels=(WHEEL,))


def row(item_id: str, kind: CacheKind, key: str = "", size: int | None = None, **counts: int) -> CachedFile:
    return CachedFile(id=item_id, kind=kind, key=key, bytes=size, stamp=1, last_used="2026", **counts)


def amounts(lock: Lock, *cached: CachedFile) -> dict[str, dict[str, float]]:
    return {step.step: dict(step.amounts) for step in prefix_work(lock, cached).steps}


def test_with_empty_caches_everything_is_downloaded_and_nothing_is_compiled() -> None:
    assert prefix_work(LOCK, []).download_bytes == 201_050
    found = amounts(LOCK)
    assert (found["link"]["channel"], found["link"]["fetched"]) == (201_000, 2)
    assert (found["pip"]["index"], found["pip"]["fetched"]) == (50, 1)
    assert found["bytecode"] == {"linked": 0}
    assert (found["link"]["files"], found["link"]["unseen"]) == (0, 201_000)


def test_what_is_unpacked_or_there_as_a_file_is_not_downloaded() -> None:
    unpacked = row("packages/conda/packages/python-3.11.9-h_0", "package", "conda:python-3.11.9-h_0", 120_000)
    assert prefix_work(LOCK, [unpacked]).download_bytes == 200_050
    archive = row(f"packages/conda/archives/{B}", "package", "", 4096)
    assert archive.id in list_cache_ids(LOCK)
    assert prefix_work(LOCK, [unpacked, archive]).download_bytes == 50
    wheel = row("wheels/uv/archive-v0/x", "wheel", "pip:idna==3.7", 90_000)
    assert prefix_work(LOCK, [unpacked, archive, wheel]).download_bytes == 0
    fetched = row(f"wheels/fetched/{C}", "wheel")
    assert prefix_work(LOCK, [unpacked, archive, fetched]).download_bytes == 0


def test_files_count_as_they_were_when_they_were_unpacked() -> None:
    counted = row("p", "package", "conda:python-3.11.9-h_0", 90_000, files=70)
    older = row("p", "package", "conda:python-3.11.9-h_0", 120_000)
    assert (amounts(LOCK, counted)["link"]["files"], amounts(LOCK, counted)["link"]["unseen"]) == (70, 200_000)
    assert (amounts(LOCK, older)["link"]["files"], amounts(LOCK, older)["link"]["unseen"]) == (11, 200_000)


def test_byte_code_counts_for_its_python_only() -> None:
    pure = row("q", "package", "conda:pure-1.0-py_0", 90_000, files=40, sources=30, source_bytes=60_000)

    def kept(tag: str) -> CachedFile:
        return row(f"packages/bytecode/{B}-{tag}", "bytecode", f"sha256:{B}")

    other, own = amounts(LOCK, pure, kept("cpython-312-aa")), amounts(LOCK, pure, kept("cpython-311-aa"))
    assert (other["bytecode"], own["bytecode"]) == ({"linked": 0}, {"linked": 30})


def test_given_wheels_are_not_downloaded_and_sources_are_built() -> None:
    local = Wheel(name="own", version="1", kind="local", sha256=D, size=70, file_name="own-1-py3-none-any.whl")
    source = Wheel(name="built", version="1", kind="built", source=WheelSource(kind="sdist", sha256=A))
    folder = Wheel(name="here", version="1", kind="editable", path="/here")
    lock = Lock(platform="linux-64", provider=HostPython(version="3.11"), wheels=(local, source, folder))
    found = prefix_work(lock, [])
    assert found.download_bytes == 0
    steps = {step.step: step.amounts for step in found.steps}
    assert steps["build-wheels"]["sources"] == 1
    assert "link" not in steps


def test_a_project_layer_downloads_nothing_and_has_a_past_of_its_own() -> None:
    project = Wheel(name="demo", version="1", kind="editable", path="/work", sha256=D)
    layer = msgspec.structs.replace(LOCK, wheels=(WHEEL, project), layer=ProjectLayer(name="demo", base="sha256:b"))
    below = prefix_work(LOCK, [])
    steps = {step.step: step for step in layer_work(below, layer)}
    assert {*steps} == {step.step for step in below.steps} | {"project"}
    assert [name for step in steps.values() for name in ("fetched", "channel", "index") if name in step.amounts] == []
    alone = {step.step: step for step in prefix_work(layer, []).steps}
    assert alone["project"] == steps["project"] != alone["pip"]
    elsewhere = msgspec.structs.replace(layer, wheels=(WHEEL, msgspec.structs.replace(project, path="/other")))
    assert {step.step: step for step in prefix_work(elsewhere, []).steps}["project"] != steps["project"]


def test_an_image_links_and_writes_only_what_has_no_layer_yet() -> None:
    missing = MissingLayers(
        layers=2, packages=frozenset({("conda", "pure"), ("wheel", "idna")}), loaded=5, loaded_bytes=900
    )
    pure = row("q", "package", "conda:pure-1.0-py_0", 90_000, files=40, sources=30, source_bytes=60_000)
    work = image_work(LOCK, [pure], missing)
    assert [step.step for step in work.steps] == ["link", "layers", "load"]
    link, layers, load = (dict(step.amounts) for step in work.steps)
    assert link["packages"] == 2  # those of conda can only be linked together
    assert (layers["layers"], layers["bytes"], layers["index"]) == (2, 200_050, 50)
    assert (layers["files"], layers["sources"], layers["unseen"]) == (40, 30, 50)
    assert load == {"layers": 5, "bytes": 900, "registry": 0}
    assert work.download_bytes == 1000 + 50


def test_an_image_whose_layers_are_all_here_is_only_loaded() -> None:
    work = image_work(LOCK, [], MissingLayers(loaded=3, loaded_bytes=70, registry_bytes=30))
    assert [(step.step, dict(step.amounts)) for step in work.steps] == [
        ("load", {"layers": 3, "bytes": 70, "registry": 30})
    ]
    assert work.download_bytes == 30
