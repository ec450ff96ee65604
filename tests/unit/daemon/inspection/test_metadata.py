"""What wheels need, read from a prefix, from uv's cache and from files that may be damaged."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.pip_index import wheel_bytes

from roost.daemon.inspection.metadata import find_providers, read_needs
from roost.model.locks.lock import HostPython, Lock, Wheel
from roost.store.disk.layout import Layout

SITE = "lib/python3.11/site-packages"


def put_metadata(folder: Path, name: str, *requires: str) -> None:
    folder.mkdir(parents=True)
    lines = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{lines}\nRequires-Dist: no\n")


def lock_of(*wheels: Wheel) -> Lock:
    return Lock(platform="linux-64", provider=HostPython(version="3.11"), wheels=wheels)


def test_the_prefix_the_cache_and_files_are_read_and_nothing_else_is_known(tmp_path: Path) -> None:
    prefix, layout = tmp_path / "p", Layout(str(tmp_path / "root"))
    put_metadata(prefix / SITE / "In_Prefix-1.dist-info", "In_Prefix", "a>=1", 'b; extra == "x"')
    put_metadata(prefix / SITE / "other_version-2.dist-info", "other-version", "wrong")
    put_metadata(Path(layout.root) / "wheels/uv/archive-v0/x/cached-1.dist-info", "cached", "c")
    good, bad = "aa" * 32, "bb" * 32
    name, data = wheel_bytes("filed", "1", ("d",))
    for sha256, content in ((good, data), (bad, data[: len(data) // 2])):
        folder = Path(layout.wheels, "given", sha256)
        folder.mkdir(parents=True)
        (folder / name).write_bytes(content)
    lock = lock_of(
        Wheel(name="in-prefix", version="1"),
        Wheel(name="other-version", version="1"),
        Wheel(name="cached", version="1"),
        Wheel(name="filed", version="1", sha256=good),
        Wheel(name="damaged", version="1", sha256=bad),
    )
    found = read_needs(layout, str(prefix), lock, {"cached": "wheels/uv/archive-v0/x"})
    assert found == {"in-prefix": ("a>=1", 'b; extra == "x"'), "cached": ("c",), "filed": ("d",)}


def test_a_distribution_of_a_conda_package_with_another_name(tmp_path: Path) -> None:
    put_metadata(tmp_path / SITE / "torch-2.4.dist-info", "torch")
    meta = tmp_path / "conda-meta"
    meta.mkdir()
    record = {"name": "pytorch", "files": [f"{SITE}/torch-2.4.dist-info/METADATA", "bin/x"]}
    (meta / "pytorch-2.4-0.json").write_text(json.dumps(record))
    (meta / "broken.json").write_text("{")
    assert find_providers(str(tmp_path), ["torch", "absent"]) == {"torch": "pytorch"}
