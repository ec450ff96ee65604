"""An engine that a killed run of the tests left behind is ended by the next, though its ``/tmp`` is out of sight."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.support.images import engines

RUN = """
import contextlib, time
from tests.support.images import engines
with engines.shared("{name}", "dockerd", {{}}) as folder:
    print(folder, flush=True)
    time.sleep(600)
"""
OWN_TMP = 'mount -t tmpfs tmpfs /tmp && exec "$@"'


def test_an_engine_of_a_killed_run_in_another_mount_namespace_is_ended(docker_host: str):
    name = f"killed{os.getpid() % 100:02}"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", OWN_TMP, "sh", sys.executable, "-c"]
    repository = Path(engines.__file__).parents[3]
    run = subprocess.Popen([*command, RUN.format(name=name)], stdout=subprocess.PIPE, text=True, cwd=repository)
    assert run.stdout is not None
    folder = run.stdout.readline().strip()
    [pid] = [pid for pid, place in engines._engines() if place == folder]
    assert not Path(folder).exists()

    with engines._alone():
        engines._sweep(keep=Path("/tmp/none"))
    assert engines._command_line(pid), "the run is alive and uses it"

    started = engines.processes(Path(f"/proc/{pid}/root{folder}"))
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    time.sleep(0.1)
    assert engines._command_line(pid), "a killed run leaves it behind"
    assert len(started) > 1
    with engines._alone():
        engines._sweep(keep=Path("/tmp/none"))
    assert [engines._command_line(process) for process in started] == [""] * len(started)
    assert not Path("/sys/class/net", Path(folder).name.replace(engines.FOLDERS, "rdk")).exists()
