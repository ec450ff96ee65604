"""A repair may be killed at any of its points: the next one completes, and the root serves what it had."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

from roost.daemon.prefixes.seal import seal_prefix
from roost.daemon.repair.inspection import inspect_root
from roost.daemon.repair.repair import repair_root
from roost.model.canonical.form import digest_bytes
from roost.model.locks.lock import CondaPython, Lock, digest_lock
from roost.model.records import LayerRecord, NewGeneration, RunRecord
from roost.store.artifacts.publish import FillResult
from roost.store.disk.layout import Layout
from roost.store.disk.prefix_records import read_record
from roost.store.disk.run_folders import BegunRun, create_folder
from roost.store.failpoints import FAILPOINT, TRACE
from roost.store.store import Store
from roost.wire.repairs import RepairView

FORM = b'{"format":1,"name":"here"}'
DEFINITION = digest_bytes(FORM)
WHOLE, CUT = (Lock(platform=platform, provider=CondaPython()) for platform in ("linux-64", "linux-aarch64"))
RUN = RunRecord(
    id="r-1",
    state="succeeded",
    target="local",
    command=("python",),
    cwd="/",
    definition_digest=DEFINITION,
    settings_digest=digest_bytes(b"{}"),
    created="2026-01-01T00:00:00.000000Z",
)
BLOB = "sha256:" + "a" * 64


async def fill(path: str) -> FillResult:
    Path(path, "lib").mkdir()
    Path(path, "lib", "data").write_text("content")
    seal = seal_prefix(path, [], {}, 0)
    return FillResult(manifest=seal.manifest, stamps=seal.stamps)


async def fill_root(root: str) -> None:
    store = await Store.open(root)
    for lock in (WHOLE, CUT):
        generation = NewGeneration(definition_digest=DEFINITION, platform=lock.platform)
        await store.artifacts.publish_prefix(lock=lock, generation=generation, build_id="b", fill=fill)
    await store.close()


async def add_layer(root: str) -> None:
    """A layer that has no blob."""
    store = await Store.open(root)
    layer = LayerRecord(key="base:x", diff_id="sha256:" + "b" * 64, digest=BLOB, size=1, stamp=1)
    await store.index.layers.put(layer)
    await store.close()


def prefix_of(root: str, lock: Lock) -> Path:
    """The one folder that the record of ``lock``, or the lack of a record, belongs to."""
    folders = [path for path in Path(root, "prefixes").iterdir() if path.is_dir()]
    keys = {path: record.artifact.key if (record := read_record(str(path))) else None for path in folders}
    (found,) = [path for path in folders if keys[path] == digest_lock(lock)]
    return found


def damage(root: str) -> None:
    """One fault of every kind that a repair does something about."""
    whole, cut = prefix_of(root, WHOLE), prefix_of(root, CUT)
    cut.with_name(f"{cut.name}.manifest").unlink()
    whole.with_name(f"{whole.name}.record").unlink()
    (whole / "lib").chmod(0o755)
    Path(root, "prefixes", "00000000-strayyyy").mkdir()
    Path(root, "index.db.12345678.new").write_text("cut")
    Path(root, "trash", "half").mkdir()
    begun = BegunRun(run=RUN, definition=FORM.decode(), settings="{}", name=None)
    create_folder(Layout(root).run_folder(RUN.id), begun)
    os.chmod(f"{root}/prefixes", 0o777)


def spoil_index(root: str) -> None:
    with open(f"{root}/index.db", "r+b") as file:
        file.write(b"\xff" * 50)
    Path(root, "index.db-wal").unlink(missing_ok=True)


@pytest.fixture
def root():
    """A healthy root, in memory: a killed process loses nothing that it wrote."""
    parent = Path(tempfile.mkdtemp(prefix="r", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"))
    asyncio.run(fill_root(str(parent / "r")))
    yield str(parent / "r")
    make_writable(parent)
    shutil.rmtree(parent)


def make_writable(path: Path) -> None:
    for folder, _, _ in os.walk(path):
        os.chmod(folder, 0o700)


def restore(root: str, saved: str) -> None:
    make_writable(Path(root))
    shutil.rmtree(root)
    shutil.copytree(saved, root, symlinks=True)


def repair(root: str) -> RepairView:
    return asyncio.run(repair_root(root, "0.1"))


def run_child(root: str, **variables: str) -> int:
    """Repair in a forked process with these variables; its exit code."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        os.environ.update(variables)
        repair(root)
    except BaseException:
        os._exit(1)
    os._exit(0)


async def assert_serves(root: str) -> None:
    """What a daemon finds when it opens the root after a repair."""
    store = await Store.open(root)
    try:
        assert store.recovery.actions == ()
        assert await store.index.list_faults() == []
        assert await inspect_root(store.layout, store.index, 0) == []
        ready = [each for each in await store.index.artifacts.list_all() if each.state == "ready"]
        assert [each.key for each in ready] == [digest_lock(WHOLE)]
        assert Path(ready[0].path, "lib", "data").read_text() == "content"
        current = await store.index.generations.find_current(DEFINITION, WHOLE.platform)
        assert current is not None
        assert current.lock_digest == digest_lock(WHOLE)
        assert (await store.index.runs.find(RUN.id)).command == RUN.command
        assert await store.index.layers.list_all() == []
    finally:
        await store.close()


@pytest.mark.parametrize("index", ["whole", "damaged"])
def test_killed_at_any_point_the_next_repair_completes_and_the_root_serves(root, tmp_path, index):
    asyncio.run(add_layer(root))
    saved = f"{root}.saved"
    shutil.copytree(root, saved, symlinks=True)

    def begin() -> None:
        restore(root, saved)
        damage(root)
        if index == "damaged":
            spoil_index(root)

    begin()
    assert run_child(root, **{TRACE: str(tmp_path / "trace")}) == 0
    asyncio.run(assert_serves(root))
    lines = (tmp_path / "trace").read_text().splitlines()
    reached = [line.split()[1] for line in lines if line.startswith("point ")]
    assert {"repair.modes-done", "repair.index-done", "repair.finding-done", "repair.content-done"} <= {*reached}
    assert ("rebuild.placed" in reached) == (index == "damaged")
    for number, name in enumerate(reached):
        if index == "whole" and not name.startswith("repair."):
            continue  # both pass through the others
        point = f"{name}:{reached[: number + 1].count(name)}"
        begin()
        assert run_child(root, **{FAILPOINT: point}) == -signal.SIGKILL, point
        assert repair(root).left == [], point
        asyncio.run(assert_serves(root))
    again = repair(root)
    assert (again.done, again.lost, again.left) == ([], [], [])


def test_a_repair_of_a_healthy_root_does_nothing(root):
    before = {path: path.lstat() for path in Path(root).rglob("*") if not path.name.startswith("index.db")}
    view = repair(root)
    assert (view.done, view.lost, view.left, view.prefixes, view.kept) == ([], [], [], [], [])
    after = {path: path.lstat() for path in before}
    assert [path for path in before if before[path].st_ino != after[path].st_ino] == []
    changed = [path for path in before if before[path].st_mtime_ns != after[path].st_mtime_ns and path.is_file()]
    assert [path.name for path in changed if path.name != "lock"] == []
