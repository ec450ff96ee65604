"""What a new daemon finds, and what it makes of it."""

from __future__ import annotations

import fcntl
import json
import os

import pytest

from roost.model.records import BuildRecord, LeaseTarget, NewGeneration, RunRecord
from roost.store.artifacts import recovery
from roost.store.disk.layout import Layout
from roost.store.store import Store

pytestmark = pytest.mark.unprivileged

NOW = "2026-01-01T00:00:00Z"


def put(path, text="x"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as stream:
        stream.write(text)


async def reopened(root):
    store = await Store.open(root)
    report = store.recovery
    return store, report


async def test_a_clean_root_needs_nothing(root, lock_of, fill):
    store = await Store.open(root)
    artifact = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=fill)
    await store.close()
    store, report = await reopened(root)
    assert (report.actions, report.failed_builds, report.ended_runs, report.live_runs) == ((), (), {}, ())
    assert await store.index.artifacts.find_ready("prefix", artifact.key) == artifact
    await store.close()


async def test_left_over_trash_stage_and_launch_plans_go(root):
    await (await Store.open(root)).close()
    layout = Layout(root)
    for folder in (layout.trash, layout.stage, layout.launch):
        put(f"{folder}/a/b/c")
        put(f"{folder}/file")
        os.symlink("/", f"{folder}/link")
        os.makedirs(f"{folder}/locked/in")
        os.chmod(f"{folder}/locked", 0o500)
    store, _ = await reopened(root)
    assert [os.listdir(folder) for folder in (layout.trash, layout.stage, layout.launch)] == [[], [], []]
    assert os.path.isdir("/tmp")
    await store.close()


async def test_a_start_does_not_wait_for_a_large_trash(root, monkeypatch):
    await (await Store.open(root)).close()
    trash = Layout(root).trash
    put(f"{trash}/a/b")
    monkeypatch.setattr(recovery, "_TRASH_SECONDS", -1.0)
    store, _ = await reopened(root)
    assert os.listdir(trash) == ["a"]
    await store.close()


async def test_content_without_a_row_goes_unless_it_is_used(root):
    await (await Store.open(root)).close()
    prefixes = Layout(root).prefixes
    for name in ("stray", "used"):
        put(f"{prefixes}/{name}/bin/python")
        put(f"{prefixes}/{name}.lease")
        put(f"{prefixes}/{name}.manifest")
        put(f"{prefixes}/{name}.record")
    put(f"{prefixes}/only.lease")
    put(f"{prefixes}/alone.manifest")
    put(f"{prefixes}/recorded.record")
    with open(f"{prefixes}/used.lease") as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        store, _ = await reopened(root)
        assert sorted(os.listdir(prefixes)) == ["used", "used.lease", "used.manifest", "used.record"]
        await store.close()
    store, _ = await reopened(root)
    assert os.listdir(prefixes) == []
    await store.close()


async def test_a_row_without_content_goes_and_a_lease_file_comes_back(root, lock_of, fill):
    import shutil

    store = await Store.open(root)
    gone = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=fill)
    kept = await store.artifacts.publish_prefix(lock=lock_of("b"), generation=None, build_id="b", fill=fill)
    await store.close()
    shutil.rmtree(gone.path)
    os.unlink(kept.lease_path)
    store, _ = await reopened(root)
    assert [a.id for a in await store.index.artifacts.list_all()] == [kept.id]
    assert sorted(os.listdir(store.layout.prefixes)) == sorted(
        map(os.path.basename, (kept.path, *(f"{kept.path}.{kind}" for kind in ("lease", "manifest", "record"))))
    )
    await store.close()


async def test_open_builds_are_failed_with_a_code(root, lock_of):
    store = await Store.open(root)
    for state in ("queued", "solving", "building", "succeeded", "failed", "cancelled"):
        await store.index.builds.insert(
            BuildRecord(id=state, definition_digest="sha256:d", platform="linux-64", state=state, created=NOW)
        )
    new = NewGeneration(definition_digest="sha256:d", platform="linux-64")
    generation = await store.index.generations.add(new, lock_of("a"))
    target = LeaseTarget(kind="prefix", subject=generation.lock_digest)
    await store.index.leases.put("x", target, "build:building", "9999-01-01T00:00:00Z")
    await store.index.leases.put("y", target, "somebody", "9999-01-01T00:00:00Z")
    await store.close()
    store, report = await reopened(root)
    assert report.failed_builds == ("queued", "solving", "building")
    for state in report.failed_builds:
        build = await store.index.builds.find(state)
        assert build.state == "failed"
        assert build.error["code"] == "daemon-stopped"
        assert build.ended
    assert (await store.index.builds.find("succeeded")).state == "succeeded"
    assert (await store.index.builds.find("cancelled")).error is None
    assert [lease.id for lease in await store.index.leases.list_active()] == ["y"]
    await store.close()


@pytest.mark.parametrize(
    ("name", "text", "state", "status"),
    [
        ("done", '{"exit_status": 0, "ended": "2026-01-02T00:00:00Z"}', "succeeded", 0),
        ("bad", '{"exit_status": 3, "ended": "2026-01-02T00:00:00Z"}', "failed", 3),
        ("stopped", '{"exit_status": 143, "ended": "2026-01-02T00:00:00Z", "state": "cancelled"}', "cancelled", 143),
        ("no-exit", None, "lost", None),
        ("torn-exit", '{"exit_st', "lost", None),
    ],
)
async def test_runs_get_the_end_that_their_folder_tells(root, name, text, state, status):
    store = await Store.open(root)
    await store.index.runs.insert(run(name))
    folder = store.layout.run_folder(name)
    put(f"{folder}/lock", "")
    if text is not None:
        put(f"{folder}/exit", text)
    await store.close()
    store, report = await reopened(root)
    found = await store.index.runs.find(name)
    assert report.ended_runs == {name: state}
    assert (found.state, found.exit_status) == (state, status)
    assert found.ended == ("2026-01-02T00:00:00Z" if status is not None else found.ended)
    assert found.ended
    await store.close()


async def test_a_run_whose_supervisor_lives_goes_on(root):
    store = await Store.open(root)
    await store.index.runs.insert(run("alive"))
    await store.index.runs.insert(run("ended", state="succeeded"))
    path = store.layout.run_folder("alive") + "/lock"
    put(path, "")
    await store.close()
    with open(path) as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        store, report = await reopened(root)
        assert report.live_runs == ("alive",)
        assert (await store.index.runs.find("alive")).state == "running"
        await store.close()
    store, report = await reopened(root)
    assert report.ended_runs == {"alive": "lost"}
    assert (await store.index.runs.find("ended")).state == "succeeded"
    await store.close()


def run(name, state="running"):
    return RunRecord(
        id=name,
        state=state,
        target="local",
        command=("python",),
        cwd="/",
        definition_digest="sha256:d",
        settings_digest="sha256:s",
        created=NOW,
    )


async def test_an_exit_file_is_read_as_json(root):
    from roost.store.disk.run_folders import read_outcome

    put(f"{root}/run/exit", json.dumps({"exit_status": 0, "ended": NOW, "later": "field"}))
    assert read_outcome(f"{root}/run").state == "succeeded"
