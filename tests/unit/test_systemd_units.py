"""The systemd units: what they promise, and that systemd takes them."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from roost.model.errors import StoreRefusedError

FOLDER = Path(__file__).parents[2] / "systemd"


def _unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(FOLDER / name)
    return parser


def test_the_socket_is_the_owners_alone() -> None:
    socket = _unit("roost.socket")["Socket"]
    assert (socket["SocketMode"], socket["DirectoryMode"]) == ("0600", "0700")


def test_both_units_name_one_socket() -> None:
    path = _unit("roost.socket")["Socket"]["ListenStream"]
    assert f"Environment=ROOST_SOCKET={path}" in (FOLDER / "roost.service").read_text()


def test_detached_runs_outlive_the_daemon() -> None:
    assert _unit("roost.service")["Service"]["KillMode"] == "process"


def test_a_refused_root_is_not_tried_again_for_ever() -> None:
    service = _unit("roost.service")["Service"]
    assert service["RestartPreventExitStatus"] == str(StoreRefusedError.exit_status)


@pytest.mark.parametrize(
    "option", ["ProtectSystem", "ProtectHome", "PrivateTmp", "ReadWritePaths", "RuntimeDirectory", "DynamicUser"]
)
def test_nothing_is_asked_that_a_user_service_cannot_have(option: str) -> None:
    assert option not in _unit("roost.service")["Service"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_takes_them(tmp_path: Path) -> None:
    for name in ("roost.socket", "roost.service"):
        text = (FOLDER / name).read_text().replace("%h/.local/bin/roostd", sys.executable)
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", tmp_path / "roost.socket", tmp_path / "roost.service"],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
