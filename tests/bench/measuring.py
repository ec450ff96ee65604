"""What the benchmarks measure with: times in lines, a folder to work in, and a daemon of their own to ask."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator


@contextlib.contextmanager
def ending_process() -> Iterator[None]:
    """End the process with the block, past the interpreter's own way out, on which rattler's threads may crash it: with
    status 0, or after an error's traceback with 1."""
    status = 1
    try:
        yield
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def line(name, seconds, goal=None):
    """Print median and 99th percentile of ``seconds`` in milliseconds; the median in seconds."""
    ordered = sorted(seconds)
    median, high = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    wanted = f"   goal {goal:g} ms" if goal else ""
    print(f"{name:<28} median {median * 1000:8.3f} ms   p99 {high * 1000:8.3f} ms   ({len(ordered)} calls){wanted}")
    return median


def timed(action, *arguments):
    """Seconds that it takes, and what it returns."""
    began = time.perf_counter()
    result = action(*arguments)
    return time.perf_counter() - began, result


def in_turns(actions, rounds):
    """Seconds of each of the named ``actions``, one after the other in every round: a busy moment meets all."""
    taken = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            taken[name].append(timed(action)[0])
    return taken


@contextlib.contextmanager
def folder(kept=None):
    """The folder ``kept``, made if it is not there; else a new one at a short path, which is removed in the end."""
    path = kept or tempfile.mkdtemp(prefix="r", dir="/tmp")
    os.makedirs(path, exist_ok=True)
    try:
        yield path
    finally:
        if not kept:
            shutil.rmtree(path, ignore_errors=True)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("roost", timeout=60)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


class Served:
    """A daemon that serves ``root``; its answers come over one connection that stays open."""

    def __init__(self, root, process):
        self.path = os.path.join(root, "roost.sock")
        self.process = process
        self._connection = UnixConnection(self.path)

    def get(self, route):
        """The JSON that answers."""
        return self.ask("GET", route)

    def ask(self, method, route, body=None):
        data = json.dumps(body).encode() if body is not None else None
        self._connection.request(method, route, data, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        assert response.status < 300, answer
        return answer

    def resident(self):
        """MiB."""
        with open(f"/proc/{self.process.pid}/status") as stream:
            found = re.search(r"^VmRSS:\s+(\d+)", stream.read(), re.MULTILINE)
        assert found is not None
        return int(found[1]) / 1024

    def worked(self):
        """Seconds of processor time so far, in steps of 10 ms: without what a busy machine makes it wait."""
        with open(f"/proc/{self.process.pid}/stat") as stream:
            fields = stream.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        self._connection.close()


@contextlib.contextmanager
def served(root):
    """Start a daemon on ``root``, and end it."""
    environ = {**os.environ, "ROOST_HOME": root, "ROOST_CONFIG": f"{root}.toml"}
    with open(environ["ROOST_CONFIG"], "w"):
        pass
    process = subprocess.Popen([sys.executable, "-m", "roost.daemon.main", "--start"], env=environ)
    daemon = Served(root, process)
    try:
        wait_until_served(daemon)
        yield daemon
    finally:
        daemon.close()
        process.terminate()
        process.wait()
        os.unlink(environ["ROOST_CONFIG"])


def wait_until_served(daemon):
    """Seconds until it tells its version."""
    began = time.perf_counter()
    while time.perf_counter() - began < 60 and daemon.process.poll() is None:
        try:
            daemon.get("/v1/version")
        except OSError:
            daemon.close()
            time.sleep(0.01)
        else:
            return time.perf_counter() - began
    raise SystemExit("the daemon does not answer")


def milliseconds(words, folder, environ):
    """Milliseconds that a command takes, whose messages are dropped."""
    began = time.perf_counter()
    subprocess.run(words, cwd=folder, env=environ, check=True, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def print_against_bare(commands, pairs, run):
    """Print for each of the named ``commands``, which ``run`` runs and measures in milliseconds, the median and the
    median of its ratios to the command ``bare``, which is measured once in every round."""
    found = {name: [] for name in commands}
    for _ in range(pairs):
        base = run(commands["bare"])
        for name, words in commands.items():
            spent = run(words)
            found[name].append((spent, spent / base))
    for name, values in found.items():
        spent, ratio = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"{name:14} {spent:7.1f} ms   {ratio:5.2f} times the bare interpreter")
