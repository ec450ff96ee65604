"""`roost doctor` as its user sees it: faults first, each with what to do, and status 1 if there is one."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def quiet(roost: Roost, pip_index: PipIndex, tmp_path: Path) -> Roost:
    """A root whose channels and index are on this machine, and a caller without files of its own."""
    channel = tmp_path / "channel"
    (channel / "noarch").mkdir(parents=True)
    (channel / "noarch" / "repodata.json").write_text("{}")
    pip_index.wheel("pip", "1.0")
    roost.config.write_text(f'[pip]\nindex_url = "{pip_index.url}"\n[conda]\nchannels = ["file://{channel}"]\n')
    roost.variables["HOME"] = str(tmp_path)
    return roost


def examine(roost: Roost, status: int, **variables: str) -> dict[str, list[dict[str, Any]]]:
    """The checks by name."""
    done = roost.run("doctor", "--json", variables=variables)
    assert done.returncode == status, done.stdout + done.stderr
    found: dict[str, list[dict[str, Any]]] = {}
    for check in json.loads(done.stdout)["checks"]:
        found.setdefault(check["name"], []).append(check)
    return found


def test_a_good_machine_and_faults_one_after_the_other(quiet: Roost, tmp_path: Path) -> None:
    good = examine(quiet, 0)
    assert {check["state"] for checks in good.values() for check in checks} <= {"ok", "warning"}
    assert {"daemon", "docker", "channel", "package-index", "registry", "credentials", "shell"} <= set(good)
    assert good["docker"][0]["state"] != "error"

    named = examine(quiet, 1, DOCKER_HOST=f"unix://{tmp_path}/gone.sock")["docker"][0]
    assert (named["state"], f"DOCKER_HOST: unix://{tmp_path}/gone.sock" in named["message"]) == ("error", True)

    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "python3.9").symlink_to("/nonexistent/python3.9")
    (broken / "python3.8").write_bytes(b"\x7fELF")
    (broken / "python3.8").chmod(0o755)
    pythons = examine(quiet, 0, PATH=f"{broken}:{os.environ['PATH']}")["interpreters"]
    assert [each["subject"] for each in pythons if each["state"] == "warning"] == [
        str(broken / "python3.8"),
        str(broken / "python3.9"),
    ]

    before = quiet.config.read_text()
    quiet.config.write_text(before + '[credentials."h"]\nusername = "me"\npassword_variable = "WORD"\n')
    assert examine(quiet, 1)["credentials"][0]["subject"] == "h"
    assert "s3cret" not in json.dumps(examine(quiet, 0, WORD="s3cret-s3cret"))

    units = tmp_path / ".config" / "systemd" / "user"
    units.mkdir(parents=True)
    (units / "roost.service").write_text("[Service]\nExecStart=%h/gone/roostd --x\n")
    # The daemon has its own home: what it was started with.
    quiet.run("daemon", "stop")
    unit = examine(quiet, 1, WORD="s3cret-s3cret")["unit"][0]
    assert f"starts {tmp_path}/gone/roostd, which does not exist" in unit["message"]


def test_a_configuration_that_is_not_valid_hides_nothing(quiet: Roost) -> None:
    examine(quiet, 0)
    quiet.config.write_text(quiet.config.read_text() + "[cache]\nbudget = 1\n")
    done = quiet.run("doctor")
    assert done.returncode == 1
    first, hint, *others = done.stdout.splitlines()
    assert first.startswith("error  config: ")
    assert f"{quiet.config}:6" in first
    assert "budget_bytes" in hint
    assert any(line.startswith("ok  index: ") for line in others)
    assert any(line.split()[0:1] == ["conda.channels"] for line in others)


def test_a_daemon_that_cannot_start_is_a_fault_like_any_other(quiet: Roost) -> None:
    quiet.run("env", "list")
    quiet.run("daemon", "stop")
    (quiet.root / "format").write_text("999\n")
    quiet.forks_daemon = False
    done = quiet.run("doctor")
    assert done.returncode == 1
    assert done.stdout.startswith("error  daemon: ")
    assert "ok  shell: " in done.stdout
    assert "Traceback" not in done.stderr


def test_a_program_that_hangs_is_a_result_and_the_others_are_there(quiet: Roost, tmp_path: Path) -> None:
    helper = tmp_path / "docker-credential-stuck"
    helper.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    helper.chmod(0o755)
    text = '[registries.credentials."h:5000"]\nhelper = "stuck"\n'
    quiet.config.write_text(quiet.config.read_text() + text)
    found = examine(quiet, 1, PATH=f"{tmp_path}:{os.environ['PATH']}")
    (stuck,) = found["credentials"]
    assert (stuck["state"], "did not come within" in stuck["message"]) == ("error", True)
    assert [check["state"] for check in found["index"]] == ["ok"]
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
