"""`roost doctor --repair`: a lost or damaged index, modes, and what lies in the root without belonging there."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from random import Random

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

CODE = ("--", "python", "-c", "import greet; print(greet.value)")


def build(roost: Roost, pip_index: PipIndex) -> Path:
    """The prefix of an environment that was run, with the daemon stopped."""
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    assert roost.ok("run", "-f", "requirements.txt", *CODE) == "1.0\n"
    roost.ok("daemon", "stop")
    (prefix,) = [path for path in (roost.root / "prefixes").iterdir() if path.is_dir()]
    return prefix


def prefixes(roost: Roost) -> list[Path]:
    return [path for path in (roost.root / "prefixes").iterdir() if path.is_dir()]


def test_a_root_without_an_index_serves_the_same_prefix_after_a_repair(roost: Roost, pip_index: PipIndex) -> None:
    prefix = build(roost, pip_index)
    for end in ("", ".copy"):
        (roost.root / f"index.db{end}").unlink(missing_ok=True)
    assert "`roost doctor --repair`" in roost.failed(5, "daemon", "start")["hint"]
    done = roost.run("doctor", "--repair")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("lost  all that only the index knew: names, versions and labels of environments")
    assert "1 prefix compared byte by byte with what was built, and in use again" in lines
    assert roost.ok("exec", "-f", "requirements.txt", *CODE) == "1.0\n"
    assert prefixes(roost) == [prefix]
    (run,) = roost.json("runs", "list")["runs"]
    assert run["state"] == "succeeded"
    assert roost.ok("run", "-f", "requirements.txt", *CODE) == "1.0\n"
    assert roost.run("doctor").returncode == 0
    healthy = roost.json("doctor", "--repair")["repair"]  # which exits 0, too
    assert [healthy[key] for key in ("done", "lost", "left")] == [[], [], []]
    assert prefixes(roost) == [prefix]


def test_a_collection_after_a_repair_knows_the_caches(roost: Roost, pip_index: PipIndex) -> None:
    build(roost, pip_index)
    (roost.root / "index.db").unlink()
    roost.ok("doctor", "--repair")
    steps = roost.json("cache", "gc", "--all", "--dry-run")["steps"]
    assert {"prefix", "wheel"} <= {step["kind"] for step in steps}


def test_a_damaged_index_loses_nothing_that_can_be_read(roost: Roost, pip_index: PipIndex) -> None:
    prefix = build(roost, pip_index)
    random = Random(5)
    index = roost.root / "index.db"
    with sqlite3.connect(index) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'durations'").fetchone()
    connection.close()
    with index.open("r+b") as file:
        file.write(random.randbytes(16))
        file.seek((page - 1) * 4096)
        file.write(random.randbytes(4096))
    repaired = roost.json("doctor", "--repair")["repair"]
    assert [line.split(":")[0] for line in repaired["lost"]] == ["durations of past builds"]
    assert repaired["prefixes"] == [str(prefix)]
    assert repaired["kept"] == [f"{index}.damaged-1"]
    assert roost.ok("exec", "-f", "requirements.txt", *CODE) == "1.0\n"
    assert prefixes(roost) == [prefix]
    assert roost.json("runs", "list")["runs"][0]["state"] == "succeeded"
    assert len(roost.json("env", "list")["environments"]) == 1


def test_an_altered_prefix_is_named_and_built_again(roost: Roost, pip_index: PipIndex) -> None:
    prefix = build(roost, pip_index)
    (module,) = prefix.glob("lib/python*/site-packages/greet.py")
    content = module.read_bytes()
    module.parent.chmod(0o755)
    module.unlink()  # a new file: the old one is a link into the cache
    module.write_bytes(content.replace(b"1.0", b"6.6"))
    (roost.root / "index.db").unlink()
    repaired = roost.json("doctor", "--repair")["repair"]
    assert [line for line in repaired["lost"] if line.startswith(f"{prefix}: ")]
    assert repaired["prefixes"] == []
    assert roost.ok("exec", "-f", "requirements.txt", *CODE) == "1.0\n"
    assert prefixes(roost) != [prefix]


def test_what_does_not_belong_is_reported_and_repaired(roost: Roost, pip_index: PipIndex) -> None:
    prefix = build(roost, pip_index)
    root = roost.root
    (root / "prefixes" / "00000000-strayyyy").mkdir()
    (root / "index.db.12345678.new").write_text("cut")
    (root / "notes.txt").write_text("mine")
    (root / "trash" / "half").mkdir()
    (prefix / "lib").chmod(0o755)
    guarded = prefix / "bin"
    guarded.chmod(0o755)
    prefix.with_name(f"{prefix.name}.record").unlink()
    root.chmod(0o777)
    assert roost.failed(5, "daemon", "start")["code"] == "root-shared"
    repaired = roost.json("doctor", "--repair")["repair"]
    text = "\n".join(repaired["done"])
    assert f"{root}/.: mode 0777 set to 0755" in text
    assert f"{root}/prefixes/00000000-strayyyy: deleted" in text
    assert f"{root}/index.db.12345678.new is a file that was not written to its end: deleted" in text
    assert f"{prefix} has folders that should be read-only: read-only again" in text
    assert f"{prefix}.record is not there: written again" in text
    assert repaired["left"] == []
    assert (root / "notes.txt").read_text() == "mine"
    assert guarded.stat().st_mode & 0o777 == 0o555
    assert not (root / "trash" / "half").exists()
    assert roost.ok("exec", "-f", "requirements.txt", *CODE) == "1.0\n"
    assert prefixes(roost) == [prefix]


def test_a_repair_that_is_killed_is_begun_again(roost: Roost, pip_index: PipIndex) -> None:
    prefix = build(roost, pip_index)
    with (roost.root / "index.db").open("r+b") as file:
        file.write(b"\xff" * 16)
    # The whole sweeps are in tests/unit; this is a state that the start of a daemon has to refuse.
    killed = roost.run("doctor", "--repair", variables={"ROOST_FAILPOINT": "rebuild.aside"})
    assert killed.returncode == 5
    assert f"The repair ended with status {-signal.SIGKILL}" in killed.stderr
    assert roost.failed(5, "daemon", "start")["code"] == "index-missing"
    assert roost.run("doctor", "--repair", variables={"ROOST_FAILPOINT": "repair.index-done"}).returncode == 5
    assert roost.json("doctor", "--repair")["repair"]["lost"] == []
    assert roost.ok("exec", "-f", "requirements.txt", *CODE) == "1.0\n"
    assert prefixes(roost) == [prefix]
    assert len(roost.json("env", "list")["environments"]) == 1


def test_a_daemon_with_something_to_do_is_not_stopped(roost: Roost, pip_index: PipIndex) -> None:
    prefix = build(roost, pip_index)
    held = roost.start("run", "-f", "requirements.txt", "--", "python", "-c", "input()", stdin=subprocess.PIPE)
    while not any(run["state"] == "running" for run in roost.json("runs", "list")["runs"]):
        time.sleep(0.05)
    (prefix / "bin").chmod(0o755)
    pid = roost.daemon_pid()
    error = roost.failed(1, "doctor", "--repair")
    # A request whose answer somebody has may not have ended in the daemon yet.
    assert (error["code"], error["fields"]["run"]) == ("daemon-busy", 1)
    assert roost.daemon_pid() == pid
    held.communicate("\n")
    repaired = roost.json("doctor", "--repair")["repair"]
    assert repaired["done"] == [f"{prefix} has folders that should be read-only: read-only again"]


pytestmark = pytest.mark.timeout(600)
