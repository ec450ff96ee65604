"""A daemon that watches definitions: from a save to the start of its build, and what many watches cost.

    python -m tests.bench.bench_watch_daemon [--saves 20] [--definitions 10000] [--folders 500] [--idle 30]

Saves: seconds from a write to the event of the build's start; the goal is the debounce (0.2 s) + 50 ms. Many: memory
beside a daemon that watches nothing, share of a core while nothing happens (goals 20 MB, 0.3 %), and plans after
another process has changed all files within two seconds, counted by their events (goals: one for a definition, bounded
memory).
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

from tests.bench.measuring import line, timed
from tests.support.roost_process import new_roost

FIRST, SECOND = "# nothing\n", "--prefer-binary\n"
"""Two definitions of nothing, with different digests."""


WRITER = """
import os, sys, time
content, paths = sys.argv[1].encode(), sys.stdin.read().split("\\n")
began = time.monotonic()
for path in paths:
    file = os.open(path, os.O_WRONLY)  # not truncated: a file system would write that to the disk at once
    os.write(file, content)
    os.close(file)
print(time.monotonic() - began)
"""
"""Writes a text to paths, as fast as it can, in a process of its own."""


def ask(root, method, path, body=None):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(root / "roost.sock"))
        data = json.dumps(body).encode() if body is not None else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: roost\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        connection.sendall(head.encode() + data)
        answer = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    text = answer.partition(b"\r\n\r\n")[2]
    if b"chunked" in answer[:1000]:
        parts = []
        while text:
            size, _, text = text.partition(b"\r\n")
            parts.append(text[: int(size, 16)])
            text = text[int(size, 16) + 2 :]
        text = b"".join(parts)
    return json.loads(text)


def use(pid):
    """CPU seconds, and resident bytes that are not shared."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(stat[11]) + int(stat[12])
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    private = sum(int(each.split()[1]) for each in rollup.splitlines() if each.startswith("Private_"))
    return ticks / os.sysconf("SC_CLK_TCK"), private * 1024


class Starts:
    """The times at which events of builds that start came."""

    def __init__(self, roost):
        self.seen = []
        self.changed = threading.Condition()
        process = roost.start("events", "-f", "--json")
        threading.Thread(target=self.read, args=(process,), daemon=True).start()

    def read(self, process):
        for text in process.stdout:
            if '"kind": "build-started"' in text or '"kind":"build-started"' in text:
                with self.changed:
                    self.seen.append(time.monotonic())
                    self.changed.notify_all()

    def wait(self, number):
        with self.changed:
            self.changed.wait_for(lambda: len(self.seen) >= number)
            return self.seen[number - 1]


def measure_saves(roost, saves):
    file = roost.write("one/requirements.txt", FIRST)
    starts = Starts(roost)
    roost.ok("watch", "add", str(file))
    starts.wait(1)
    found = []
    for number in range(saves):
        while roost.json("watch", "list")["watches"][0]["state"] != "warm":
            time.sleep(0.05)
        time.sleep(0.3)
        began = time.monotonic()
        file.write_text(f"--index-url http://127.0.0.1:9/{number}/simple\n")
        found.append(starts.wait(number + 2) - began)
    line("save to start of build", found, 250)
    roost.ok("watch", "remove", str(file))


def measure_many(roost, definitions, folders, idle):
    paths = []
    for number in range(definitions):
        path = roost.folder / f"{number % folders}" / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(FIRST)
        paths.append(str(path))
    for text in (SECOND, FIRST):  # so that both are ready
        pathlib.Path(paths[0]).write_text(text)
        roost.ok("build", "-f", paths[0])
    pid = roost.daemon_pid()
    time.sleep(3)
    _, before = use(pid)
    seconds, _ = timed(lambda: [add(roost, paths[at : at + 1000]) for at in range(0, definitions, 1000)])
    wait_quiet(pid)  # a list of ten thousand would be most of what is measured
    time.sleep(8)  # what is free is given back by then
    _, after = use(pid)
    settled(roost, definitions)
    print(f"{definitions} watched: added in {seconds:.1f} s, {(after - before) / 1e6:.1f} MB")
    time.sleep(5)
    cpu, _ = use(pid)
    began = time.monotonic()
    time.sleep(idle)
    print(f"idle: {(use(pid)[0] - cpu) / (time.monotonic() - began) * 100:.2f} % of a core over {idle} s")
    digest, since = SECOND_DIGEST(roost), list_events(roost, 0)[-1]["seq"]
    cpu, before = use(pid)
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", WRITER, SECOND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.stdin.write("\n".join(paths))
    process.stdin.close()
    highest = watch_memory(pid, lambda: process.poll() is None)
    written = float(process.stdout.read())
    quiet = -1.0
    while quiet != (quiet := use(pid)[0]):  # a list of ten thousand would be most of what is measured
        highest = max(highest, watch_memory(pid, iter([True] * 20 + [False]).__next__))
    took = time.monotonic() - began
    assert count(roost, digest) == definitions
    plans = count_ready(roost, since)
    assert len(plans) == definitions, "each definition was planned"
    print(
        f"{definitions} changes in {written:.1f} s: all done after {took:.1f} s, {use(pid)[0] - cpu:.1f} s of CPU, "
        f"{(highest - before) / 1e6:.1f} MB more at most, {(use(pid)[1] - before) / 1e6:.1f} MB more afterwards, "
        f"{sum(plans.values()) / definitions:.3f} plans for a definition, {max(plans.values())} at most"
    )


def SECOND_DIGEST(roost):
    return roost.json("digest", "-f", str(roost.write("second.txt", SECOND)))["definition_digest"]


def watch_memory(pid, holds):
    highest = 0
    while holds():
        highest = max(highest, use(pid)[1])
        time.sleep(0.1)
    return highest


def list_events(roost, since):
    return [json.loads(text) for text in roost.ok("events", "--json", "--since", str(since)).splitlines()]


def count_ready(roost, since):
    """Plans that found a new content ready, by watch: one event each."""
    events = list_events(roost, since)
    return collections.Counter(each["fields"]["watch"] for each in events if each["kind"] == "watch-ready")


def wait_quiet(pid):
    """Wait until the daemon has used no processor for two seconds."""
    before = -1
    while before != (before := use(pid)[0]):
        time.sleep(2)


def add(roost, paths):
    return ask(roost.root, "POST", "/v1/watches", {"paths": paths})


def count(roost, digest):
    watches = ask(roost.root, "GET", "/v1/watches")["watches"]
    return sum(each["definition_digest"] == digest and each["state"] == "warm" for each in watches)


def settled(roost, definitions):
    while sum(each["state"] == "warm" for each in ask(roost.root, "GET", "/v1/watches")["watches"]) < definitions:
        time.sleep(0.5)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--saves", type=int, default=20)
    parser.add_argument("--definitions", type=int, default=10_000)
    parser.add_argument("--folders", type=int, default=500)
    parser.add_argument("--idle", type=int, default=30)
    options = parser.parse_args()
    roost = new_roost(forks_daemon=False)
    tempfile.tempdir = str(roost.folder)
    try:
        roost.config.write_text("[watch]\nmax_load = 0\non_battery = true\n")
        roost.ok("daemon", "start")
        if options.saves:
            measure_saves(roost, options.saves)
        if options.definitions:
            measure_many(roost, options.definitions, options.folders, options.idle)
    finally:
        roost.end()


if __name__ == "__main__":
    main()
