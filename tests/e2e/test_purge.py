"""`roost cache purge`: everything goes, unless something uses it or it is not of roost."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost


def build(roost: Roost, pip_index: PipIndex) -> Path:
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    roost.ok("build", "-f", "requirements.txt")
    (prefix,) = [path for path in (roost.root / "prefixes").iterdir() if path.is_dir()]
    return prefix


def test_a_root_is_removed_if_it_is_confirmed_and_nothing_uses_it(roost: Roost, pip_index: PipIndex) -> None:
    prefix = build(roost, pip_index)
    error = roost.failed(2, "cache", "purge")
    assert error["code"] == "unconfirmed"
    assert str(roost.root) in error["message"]

    held = roost.start("exec", "-f", "requirements.txt", "--", "python", "-c", "print(1, flush=True); input()",
                       stdin=subprocess.PIPE)  # fmt: skip
    assert held.stdout is not None
    assert held.stdout.readline() == "1\n"
    error = roost.failed(1, "cache", "purge", "--yes")
    assert error["code"] == "in-use"
    assert f"a process in {prefix}" in error["message"]
    held.communicate("\n")

    run = roost.start("run", "-f", "requirements.txt", "--", "python", "-c", "input()", stdin=subprocess.PIPE)
    while not any(each["state"] == "running" for each in roost.json("runs", "list")["runs"]):
        time.sleep(0.05)
    (started,) = roost.json("runs", "list")["runs"]
    error = roost.failed(1, "cache", "purge", "--yes")
    assert error["code"] == "in-use"
    assert f"run {started['id']}" in error["message"]
    run.communicate("\n")
    assert prefix.exists()

    (roost.root / "packages" / "locked").mkdir(parents=True, exist_ok=True)
    (roost.root / "packages" / "locked" / "file").write_text("x")
    (roost.root / "packages" / "locked").chmod(0o555)
    answer = roost.json("cache", "purge", "--yes")
    assert answer == {"root": str(roost.root), "left": [], "images": [], "images_left": []}
    assert not roost.root.exists()
    roost.ok("exec", "-f", "requirements.txt", "--", "python", "-c", "import greet")


def test_what_is_not_of_roost_stays_and_a_damaged_root_goes_too(roost: Roost, pip_index: PipIndex) -> None:
    build(roost, pip_index)
    roost.ok("daemon", "stop")
    (roost.root / "index.db").write_text("text\n" * 99)
    (roost.root / "thesis.tex").write_text("mine")
    done = roost.run("cache", "purge", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{roost.root} has more than what roost removes: thesis.tex\n"
    assert os.listdir(roost.root) == ["thesis.tex"]
    error = roost.failed(1, "cache", "purge", "--yes")
    assert error["code"] == "not-a-root"
    assert os.listdir(roost.root) == ["thesis.tex"]
    (roost.root / "thesis.tex").unlink()
    roost.root.rmdir()
    assert "does not exist" in roost.failed(1, "cache", "purge", "--yes")["message"]
