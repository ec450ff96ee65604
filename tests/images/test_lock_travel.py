"""Wheels that one machine had to build travel with the lock, and nothing of them runs again on the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.images.registries import Registries
from tests.support.pip_index import PipIndex, backend_files, sdist_bytes, wheel_bytes
from tests.support.roost_process import Roost, clone, new_roost

VALUES = "import needsbuild, folder, greet; print(needsbuild.value, folder.value, greet.value)"


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    return tmp_path / "traces"


@pytest.fixture
def machines(
    pip_index: PipIndex, registries: Registries, channel: Path, conda_packages: Path, traces: Path
) -> Iterator[tuple[Roost, Roost]]:
    pip_index.add("needsbuild", sdist_bytes("needsbuild", "1.0", str(traces)))
    pip_index.wheel("greet", "1.0", "needsbuild")
    made = []
    for _ in range(2):
        roost = new_roost()
        clone(conda_packages, roost.root / "packages")
        roost.config.write_text(
            f'[pip]\nindex_url = "{pip_index.url}"\n[conda.mirrors]\n"conda-forge" = ["{channel.as_uri()}"]\n'
            f'[registries]\nworkspace = "{registries.workspace.host}/team"\n'
        )
        roost.write(
            "environment.yml",
            "channels: [conda-forge]\ndependencies:\n  - python=3.11\n  - pip\n  - pip:\n"
            "      - greet\n      - ./folder\n      - ./given-1.0-py3-none-any.whl\n",
        )
        for name, text in backend_files("folder", "3.0", str(traces), static=True).items():
            roost.write(f"folder/{name}", text)
        (roost.folder / "given-1.0-py3-none-any.whl").write_bytes(wheel_bytes("given", "1.0")[1])
        made.append(roost)
    yield made[0], made[1]
    for roost in made:
        roost.end()


def test_built_wheels_travel_with_the_lock(
    machines: tuple[Roost, Roost], traces: Path, registries: Registries, pip_index: PipIndex
) -> None:
    first, second = machines
    built = first.json("build")["build"]
    assert "lock-pushed" in [reason["code"] for reason in built["reasons"]], built["reasons"]
    ran = traces.read_text()
    assert ran.count("ran") >= 2
    taken = second.json("build")["build"]
    assert taken["lock_digest"] == built["lock_digest"]
    assert traces.read_text() == ran, "nothing was built again"
    assert second.ok("exec", "--", "python", "-c", VALUES).split() == ["1.0", "built", "3.0", "built", "1.0"]
    layers = [
        json.loads(path.read_bytes())
        for path in (registries.workspace.folder / "data").rglob("blobs/sha256/*/*/data")
        if path.read_bytes().startswith(b'{"annotations"')
    ]
    assert sorted(layer["mediaType"] for layer in layers[0]["layers"]) == [
        "application/vnd.roost.lock.v1+json",
        "application/vnd.roost.wheel.v1+zip",
        "application/vnd.roost.wheel.v1+zip",
    ]
