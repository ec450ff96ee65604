"""What the first run in a new environment takes until its first line of output, against uv, in pairs.

    python -m tests.bench.bench_first_run [--rounds 12] [--cold 5] [--conda 0] [--vs PYTHON] [--trace]

A local index has twenty wheels of real code (900 modules of the standard library), some with data beside it. Every
round asks for another choice of eighteen of them, which no environment had before: `roost run` and
`uv run --isolated --with-requirements` choose the versions, make the environment and run a command that imports three
of the packages. `--rounds` have everything in their caches (the daemon serves already); `--cold` begin with empty ones
each time. `--conda`: rounds with the tests' channel, which uv has no part in. `--vs`: the interpreter of another
installation of roost, measured in the same rounds. `--trace`: what the build says, with times, once for each kind.

Prints medians in seconds, processor seconds (the daemon's and those of what it started), and the median of the pairs'
ratios to uv. The goal of both: 1.15.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

from tests.bench.bench_build import channel
from tests.bench.measuring import UnixConnection
from tests.support.pip_index import PipIndex, wheel_bytes

from roost.store.disk.file_ops import remove_tree

COUNT, CHOSEN, IMPORTED = 20, 18, 3
CONDA = ("numpy", "pandas", "scipy", "scikit-learn", "pip", "activated")


class RealIndex(PipIndex):
    """Says what the large indexes say of each file: its size, and its metadata apart (PEP 658, PEP 700)."""

    def add(self, name, made):
        file, content = made
        digest = super().add(name, made)
        with zipfile.ZipFile(BytesIO(content)) as wheel:
            path = next(each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
            self.files[f"{file}.metadata"] = wheel.read(path)
        self.uploaded[file] = "2020-01-01T00:00:00Z"
        return digest

    def _json_page(self, name):
        page = json.loads(super()._json_page(name))
        for each in page["files"]:
            each["size"] = len(self.files[each["filename"]])
            each["core-metadata"] = True
        return json.dumps(page)


def wheels():
    """Twenty wheels of 10 to 120 modules; every fourth has some megabytes that do not compress."""
    chance = random.Random(1)
    library = Path(sysconfig.get_path("stdlib"))
    code = [path.read_bytes() for path in sorted(library.glob("*.py")) + sorted(library.glob("[a-s]*/*.py"))]
    code = [each for each in code if 500 < len(each) < 60_000]
    for number in range(COUNT):
        name = f"part{number}"
        file, content = wheel_bytes(name, "1.0", tuple(f"part{each}" for each in range(number % 3)))
        with zipfile.ZipFile(BytesIO(content)) as small:
            files = {each: small.read(each) for each in small.namelist() if ".dist-info/" in each}
        files[f"{name}/__init__.py"] = b"from . import used_0, used_1, used_2\n"
        files |= {f"{name}/used_{each}.py": b"def f(a, b=1):\n    return [a, b]\n" * 200 for each in range(3)}
        for each in range(chance.choice((10, 20, 40, 60, 120))):
            files[f"{name}/{'abc'[each % 3]}/module_{each}.py"] = chance.choice(code)
        if number % 4 == 0:
            files[f"{name}/native.so"] = chance.randbytes(chance.choice((1, 3, 9)) * 1_000_000)
        record = f"{name}-1.0.dist-info/RECORD"
        del files[record]
        lines = [f"{path},sha256={record_digest(data)},{len(data)}\n" for path, data in files.items()]
        files[record] = "".join([*lines, f"{record},,\n"]).encode()
        buffer = BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as wheel:
            for path, data in files.items():
                wheel.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
        yield name, (file, buffer.getvalue())


def record_digest(data):
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


class Choices:
    """Requirements that no environment had before."""

    def __init__(self):
        self.chance, self.had = random.Random(2), set()

    def next(self):
        while True:
            left = tuple(sorted(self.chance.sample(range(COUNT), CHOSEN)))
            if left not in self.had:
                self.had.add(left)
                return [f"part{number}" for number in left]


def first_line(words, folder, environ):
    """Seconds until the first line, and processor seconds of the command's own processes."""
    began = time.perf_counter()
    process = subprocess.Popen(words, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = process.stdout.readline()
    took = time.perf_counter() - began
    _, errors = process.communicate()
    if line != b"ready\n":
        raise SystemExit(f"{' '.join(map(str, words))}\n{errors.decode()}")
    return took


def children():
    times = os.times()
    return times.children_user + times.children_system


class Uv:
    """uv with a cache of its own."""

    def __init__(self, url, cache=None):
        self.base = Path(tempfile.mkdtemp(prefix="u", dir="/tmp"))
        self.url = url
        self.python = sys.executable

    def __call__(self, folder, command):
        began = children()
        words = [f"{sys.prefix}/bin/uv", "run", "--isolated", "--no-project", "--no-config", "--python", self.python]
        words += ["--default-index", self.url, "--with-requirements", "requirements.txt", "--", *command]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.base), "UV_CACHE_DIR": str(self.base / "cache")}
        took = first_line(words, folder, environ)
        return took, children() - began

    def close(self):
        remove_tree(str(self.base))


class RoostOf:
    """An installation of roost, on a root of its own, whose daemon serves."""

    def __init__(self, url, python, mirror=""):
        self.base = Path(os.path.realpath(tempfile.mkdtemp(prefix="r", dir="/tmp")))
        for name in ("roost", "roost-client", "roostd"):
            text = (launcher_folder(python) / name).read_text().replace("#!python", f"#!{python}", 1)
            (self.base / name).write_text(text)
            (self.base / name).chmod(0o755)
        (self.base / "config.toml").write_text(
            f'[pip]\nindex_url = "{url}"\n[conda.mirrors]\n"conda-forge" = ["{mirror}"]\n'
        )
        self.environ = {
            "PATH": f"{self.base}:{os.environ['PATH']}",
            "HOME": str(self.base),
            "ROOST_HOME": str(self.base / "root"),
            "ROOST_CONFIG": str(self.base / "config.toml"),
            "LANG": "C.UTF-8",
        }
        subprocess.run([self.base / "roost", "daemon", "start"], env=self.environ, check=True, capture_output=True)
        connection = self._connect()
        connection.request("GET", "/v1/version")
        self.pid = json.loads(connection.getresponse().read())["pid"]

    def __call__(self, folder, command):
        began = children() + self._worked()
        took = first_line([self.base / "roost", "run", "--", *command], folder, self.environ)
        return took, children() + self._worked() - began

    def _worked(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def _connect(self):
        return UnixConnection(str(self.base / "root" / "roost.sock"))

    def trace(self, folder):
        """Print what a build says, with milliseconds."""
        connection, began = self._connect(), time.perf_counter()
        name = next(path.name for path in Path(folder).iterdir())
        body = {"what": {"cwd": str(folder), "file": name}, "target": "local"}
        connection.request("POST", "/v1/builds", json.dumps(body).encode(), {"Content-Type": "application/json"})
        for line in connection.getresponse():
            message = json.loads(line)
            if message["event"] == "step" and message.get("state") == "advance":
                continue
            shown = {k: v for k, v in message.items() if k in ("event", "step", "state", "line", "error")}
            print(f"  {(time.perf_counter() - began) * 1000:7.1f}  {shown}")

    def close(self):
        subprocess.run([self.base / "roost", "daemon", "stop"], env=self.environ, capture_output=True)
        remove_tree(str(self.base))


def launcher_folder(python):
    """The folder of the launchers that belong to the roost of ``python``."""
    words = [python, "-c", "import roost.wire.installation as found; print(found.__spec__.origin)"]
    return Path(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()).parents[2] / "bin"


def measure_pip(index, options, rounds, is_cold):
    kinds = {"uv": lambda: Uv(index.url), "roost": lambda: RoostOf(index.url, sys.executable)}
    kinds |= {"vs": lambda: RoostOf(index.url, options.vs)} if options.vs else {}
    choices = Choices()

    def write(folder):
        wanted = choices.next()
        (folder / "requirements.txt").write_text("".join(f"{each}\n" for each in wanted))
        return ["python", "-c", f"import {', '.join(wanted[:IMPORTED])}\nprint('ready')"]

    if is_cold:
        return run_cold(kinds, write, rounds, options)
    return run_warm(kinds, write, rounds, options)


def measure_conda(options, rounds):
    mirror, left = channel(), random.Random(3)
    kinds = {"roost": lambda: RoostOf("http://127.0.0.1:1", sys.executable, mirror)}
    kinds |= {"vs": lambda: RoostOf("http://127.0.0.1:1", options.vs, mirror)} if options.vs else {}
    had = set()

    def write(folder):
        while True:
            chosen = tuple(sorted(left.sample(CONDA, left.randint(1, len(CONDA)))))
            if chosen not in had:
                had.add(chosen)
                break
        lines = "".join(f"  - {each}\n" for each in ("python=3.11", *chosen))
        (folder / "environment.yml").write_text(f"channels: [conda-forge]\ndependencies:\n{lines}")
        return ["sh", "-c", "echo ready"]

    return run_warm(kinds, write, rounds, options)


def run_warm(kinds, write, rounds, options):
    """Every tool fills its caches first, with two choices that have everything."""
    tools = {name: make() for name, make in kinds.items()}
    try:
        for _ in range(3):
            one_round(tools, write)
        if options.trace:
            trace(tools, write)
        time.sleep(2)
        return [one_round(tools, write) for _ in range(rounds)]
    finally:
        for tool in tools.values():
            tool.close()


def run_cold(kinds, write, rounds, options):
    found = []
    for number in range(rounds):
        tools = {name: make() for name, make in kinds.items()}
        try:
            found.append(one_round(tools, write))
        finally:
            for tool in tools.values():
                tool.close()
        if options.trace and not number:
            tools = {name: make() for name, make in kinds.items() if name != "uv"}
            trace(tools, write)
            for tool in tools.values():
                tool.close()
    return found


def one_round(tools, write):
    """Seconds and processor seconds of each tool, with the same requirements, in an order by chance."""
    folder = Path(tempfile.mkdtemp(prefix="w", dir="/tmp"))
    try:
        command, found = write(folder), {}
        for name in random.sample(list(tools), len(tools)):
            os.sync()  # what the others wrote is not this one's to sync
            found[name] = tools[name](folder, command)
        return found
    finally:
        shutil.rmtree(folder)


def trace(tools, write):
    folder = Path(tempfile.mkdtemp(prefix="w", dir="/tmp"))
    write(folder)
    for name, tool in tools.items():
        if name != "uv":
            print(f"what a build of {name} says, in milliseconds:")
            tool.trace(folder)
    shutil.rmtree(folder)


def report(title, rounds):
    print(title)
    base = "uv" if "uv" in rounds[0] else "vs"
    for name in rounds[0]:
        seconds, worked = (statistics.median(each[name][part] for each in rounds) for part in (0, 1))
        line = f"  {name:<6} {seconds:6.3f} s   processor {worked:6.3f} s"
        if base in rounds[0] and name != base:
            ratios = sorted(each[name][0] / each[base][0] for each in rounds)
            line += f"   {statistics.median(ratios):5.2f} times {base} (from {ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(line, flush=True)


def main(options):
    index = RealIndex()
    try:
        for name, wheel in wheels():
            index.add(name, wheel)
        if options.rounds:
            report("caches warm", measure_pip(index, options, options.rounds, is_cold=False))
        if options.cold:
            report("caches empty", measure_pip(index, options, options.cold, is_cold=True))
        if options.conda:
            report("conda, caches warm", measure_conda(options, options.conda))
    finally:
        index.close()


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--rounds", type=int, default=12)
parser.add_argument("--cold", type=int, default=5)
parser.add_argument("--conda", type=int, default=0)
parser.add_argument("--vs")
parser.add_argument("--trace", action="store_true")

if __name__ == "__main__":
    main(parser.parse_args())
