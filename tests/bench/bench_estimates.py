"""How well builds are predicted: the figures to reach are a median error of 25 % and a 90th percentile of 60 %.

    python -m tests.bench.bench_estimates [--builds 40] [--learning 8] [--seed 1] [--load 2] [--images]

Builds environments of many kinds in random order with a daemon of its own: 1 to 30 wheels from a local index, packages
of the tests' conda channel, both; caches cold, warm and partly warm; byte-code kept and missing; a wheel that is built
from source. With ``--images`` two fifths are images, for an engine and a registry that this program starts (as root):
with layers here, in the engine, in the registry, and nowhere. The first ``--learning`` builds only teach. Prints the
median and the 90th percentile of |predicted - real| / real, for what the build's plan said once its lock was known
(real: from then until the result), and for what ``roost plan --solve`` said before. ``--load`` processes keep the
machine busy during every second build.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import io
import json
import multiprocessing
import os
import random
import shutil
import statistics
import time
import uuid
import zipfile

from tests.bench.bench_build import channel
from tests.bench.measuring import UnixConnection
from tests.support.pip_index import PipIndex, sdist_bytes, wheel_bytes
from tests.support.roost_process import new_roost

CONDA = ("numpy", "pandas", "scipy", "scikit-learn", "pip", "activated")
SOLVING = ("solve", "lock-pip", "wait")
KINDS = ("pip-cold", "pip-warm", "pip-partly", "pip-no-code", "conda", "conda-cold", "conda-no-code", "mixed", "sdist")
IMAGE_KINDS = ("image", "image-top", "image-cold", "image-loaded", "image-pushed", "image-pulled")
"""An image with packages of which some have layers already; one of which only one small wheel is new; without any layer
here; all of whose layers are here, and which the engine has lost; one for a registry; and one that a registry has."""


def fill_wheel(name, chance):
    """A wheel of 1 to 150 modules, some with data that does not compress."""
    code = "".join(
        f"def function_{n}(a, b=None):\n    '''Return {chance.random()}.'''\n    return [a, b, {n}] * {n}\n\n"
        for n in range(chance.choice((1, 5, 40)))
    )
    file_name, content = wheel_bytes(name, "1.0")
    buffer = io.BytesIO(content)
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    with zipfile.ZipFile(buffer) as wheel:
        files = {each: wheel.read(each) for each in wheel.namelist()}
    module = name.replace("-", "_")
    del files[f"{module}.py"]
    files[f"{module}/__init__.py"] = b""
    for number in range(chance.choice((0, 4, 30, 150))):
        files[f"{module}/part_{number}.py"] = code.encode()
    if chance.random() < 0.2:
        files[f"{module}/data.bin"] = chance.randbytes(chance.choice((200_000, 2_000_000, 8_000_000)))
    files[f"{info}/RECORD"] = "".join(f"{each},,\n" for each in files).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            wheel.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return file_name, buffer.getvalue()


class Bench:
    """Builds, one after the other, each of a kind."""

    def __init__(self, roost, index, seed, engine=None):
        self.roost, self.index, self.chance, self.engine = roost, index, random.Random(seed), engine
        self.used, self.made, self.count = [], 0, 0
        self.images = []
        """Definitions of images that were built."""

    def new_wheels(self, count):
        names = []
        for _ in range(count):
            self.made += 1
            names.append(f"w{self.made}")
            self.index.add(names[-1], fill_wheel(names[-1], self.chance))
        return names

    def old_wheels(self, count):
        return self.chance.sample(self.used, min(count, len(self.used)))

    def prepare(self, kind):
        """The text of a definition that no build had before, or of one whose image has to be made again."""
        if kind.startswith("image"):
            return self.prepare_image(kind)
        chance, root = self.chance, str(self.roost.root)
        wheels, conda = [], []
        size = chance.choice((1, 3, 8, 15, 30))
        if kind in ("pip-cold", "mixed"):
            wheels = self.new_wheels(size if kind == "pip-cold" else max(1, size // 3))
        elif kind in ("pip-warm", "pip-no-code"):
            wheels = self.old_wheels(size)
        elif kind == "pip-partly":
            wheels = self.new_wheels(max(1, size // 2)) + self.old_wheels(size // 2)
        elif kind == "sdist":
            self.made += 1
            wheels = [f"s{self.made}", *self.old_wheels(size // 2)]
            self.index.add(wheels[0], sdist_bytes(wheels[0], "1.0", os.devnull, requires=()))
        if kind.startswith("conda") or kind == "mixed":
            conda = chance.sample(CONDA, chance.randint(0, 4))
            # A marker package makes each lock another one, as another prefix is needed every time.
            wheels = wheels or self.new_wheels(1)
        if kind in ("pip-no-code", "conda-no-code"):
            self.forget(glob.glob(f"{root}/packages/bytecode/*"))
        if kind == "conda-cold":
            self.forget(glob.glob(f"{root}/packages/conda/packages/*-*-*"))
        self.used += [each for each in wheels if each.startswith("w")]
        pip = "".join(f"      - {each}\n" for each in wheels)
        if kind.startswith("conda") or kind == "mixed":
            lines = "".join(f"  - {each}\n" for each in ("python=3.11", *conda))
            return "environment.yml", f"channels: [conda-forge]\ndependencies:\n{lines}  - pip:\n{pip}"
        return "requirements.txt", "".join(f"{each}\n" for each in wheels)

    def prepare_image(self, kind):
        """An environment file; what is to be missing is removed."""
        if kind in ("image-loaded", "image-pulled") and not self.images:
            kind = "image"
        if kind in ("image-loaded", "image-pulled"):
            text = self.chance.choice(self.images)
            if kind == "image-pulled":
                self.build("environment.yml", text, push=True)
                self.restart(without="layers")
            self.remove_images()
            return "environment.yml", text
        if kind == "image-cold":
            self.restart(without="layers")
            self.remove_images()
        conda = self.chance.sample(CONDA, 0 if kind == "image-top" else self.chance.randint(0, 4))
        pip = [*self.new_wheels(1), *self.old_wheels(0 if kind == "image-top" else self.chance.choice((0, 3, 8)))]
        lines = "".join(f"  - {each}\n" for each in ("python=3.11", *conda))
        text = f"channels: [conda-forge]\ndependencies:\n{lines}  - pip:\n" + "".join(
            f"      - {each}\n" for each in pip
        )
        self.images.append(text)
        return "environment.yml", text

    def remove_images(self):
        for image in self.engine.images.list():
            for tag in image.tags:
                if tag.startswith("roost/"):
                    self.engine.images.remove(tag, force=True)

    def restart(self, without):
        """What a user may do: stop the daemon and remove a cache."""
        self.roost.ok("daemon", "stop")
        shutil.rmtree(self.roost.root / without, ignore_errors=True)
        self.roost.ok("daemon", "start")
        self.build("requirements.txt", self.new_wheels(1)[0] + "\n")

    def forget(self, folders):
        """Remove what is in a cache, and let a small build note that."""
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        self.build("requirements.txt", self.new_wheels(1)[0] + "\n")
        time.sleep(0.2)

    def build(self, name, text, image=False, push=False):
        """Seconds as a plan predicted them, as the build did, the real ones of both."""
        target = "docker" if image or push else "local"
        self.count += 1
        folder = self.roost.folder / str(self.count)
        folder.mkdir()
        (folder / name).write_text(text)
        selector = {"cwd": str(folder), "file": name}
        asked = json.loads(self.ask("/v1/plans", {"what": selector, "targets": [target], "solve": True}).read())
        planned = predicted(asked["plans"][0]) if "plans" in asked else None  # a plan builds no wheel
        told, began, known = None, 0.0, None
        for line in self.ask("/v1/builds", {"what": selector, "target": target, "push": push}):
            message, now = json.loads(line), time.perf_counter()
            if message["event"] == "error":
                raise SystemExit(f"{text}\n{message}")
            if message["event"] == "plan":
                told, began = predicted(message["plan"]), now
            elif message["event"] == "step" and message["step"] not in SOLVING and known is None:
                known = now
            elif message["event"] == "result":
                # An older daemon does not say when the lock is known: its first step that is no solve is the time.
                return planned, told, now - (known if self.is_older and known is not None else began)
        raise SystemExit("the build has no result")

    is_older = False

    def ask(self, route, body):
        connection = UnixConnection(str(self.roost.root / "roost.sock"))
        connection.request("POST", route, json.dumps(body).encode(), {"Content-Type": "application/json"})
        return connection.getresponse()


def predicted(plan):
    """Seconds of a plan's steps behind the solve: as a whole, or their sum if an older daemon answers."""
    if plan.get("seconds") is not None:
        return plan["seconds"]
    seconds = [step["seconds"] for step in plan["steps"] if step["kind"] not in SOLVING]
    return sum(seconds) if seconds and None not in seconds else None


def burn():
    while True:
        sum(range(10_000))


def print_errors(name, pairs):
    errors = sorted(abs(told - real) / real for told, real in pairs if told is not None)
    if not errors:
        print(f"{name:<28} nothing was told")
        return
    low = sum(told < real for told, real in pairs if told is not None)
    high = errors[min(len(errors) - 1, int(len(errors) * 0.9))]
    print(
        f"{name:<28} median {statistics.median(errors):6.1%}   p90 {high:6.1%}   ({len(errors)} builds, {low} too low)"
    )


def measure(options):
    index = PipIndex()
    roost = new_roost(forks_daemon=False)
    roost.config.write_text(f'[pip]\nindex_url = "{index.url}"\n[conda.mirrors]\n"conda-forge" = ["{channel()}"]\n')
    with contextlib.ExitStack() as stack:
        stack.callback(index.close)
        stack.callback(roost.end)
        client = stack.enter_context(real_engine(roost)) if options.images else None
        roost.ok("daemon", "start")
        bench = Bench(roost, index, options.seed, client)
        from roost.wire.plans import PlanView

        bench.is_older = "seconds" not in PlanView.__struct_fields__
        bench.build("requirements.txt", "".join(f"{each}\n" for each in [*bench.new_wheels(12)]))
        bench.used += [f"w{number}" for number in range(1, 13)]
        known = (*KINDS, *IMAGE_KINDS) if options.images else KINDS
        kinds = [known[number % len(known)] for number in range(options.learning + options.builds)]
        bench.chance.shuffle(kinds)
        found = [(kind, *measure_build(bench, kind, number, options)) for number, kind in enumerate(kinds)]
        found = found[options.learning :]
        print_errors("told by the build", [(told, real) for _, _, told, real in found])
        print_errors("told by `plan --solve`", [(planned, real) for _, planned, _, real in found])
        for kind in known:
            print_errors(f"  {kind}", [(told, real) for each, _, told, real in found if each == kind])
        reals = sorted(real for _, _, _, real in found)
        print(f"builds of {reals[0]:.1f} to {reals[-1]:.1f} s, median {statistics.median(reals):.1f} s")


def measure_build(bench, kind, number, options):
    name, text = bench.prepare(kind)
    time.sleep(0.1)
    is_loaded = options.load and number % 2
    load = [multiprocessing.Process(target=burn, daemon=True) for _ in range(options.load if is_loaded else 0)]
    for process in load:
        process.start()
    planned, told, real = bench.build(name, text, image=kind.startswith("image"), push=kind == "image-pushed")
    for process in load:
        process.kill()
        process.join()
    if options.verbose:
        shown = ["      -" if each is None else f"{each:7.2f}" for each in (planned, told, real)]
        print(f"  {kind:<14} plan {shown[0]}  build {shown[1]}  real {shown[2]}{'  busy' if load else ''}", flush=True)
    return planned, told, real


@contextlib.contextmanager
def real_engine(roost):
    """An engine with a base image, and an empty registry, in the config of ``roost``."""
    import docker
    from tests.support.images import engines
    from tests.support.images.registries import registry

    with engines.engine(uuid.uuid4().hex) as host, registry() as workspace:
        base = engines.import_image(host, "base", engines.BASE)
        tables = f'[base]\nimage = "{base}"\n[docker]\nhost = "{host}"\n'
        tables += f'[registries]\nworkspace = "{workspace.host}/team"\n'
        roost.config.write_text(roost.config.read_text() + tables)
        with contextlib.closing(docker.DockerClient(base_url=host)) as client:
            yield client


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--builds", type=int, default=40)
parser.add_argument("--learning", type=int, default=8)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--load", type=int, default=0)
parser.add_argument("--images", action="store_true")
parser.add_argument("--verbose", action="store_true")

if __name__ == "__main__":
    measure(parser.parse_args())
