"""SIGKILL at every fail point of a collection: what is left is whole, and the next collection takes it."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest
from tests.crash.test_store_sweep import KILLED, MEMORY, Children
from tests.support.collection_root import CACHED

from roost.store.failpoints import FAILPOINT
from roost.store.store import Store


@pytest.fixture(scope="module")
def children():
    started = Children()
    yield started
    started.process.stdin.close()
    assert started.process.wait() == 0
    started.process.stdout.close()


@pytest.fixture
def stocked(children):
    """Returns a root with everything that a collection removes, each time the same: the index names its place."""
    folder = tempfile.mkdtemp(prefix="r", dir=MEMORY)
    root, saved = f"{folder}/root", f"{folder}/saved"
    os.mkdir(root, 0o700)
    assert children.run("stock", root) == 0
    shutil.copytree(root, saved, symlinks=True)

    def restore():
        shutil.rmtree(root)
        shutil.copytree(saved, root, symlinks=True)
        return root

    yield restore
    shutil.rmtree(folder)


async def assert_whole(root):
    """What must hold of a root after a crash in a collection; return what is left."""
    store = await Store.open(root)
    artifacts = await store.index.artifacts.list_all()
    assert {artifact.state for artifact in artifacts} <= {"ready"}
    for artifact in artifacts:
        assert len(os.listdir(artifact.path)) == 20
    assert {os.path.basename(artifact.path) for artifact in artifacts} == {
        name for name in os.listdir(store.layout.prefixes) if "." not in name
    }
    assert os.listdir(store.layout.trash) == []
    assert len(await store.index.generations.list_by_definition("sha256:a")) == 1, "versions and locks stay"
    for path in CACHED:  # whole under its name, or not there
        target = os.path.join(root, path)
        assert not os.path.exists(os.path.dirname(target)) or not os.path.exists(target) or os.path.getsize(target)
    usage = await store.index.collection.map_usage()
    await store.close()
    return artifacts, usage


@pytest.mark.long
async def test_killed_at_every_point_of_a_collection(children, stocked):
    points = [each for each in children.points("collect", stocked()) if not each.startswith(("recover.", "caches."))]
    assert {"collect.step:1", "collect.claimed:1", "collect.moved:1", "collect.deleted:1"} <= set(points)
    assert "delete.moved:1" in points
    for point in points:
        root = stocked()
        assert children.run("collect", root, **{FAILPOINT: point}) == KILLED, point
        await assert_whole(root)
        assert children.run("collect", root) == 0
        artifacts, usage = await assert_whole(root)
        assert artifacts == []
        assert sum(usage.values()) == 0, (point, usage)
        assert [path for path in CACHED if os.path.exists(os.path.join(root, path))] == []
