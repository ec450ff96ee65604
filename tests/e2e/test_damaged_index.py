"""An index that can't be opened: the command and the log name it, nothing is lost, and what the hint says works."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from pathlib import Path

from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

CODE = ("--", "python", "-c", "import greet; print(greet.value)")


def build(roost: Roost, pip_index: PipIndex) -> Path:
    """The prefix of an environment."""
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    assert roost.ok("exec", "-f", "requirements.txt", *CODE) == "1.0\n"
    (prefix,) = [path for path in (roost.root / "prefixes").iterdir() if path.is_dir()]
    return prefix


def test_a_lost_index_is_reported_and_a_backup_of_it_serves_again(roost: Roost, pip_index: PipIndex) -> None:
    prefix = build(roost, pip_index)
    roost.ok("daemon", "stop")
    backup = roost.folder / "backup.db"
    shutil.copy(roost.root / "index.db", backup)
    for damage, code in ((os.unlink, "index-missing"), (lambda path: path.write_text("text\n" * 99), "index-damaged")):
        damage(roost.root / "index.db")
        error = roost.failed(5, "daemon", "start")
        assert error["code"] == code
        assert str(roost.root / "index.db") in error["message"]
        assert "Nothing was changed" in error["hint"]
        launched = roost.run("run", "-f", "requirements.txt", *CODE)
        assert launched.returncode == 125
        assert error["message"] in launched.stderr
        assert error["message"] in roost.ok("daemon", "logs")
        assert f" ERROR roost.daemon.serve: {error['message']}" in roost.ok("daemon", "logs")
        assert (prefix / "pyvenv.cfg").exists()
        shutil.copy(backup, roost.root / "index.db")
        assert roost.ok("exec", "-f", "requirements.txt", *CODE) == "1.0\n"
        (again,) = [path for path in (roost.root / "prefixes").iterdir() if path.is_dir()]
        assert again == prefix
        roost.ok("daemon", "stop")


def test_the_way_to_begin_anew_works_as_the_hint_says(roost: Roost, pip_index: PipIndex) -> None:
    prefix = build(roost, pip_index)
    roost.ok("daemon", "stop")
    os.truncate(roost.root / "index.db", 0)
    hint = roost.failed(5, "daemon", "start")["hint"]
    old = Path(f"{roost.root}.old")
    assert f"`mv {roost.root} {old}`" in hint
    roost.root.rename(old)
    try:
        assert roost.ok("exec", "-f", "requirements.txt", *CODE) == "1.0\n"
        assert (old / "prefixes" / prefix.name / "pyvenv.cfg").exists()
    finally:
        shutil.rmtree(old, ignore_errors=True)


def test_doctor_reads_the_whole_index_and_an_unclean_end_does_too(roost: Roost, pip_index: PipIndex) -> None:
    build(roost, pip_index)
    index = roost.root / "index.db"

    def check() -> dict[str, str]:
        (found,) = [each for each in roost.json("doctor")["checks"] if each["name"] == "index"]
        return dict(found)

    assert check()["state"] == "ok"
    pid = roost.daemon_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
        time.sleep(0.02)
    assert index.with_name("index.db-wal").stat().st_size > 0
    roost.ok("env", "list")
    assert "The index was not closed in order; checked with" in roost.ok("daemon", "logs")
    roost.ok("daemon", "stop")

    # A page of an index of a table that few commands read
    connection = sqlite3.connect(index)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'durations'").fetchone()
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    with index.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    done = roost.run("doctor")
    assert done.returncode == 1
    assert f"error  index: The index {index} is damaged" in done.stdout
    assert "Nothing was changed or deleted" in done.stdout
