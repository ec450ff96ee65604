"""SIGKILL at every point of a migration: the next start begins again, with one copy."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.test_store_sweep import KILLED, MEMORY, Children
from tests.support.older_indexes import read_index, write_index

from roost.store.failpoints import FAILPOINT
from roost.store.migrations.schema import SCHEMA_VERSION


@pytest.fixture(scope="module")
def starting() -> Iterator[Children]:
    started = Children()
    yield started
    started.process.stdin.close()
    assert started.process.wait() == 0
    started.process.stdout.close()


def older_root(folder: Path) -> Path:
    root = folder / "r"
    root.mkdir()
    (root / "format").write_text("1\n")
    write_index(str(root / "index.db"), 4)
    return root


def test_a_kill_at_any_point_of_a_migration(starting: Children) -> None:
    with tempfile.TemporaryDirectory(prefix="m", dir=MEMORY) as folder:
        passed = starting.points("recover", str(older_root(Path(folder))))
    points = [point for point in passed if point.startswith("migrate.")]
    assert {f"migrate.{name}:1" for name in ("copy-written", "copied", "5", "6", "committed")} <= set(points)
    for point in points:
        with tempfile.TemporaryDirectory(prefix="m", dir=MEMORY) as folder:
            root = older_root(Path(folder))
            index = root / "index.db"
            assert starting.run("recover", str(root), **{FAILPOINT: point}) == KILLED, point
            whole = [name for name in os.listdir(root) if "schema" in name and not name.endswith(".new")]
            for name in whole:
                shutil.copy(root / name, f"{folder}/seen")
                assert read_index(f"{folder}/seen") == (4, 20), point
            assert starting.run("recover", str(root)) == 0
            assert read_index(str(index)) == (SCHEMA_VERSION, 20), point
            assert [name for name in os.listdir(root) if "schema" in name] == ["index.db.schema-4"], point
            assert read_index(f"{root}/index.db.schema-4") == (4, 20), point
