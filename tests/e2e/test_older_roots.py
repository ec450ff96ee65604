"""A root of the version before serves: its launch plans, prefixes, runs, environments and images."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.older_roots import WORK, expected, root_of_format_1
from tests.support.roost_process import Roost

from roost.store.migrations.schema import SCHEMA_VERSION

SCHEMA_OF_ARCHIVE = 5
SAY = "echo $COLOUR $ACTIVATED_LEVEL; cat $CONDA_PREFIX/share/dated.txt"
PREFIX = expected("plan")["plans"][0]["artifact"]["path"]
MANIFEST = Path(f"{PREFIX}.manifest")


def read_rows(path: str) -> dict[str, list[dict[str, object]]]:
    """All rows of all tables of an index."""
    with contextlib.closing(sqlite3.connect(path)) as index:
        index.row_factory = sqlite3.Row
        tables = [name for (name,) in index.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
        return {name: [dict(row) for row in index.execute(f'SELECT * FROM "{name}"')] for name in tables}


@pytest.fixture
def older() -> Iterator[Roost]:
    """roost on the older root."""
    with root_of_format_1() as roost:
        yield roost


def test_its_prefix_starts_a_command_and_a_new_launch_plan_is_written(older: Roost) -> None:
    """Its own launch plans have an older format, which left the caller's PYTHONHOME and user site as they were."""
    (former,) = [path for path in (older.root / "launch").rglob("*") if path.is_file()]
    assert former.relative_to(older.root / "launch").parts[0] == "1"
    show = f"{SAY}; echo $CONDA_PREFIX $PYTHONNOUSERSITE"
    written: list[Path] = []
    while not written:  # none is written while the prefix is adopted, in the background of the first command
        assert older.ok("exec", "--", "sh", "-c", show) == f"blue 3\n2\n{PREFIX} 1\n"
        written = [path for path in (older.root / "launch/2").rglob("*") if path.is_file()]
    assert not former.exists()


@pytest.mark.parametrize("command", ["plan", "env show kept", "env versions kept", "runs list", "digest"])
def test_it_answers_what_the_older_version_answered(older: Roost, command: str) -> None:
    found, before = older.json(*command.split()), expected(command.replace(" ", "-"))
    for run in before.get("runs", []):
        run |= {"python_path": None, "word_variables": [], "options": {}, "project": None}  # fields are only added
        run |= {"host": "", "git": None, "note": None, "tags": [], "output_kept": run["detached"]}
    for plan in before.get("plans", []):
        plan |= {"seconds": None, "changes": []}
    assert found == before


def test_its_index_is_copied_before_it_is_migrated_and_its_rows_stay(older: Roost) -> None:
    index = str(older.root / "index.db")
    before = read_rows(index)
    older.ok("daemon", "start")
    older.ok("daemon", "stop")
    (copy,) = older.root.glob("index.db.schema-*")
    assert copy.name == f"index.db.schema-{SCHEMA_OF_ARCHIVE}"
    assert read_rows(str(copy)) == before
    after = read_rows(index)
    assert after.keys() >= before.keys()
    for table in before.keys() - {"sqlite_sequence"}:  # columns and rows are only added
        old_rows = [set(row.items()) for row in before[table]]
        assert all(any(row <= set(new.items()) for new in after[table]) for row in old_rows), table
    older.ok("daemon", "start")
    assert list(older.root.glob("index.db.schema-*")) == [copy]


def test_the_older_version_refuses_its_root_once_it_is_migrated(older: Roost) -> None:
    """Its code compares ``user_version`` with its own number, and ``format`` with 1. Only the first has changed: the
    refusal then names the index and both schemas."""
    older.ok("daemon", "start")
    older.ok("daemon", "stop")
    with contextlib.closing(sqlite3.connect(older.root / "index.db")) as index:
        assert index.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION > SCHEMA_OF_ARCHIVE
    assert (older.root / "format").read_text() == "1\n"


def test_its_images_are_known(older: Roost) -> None:
    older.config.write_text(older.config.read_text() + '[docker]\nhost = "unix:///tmp/no-engine.sock"\n')
    (image,) = older.json("image", "list")["images"]
    (before,) = expected("image-list")["images"]
    of_engine = {"in_engine": None, "bytes": None}
    assert {**image, **of_engine} == {**before, **of_engine}
    assert older.json("digest", cwd=WORK / "img") == expected("img-digest")


def test_its_prefix_is_run_in_and_is_as_its_packages_say(older: Roost) -> None:
    assert older.ok("run", "--", "sh", "-c", SAY) == "blue 3\n2\n"
    assert older.json("runs", "list")["runs"][0]["artifact"] == expected("plan")["plans"][0]["artifact"]["id"]
    assert older.ok("runs", "rerun", expected("runs-list")["runs"][1]["id"]) == "red\n"
    older.ok("cache", "verify")


def test_a_removed_prefix_comes_back_from_its_lock(older: Roost) -> None:
    (older.root / "prefixes").joinpath(PREFIX).joinpath("conda-meta", "history").unlink()
    built = older.json("build")["build"]
    assert (built["generation"], built["lock_digest"]) == (1, expected("plan")["lock_digest"])
    assert built["artifacts"][0]["path"] != PREFIX
    assert older.ok("exec", "--", "sh", "-c", SAY) == "blue 3\n2\n"


def wait_until_adopted() -> None:
    deadline = time.monotonic() + 60
    while not MANIFEST.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert MANIFEST.exists()


def is_served(older: Roost) -> bool:
    """Whether the prefix of the archive is the one that is used."""
    artifact = older.json("plan")["plans"][0]["artifact"]
    return artifact is not None and artifact["path"] == PREFIX


def action(older: Roost) -> str:
    plan: dict[str, str] = older.json("plan")["plans"][0]
    return plan["action"]


def test_its_prefix_gets_a_manifest_and_guards_when_it_is_first_used(older: Roost) -> None:
    older.ok("daemon", "start")
    assert not MANIFEST.exists()
    older.ok("run", "--", "true")
    wait_until_adopted()
    assert action(older) == "reuse-prefix"
    assert (Path(PREFIX) / "conda-meta").stat().st_mode & 0o777 == 0o555
    assert older.ok("exec", "--", "sh", "-c", f"{SAY}; echo $CONDA_PREFIX") == f"blue 3\n2\n{PREFIX}\n"
    answer = older.json("cache", "verify")
    assert (answer["findings"], answer["older"]) == ([], 0)
    (Path(PREFIX) / "conda-meta").chmod(0o755)
    (Path(PREFIX) / "conda-meta" / "new").touch()
    plan = older.json("plan")["plans"][0]
    assert plan["action"] == "build-prefix"
    assert plan["reasons"][-1]["message"] == f"{PREFIX}/conda-meta was changed outside of roost: new added"


def test_verify_compares_its_prefix_with_what_its_packages_state(older: Roost) -> None:
    assert "1 prefix of an older format" in older.ok("cache", "verify")
    assert MANIFEST.exists()
    answer = older.json("cache", "verify")
    assert (answer["findings"], answer["older"]) == ([], 0)


def test_its_prefix_is_served_no_longer_if_it_was_changed(older: Roost) -> None:
    """Its own guards hold. The check begins with its first use, and may end before that command starts."""
    older.ok("daemon", "start")
    dated = Path(PREFIX) / "share/dated.txt"
    dated.write_text("3\n")
    older.ok("run", "--", "true")
    deadline = time.monotonic() + 60
    while is_served(older) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_served(older)
    assert not MANIFEST.exists()
    assert older.ok("run", "--", "sh", "-c", SAY) == "blue 3\n2\n"


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert path.exists()


def test_idle_verification_lets_its_prefix_survive_the_loss_of_the_index() -> None:
    """Nobody uses it meanwhile. A record that is lost later is written again."""
    record = Path(f"{PREFIX}.record")
    with root_of_format_1("[daemon]\nidle_work_seconds = 0.2\n[cache]\nverify_days = 0.000001\n") as older:
        older.ok("daemon", "start")
        wait_for(record)
        assert MANIFEST.exists()
        older.ok("daemon", "stop")
        record.unlink()
        with contextlib.closing(sqlite3.connect(older.root / "index.db", isolation_level=None)) as index:
            index.execute("DELETE FROM idle_work")
        older.ok("daemon", "start")
        wait_for(record)
        older.ok("daemon", "stop")
        for path in older.root.glob("index.db*"):
            path.unlink()
        repaired = older.failed(1, "doctor", "--repair")["repair"]  # of runs of that version, only the output is left
        assert repaired["prefixes"] == [PREFIX]
        assert older.ok("exec", "--", "sh", "-c", f"{SAY}; echo $CONDA_PREFIX") == f"blue 3\n2\n{PREFIX}\n"
