"""SIGKILL at every fail point of publish, delete, retire and a failed fill, and again at every point of the recovery.

The points are those that a run passes (its trace names them), so a new one is swept without being listed here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from random import Random

import pytest

from roost.model.canonical.form import digest_bytes
from roost.store.failpoints import FAILPOINT, TRACE
from roost.store.store import Store

# A killed process loses nothing that it wrote, synced or not: hundreds of roots need no real disk.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"
KILLED = -signal.SIGKILL
BESIDE = ("", ".lease", ".manifest", ".record")


class Children:
    """The forking process and its answers."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.store_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, do, root, **environ):
        self.process.stdin.write(json.dumps({"do": do, "root": root, "environ": environ}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())["status"]

    def points(self, do, root):
        """The points that this passes, each once, in order; ``name:N`` where it is passed more than once."""
        trace = root + ".trace"
        assert self.run(do, root, **{TRACE: trace}) == 0
        with open(trace) as stream:
            names = [line.split()[1] for line in stream if line.startswith("point ")]
        os.unlink(trace)
        return [f"{name}:{names[:place].count(name) + 1}" for place, name in enumerate(names)]


@pytest.fixture(scope="module")
def children():
    started = Children()
    yield started
    started.process.stdin.close()
    assert started.process.wait() == 0
    started.process.stdout.close()


@pytest.fixture
def new_root():
    made = []

    def make():
        made.append(tempfile.mkdtemp(prefix="r", dir=MEMORY))
        return made[-1]

    yield make
    for path in made:
        shutil.rmtree(path)


async def assert_whole(root):
    """What must hold of every root that was opened, whatever happened before; returns the keys that are ready."""
    store = await Store.open(root)
    layout = store.layout
    artifacts = await store.index.artifacts.list_all()
    names = {os.path.basename(artifact.path) for artifact in artifacts}
    assert {artifact.state for artifact in artifacts} <= {"ready"}
    assert set(os.listdir(layout.prefixes)) == {name + end for name in names for end in BESIDE}
    for artifact in artifacts:
        with open(layout.manifest_of(artifact.path), "rb") as stream:
            assert digest_bytes(stream.read()) == artifact.manifest
        contents = [os.path.getsize(os.path.join(artifact.path, name)) for name in os.listdir(artifact.path)]
        assert contents == [800] * 20
        assert await store.index.locks.find(artifact.key) is not None
    assert [os.listdir(folder) for folder in (layout.stage, layout.trash, layout.launch)] == [[], [], []]
    assert await store.index.builds.list_open() == []
    assert await store.index.leases.list_active() == []
    ready = {artifact.key for artifact in artifacts}
    for generation in await store.index.generations.list_by_definition("sha256:a"):
        assert await store.index.locks.find(generation.lock_digest) is not None
    current = await store.index.generations.find_current("sha256:a", "linux-64")
    assert await store.index.database.read(uncovered) == []
    await store.close()
    return ready, current


def uncovered(connection):
    """Locks that `roost env who` would not find by what they hold, or would find in vain, or count wrongly."""
    return connection.execute(
        "SELECT l.id FROM locks AS l WHERE NOT EXISTS (SELECT 1 FROM contents AS c WHERE c.lock = l.id) "
        "UNION ALL SELECT lock FROM contents WHERE lock NOT IN (SELECT id FROM locks) "
        "UNION ALL SELECT l.id FROM locks AS l LEFT JOIN lock_uses AS u ON u.lock = l.id WHERE "
        "(u.generations, u.prefixes) IS NOT ((SELECT count(*) FROM generations WHERE lock_digest = l.digest), "
        "(SELECT count(*) FROM artifacts WHERE key = l.digest AND state = 'ready'))"
    ).fetchall()


PREPARED = {
    "publish": ["recover"],
    "delete": ["recover", "publish"],
    "retire": ["recover", "publish"],
    "fail": ["recover"],
    "recover": ["litter"],
}
SHARES = 3
"""In how many tests the points of one operation are swept, for as many workers."""


class SavedRoots:
    """One root, at one place since the index names places, that is put back to what it was at an earlier time."""

    def __init__(self, children, root, folder):
        self._children, self._root, self._folder = children, root, folder

    def begin(self, do):
        """The root that ``do`` begins with."""
        return self._after(*PREPARED[do])

    def kill(self, do, point):
        """The root that ``do`` left when it was killed at ``point``."""
        return self._after(*PREPARED[do], f"{do} {point}")

    def _after(self, *steps):
        """The root after steps, each a scenario and the point at which it is killed, if it is."""
        saved = os.path.join(self._folder, ", ".join(steps))
        if os.path.exists(saved):
            shutil.rmtree(self._root)
            shutil.copytree(saved, self._root, symlinks=True)
            return self._root
        if len(steps) > 1:
            self._after(*steps[:-1])
        else:
            shutil.rmtree(self._root)
            os.mkdir(self._root, 0o700)
        do, _, point = steps[-1].partition(" ")
        status = self._children.run(do, self._root, **({FAILPOINT: point} if point else {}))
        assert status == (KILLED if point else 0)
        shutil.copytree(self._root, saved, symlinks=True)
        return self._root


@pytest.fixture
def roots(children, new_root):
    return SavedRoots(children, new_root(), new_root())


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("do", ["publish", "delete", "retire", "fail"])
async def test_killed_at_every_point_and_again_at_every_point_of_recovery(do, share, children, roots):
    every = [point for point in children.points(do, roots.begin(do)) if not point.startswith("recover.")]
    assert len(every) >= 6
    points = every[share::SHARES]
    runs = 0
    for point in points:
        after_first = await ready_after(do, point, roots.kill(do, point))
        for inner in children.points("recover", roots.kill(do, point)):
            root = roots.kill(do, point)
            assert children.run("recover", root, **{FAILPOINT: inner}) == KILLED
            assert await ready_after(do, point, root) == after_first
            assert children.run("publish", root) == 0  # the next try works
            assert len((await assert_whole(root))[0]) == 1
            runs += 1
    assert runs >= len(points) * 6


async def ready_after(do, point, root):
    """Whether the prefix is ready after the crash and a recovery: only if it was committed, or not yet deleted."""
    ready, current = await assert_whole(root)
    name = point.split(":")[0]
    if do == "publish":
        assert bool(ready) == (name == "publish.committed")
        assert (current is not None) == bool(ready)  # in one transaction
    elif do == "delete":
        assert bool(ready) == (name in ("delete.locked", "delete.barred"))
    elif do == "retire":
        assert not ready
    else:
        assert not ready
        assert current is None
    return bool(ready)


async def test_every_kind_of_litter_and_a_crash_at_every_point_of_its_recovery(children, roots):
    points = children.points("recover", roots.begin("recover"))
    assert {"recover.discard:1", "recover.drop:1", "recover.restore-lease:1"} <= set(points)
    for point in points:
        root = roots.begin("recover")
        assert children.run("recover", root, **{FAILPOINT: point}) == KILLED
        ready, _ = await assert_whole(root)
        assert len(ready) == 1


async def test_killed_at_random_times_of_a_busy_store(children, new_root):
    root, random = new_root(), Random(os.environ.get("ROOST_TEST_SEED", "1"))
    for _ in range(25):
        seconds = random.uniform(0.001, 0.15)
        assert children.run("churn", root, CHURN_SECONDS=str(seconds)) == -signal.SIGALRM
        await assert_whole(root)
    assert children.run("churn", root, CHURN_SECONDS="0.5") == -signal.SIGALRM
    store = await Store.open(root)
    assert len(await store.index.generations.list_by_definition("sha256:a")) > 1
    await store.close()


def test_traces_name_each_step_of_the_protocols(children, roots):
    assert [p.split(":")[0] for p in children.points("publish", roots.begin("publish")) if "recover" not in p] == [
        "publish.begin",
        "publish.announced",
        "publish.leased",
        "publish.placed",
        "publish.filled",
        "publish.manifest-written",
        "publish.record-written",
        "publish.synced",
        "publish.parent-synced",
        "lease.deleted-in-transaction",
        "publish.in-transaction",
        "publish.committed",
    ]
    assert [p.split(":")[0] for p in children.points("delete", roots.begin("delete")) if "recover" not in p] == [
        "delete.locked",
        "delete.barred",
        "delete.marked",
        "delete.unleased",
        "delete.moved",
        "delete.removed",
        "lease.deleted-in-transaction",
        "delete.dropped",
    ]
