"""Requests to every route, as its description allows them and as it does not: each ends in an answer of that type, none
in an internal error, and the daemon serves on."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from tests.support.generated_requests import Server, cases
from tests.support.soaking import examples

from roost.daemon.routes.table import ALL_ROUTES
from roost.daemon.server.routing import Route
from roost.daemon.server.sockets import is_listening
from roost.store.disk.file_ops import remove_tree

ROUTES = [route for route in ALL_ROUTES if route.path != "/v1/shutdown"]
"""A valid request to stop is sent once, at the end."""
CONFIG = """\
[conda.mirrors]
"https://conda.anaconda.org/" = ["file:///nowhere/"]
[pip]
index_url = "file:///nowhere"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A daemon of its own on an empty root, which serves to the end and is stopped by a request."""
    root = tempfile.mkdtemp(prefix="r", dir="/tmp")
    folder = Path(root) / "project"
    folder.mkdir()
    (folder / "requirements.txt").write_text("six\n")
    (Path(root) / "config.toml").write_text(CONFIG)
    home = Path(root) / "home"
    home.mkdir()
    environ = {**os.environ, "ROOST_HOME": f"{root}/root", "ROOST_CONFIG": f"{root}/config.toml", "HOME": str(home)}
    socket = f"{root}/root/roost.sock"
    process = subprocess.Popen(
        [sys.executable, "-m", "roost.daemon.main"], env=environ, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait(process, socket)
        with contextlib.closing(Server(socket, folder)) as served:
            served.prepare()
            yield served
            assert served.ask("POST", "/v1/shutdown")["stopping"]
        assert process.wait(60) == 0
        log = (Path(root) / "root/logs/daemon.log").read_text()
        assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:5000]
    finally:
        process.kill()
        process.wait()
        remove_tree(f"{root}/root")
        shutil.rmtree(root, ignore_errors=True)


def wait(process: subprocess.Popen[bytes], socket: str) -> None:
    """Wait until the daemon listens."""
    while not is_listening(socket):
        assert process.poll() is None, "the daemon has ended"
        time.sleep(0.05)


@pytest.mark.long
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_every_answer_is_as_described(server: Server, mode: GenerationMode) -> None:
    for route in ROUTES:
        if mode is GenerationMode.POSITIVE or route.request is not None or route.query is not None:
            try_route(server, route, mode)
        server.ask("GET", "/v1/version")


def try_route(server: Server, route: Route, mode: GenerationMode) -> None:
    @settings(examples(3), suppress_health_check=list(HealthCheck))
    @given(st.data())
    def try_one(data: st.DataObject) -> None:
        note(f"{route.method} {route.path}")
        server.send(data.draw(cases(route, server, mode)))

    try_one()
