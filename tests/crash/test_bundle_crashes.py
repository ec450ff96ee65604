"""SIGKILL of the daemon at every point of an import and an export, and a full disk: nothing half is left, and the next
attempt works."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost, new_roost

from roost.store.disk.file_ops import remove_tree

OWN_POINTS = ("bundle.", "archive.", "wheel.", "register-version")


@pytest.fixture(scope="module")
def bundle(channel_url: str) -> Iterator[Path]:
    """A bundle of an environment of a conda package, and of one of a wheel, whose index no longer exists."""
    index, roost = PipIndex(), new_roost()
    index.wheel("greet", "1.0")
    mirrors = f'[conda.mirrors]\n"conda-forge" = ["{channel_url}"]\n'
    roost.config.write_text(f'[pip]\nindex_url = "{index.url}"\n{mirrors}')
    roost.write("c/roost.toml", '[conda]\ndependencies = ["dated=3"]\n')
    roost.write("w/requirements.txt", "greet\n")
    roost.ok("cache", "bundle", "export", "c", "w", "-o", "b.roost")
    index.close()
    yield roost.folder / "b.roost"
    roost.end()


@pytest.fixture
def roost(bundle: Path) -> Iterator[Roost]:
    """Another machine, which has neither the channel nor the index."""
    made = new_roost()
    made.config.touch()
    yield made
    made.end()


def environments(roost: Roost) -> list[str]:
    """The names of those that a daemon finds once it has recovered, each with its generation."""
    roost.fork_daemon()
    roost.ok("daemon", "start")
    with closing(sqlite3.connect(f"file:{roost.root}/index.db?mode=ro", uri=True)) as index:
        assert index.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert index.execute("PRAGMA foreign_key_check").fetchall() == []
        names = index.execute("SELECT name FROM environments WHERE name NOT LIKE 'Roost-%' ORDER BY name").fetchall()
        assert index.execute("SELECT count(*) FROM generations").fetchone()[0] == len(names)
    return [name for (name,) in names]


def check_files(roost: Roost) -> None:
    """Nothing is in the stage, and what has a digest for a name has that digest."""
    assert list((roost.root / "stage").iterdir()) == []
    for folder in ("packages/conda/archives", "wheels/fetched"):
        for path in (roost.root / folder).glob("*/*"):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name


def points(roost: Roost, *command: str) -> list[str]:
    """The fail points that a command passes, each with the number of times."""
    trace = roost.folder / "trace"
    roost.stop()
    roost.variables["ROOST_FAILPOINT_TRACE"] = str(trace)
    roost.fork_daemon()
    roost.ok(*command)
    roost.stop()
    del roost.variables["ROOST_FAILPOINT_TRACE"]
    found = [line.split()[1] for line in trace.read_text().splitlines() if line.startswith("point ")]
    return sorted({each for each in found if each.startswith(OWN_POINTS)})


def kill_at(roost: Roost, point: str, *command: str) -> None:
    roost.stop()
    roost.variables["ROOST_FAILPOINT"] = point
    roost.fork_daemon()
    done = roost.run(*command)
    del roost.variables["ROOST_FAILPOINT"]
    assert done.returncode == 5, f"{point}: {done.stdout}{done.stderr}"


def reset(roost: Roost) -> None:
    roost.stop()
    remove_tree(str(roost.root))
    roost.root.mkdir(mode=0o700)


@pytest.mark.long
def test_killed_at_every_point_of_an_import(roost: Roost, bundle: Path) -> None:
    command = ("cache", "bundle", "import", str(bundle))
    passed = points(roost, *command)
    assert {"archive.placed", "bundle.in-transaction", "bundle.published", "bundle.staged", "wheel.placed"} <= set(
        passed
    )
    for point in passed:
        reset(roost)
        kill_at(roost, point, *command)
        assert environments(roost) == (["c", "w"] if point == "bundle.recorded" else []), point
        check_files(roost)
        roost.ok(*command)
        assert environments(roost) == ["c", "w"]
        check_files(roost)
    assert roost.ok("exec", "-e", "w", "--", "python", "-c", "import greet; print(greet.value)") == "1.0\n"
    roost.ok("build", "-e", "c")


def test_killed_at_every_point_of_an_export(roost: Roost, bundle: Path) -> None:
    roost.ok("cache", "bundle", "import", str(bundle))
    command = ("cache", "bundle", "export", "c", "w", "-o", "again.roost")
    passed = points(roost, *command)
    assert {"bundle.renamed", "bundle.synced", "bundle.written"} <= set(passed)
    output = roost.folder / "again.roost"
    whole = output.read_bytes()
    for point in passed:
        output.write_bytes(b"older")
        kill_at(roost, point, *command)
        assert output.read_bytes() == (whole if point == "bundle.renamed" else b"older"), point
        assert {each.name for each in roost.folder.iterdir()} == {"again.roost", "trace"}


def test_a_full_disk_leaves_nothing(bundle: Path) -> None:
    roost = new_roost()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=2000000,mode=700", "tmpfs", str(roost.root)]
    try:
        if subprocess.run(mounted, capture_output=True, check=False).returncode != 0:
            if os.environ.get("ROOST_TEST_REQUIRE_ALL") == "1":
                pytest.fail("ROOST_TEST_REQUIRE_ALL=1 and no right to mount a tmpfs")
            pytest.skip("no right to mount a tmpfs")
        roost.config.touch()
        roost.ok("env", "list")
        filler = roost.root / "filler"
        filler.write_bytes(b"0" * (shutil.disk_usage(roost.root).free - 40_000))
        error = roost.failed(1, "cache", "bundle", "import", str(bundle))
        assert (error["code"], error["retryable"]) == ("store-full", True)
        check_files(roost)
        filler.unlink()
        assert environments(roost) == []
        roost.ok("cache", "bundle", "import", str(bundle))
    finally:
        roost.stop()
        subprocess.run(["umount", "-l", str(roost.root)], check=False, capture_output=True)
        roost.end()
