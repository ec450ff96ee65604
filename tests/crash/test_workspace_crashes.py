"""SIGKILL of the daemon in the middle of registering, importing, labelling and rolling back: all of it or nothing, and
it goes on afterwards as if nothing had been."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.roost_process import Roost, new_roost

from roost.store.disk.file_ops import remove_tree

FILE = "name = 'train'\n[pip]\nrequirements = []\n[variables]\nA = '{a}'\n"
EXPLICIT = "# platform: linux-64\n@EXPLICIT\n# pip --pre\n"
"""A lock of nothing, and another definition than the one above."""


def zipped(path: Path, files: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


@pytest.fixture(scope="module")
def prepared() -> Iterator[Roost]:
    """roost with an environment that needs no network: two versions, the first labelled, and two generations. No daemon
    runs, and the root is saved beside the working folder."""
    made = new_roost()
    made.config.touch()
    for a in (1, 2):
        made.write("roost.toml", FILE.format(a=a))
        made.ok("env", "register")
        made.ok("build", *(["--rebuild"] if a == 2 else []))
    made.ok("env", "label", "train:1", "prod")
    made.write("roost.toml", FILE.format(a=3))
    made.write("explicit.txt", EXPLICIT)
    zipped(made.folder / "locked.zip", {"explicit.txt": EXPLICIT})
    zipped(made.folder / "packed.zip", {"requirements.txt": "-f links\n", "links/readme": "nothing yet"})
    made.ok("daemon", "stop")
    shutil.copytree(made.root, made.folder / "saved", symlinks=True)
    yield made
    made.end()


@pytest.fixture
def roost(prepared: Roost) -> Iterator[Roost]:
    """``prepared`` as it was at first, at the same place."""
    remove_tree(str(prepared.root))
    shutil.copytree(prepared.folder / "saved", prepared.root, symlinks=True)
    yield prepared
    prepared.variables.clear()
    prepared.stop()


def state(roost: Roost) -> dict[str, Any]:
    """All that is told of it, and whether the index is whole."""
    roost.fork_daemon()
    with closing(sqlite3.connect(f"file:{roost.root}/index.db?mode=ro", uri=True)) as index:
        assert index.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert index.execute("PRAGMA foreign_key_check").fetchall() == []
        current = "SELECT count(*) FROM generations WHERE current GROUP BY definition_digest, platform"
        assert set(index.execute(current).fetchall()) == {(1,)}
    versions = roost.json("env", "versions", "train", "--all")["versions"]
    shown = roost.json("env", "show", "train")
    return {"versions": versions, "generations": shown["generations"], "environments": roost.json("env", "list")}


def killed_in(roost: Roost, point: str, *command: str) -> None:
    roost.ok("daemon", "stop")
    roost.variables["ROOST_FAILPOINT"] = point
    roost.fork_daemon()
    done = roost.run(*command)
    del roost.variables["ROOST_FAILPOINT"]
    assert done.returncode in (5, 125), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("point", "command"),
    [
        ("register-version", ("env", "register", "--label", "prod", "--label", "test")),
        ("register-version", ("env", "register", "--name", "other")),
        ("register-version", ("run", "--", "python", "-c", "pass")),
        ("register-version", ("env", "import", "explicit.txt", "--name", "other")),
        ("register-locked", ("env", "import", "explicit.txt", "--name", "other")),
        ("register-version", ("env", "import", "packed.zip", "--name", "other")),
        ("register-locked", ("env", "import", "locked.zip", "--name", "other")),
        ("keep.copied", ("env", "import", "packed.zip", "--name", "other")),
        ("keep.synced", ("env", "import", "packed.zip", "--name", "other")),
        ("keep.placed", ("env", "import", "packed.zip", "--name", "train")),
        ("put-label", ("env", "label", "train:2", "prod")),
        ("put-label", ("env", "label", "train:2", "new")),
        ("promote-generation", ("env", "rollback", "train")),
        ("promote-generation", ("env", "rollback", "train", "--to", "1")),
    ],
)
def test_killed_before_the_commit_nothing_has_happened(roost: Roost, point: str, command: tuple[str, ...]) -> None:
    before = state(roost)
    killed_in(roost, point, *command)
    assert state(roost) == before
    assert list((roost.root / "stage").iterdir()) == []
    roost.ok(*command)
    assert state(roost) != before


def test_what_was_told_is_there_after_a_kill(roost: Roost) -> None:
    roost.ok("env", "register", "--label", "prod")
    rolled = roost.json("env", "rollback", "train")
    pid = roost.daemon_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    after = state(roost)
    assert after["versions"][0]["labels"] == ["latest", "prod"]
    assert [each["number"] for each in after["generations"] if each["current"]] == [rolled["after"]["number"]] == [1]
