"""What an idle daemon costs: `python tests/bench/bench_idle.py [SECONDS]`.

Prints its resident memory after the start, before its first build, and how often it woke in 10 seconds of nothing
(voluntary context switches of all its threads: each wait that ended). Goals: 70 MB at most, and no wake-ups.
"""

from __future__ import annotations

import glob
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("roost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def get(path: str, route: str) -> bytes:
    connection = UnixConnection(path)
    connection.request("GET", route)
    body = connection.getresponse().read()
    connection.close()
    return body


def wait_until_served(path: str) -> float:
    began = time.perf_counter()
    while time.perf_counter() - began < 60:
        try:
            get(path, "/v1/version")
        except OSError:
            time.sleep(0.01)
        else:
            return time.perf_counter() - began
    raise SystemExit("the daemon does not answer")


def field(pid: int, name: str) -> int:
    with open(f"/proc/{pid}/status") as stream:
        found = re.search(rf"^{name}:\s+(\d+)", stream.read(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def wakeups(pid: int) -> int:
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/status"):
        with open(path) as stream:
            total += int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", stream.read(), re.MULTILINE)[0])
    return total


def measure(root: str, seconds: float) -> None:
    environ = {**os.environ, "ROOST_HOME": root}
    process = subprocess.Popen([sys.executable, "-m", "roost.daemon.main", "--start"], env=environ)
    try:
        path = f"{root}/roost.sock"
        print(f"start to first answer: {wait_until_served(path):.2f} s")
        print(f"resident: {field(process.pid, 'VmRSS') / 1024:.1f} MiB")
        time.sleep(1)
        before = wakeups(process.pid)
        time.sleep(seconds)
        print(f"wake-ups in {seconds:g} s idle: {wakeups(process.pid) - before}")
        for _ in range(200):
            get(path, "/v1/version")
        print(f"resident after 200 requests: {field(process.pid, 'VmRSS') / 1024:.1f} MiB")
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    root = tempfile.mkdtemp(prefix="r", dir="/tmp")
    try:
        measure(root, seconds)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
