"""Deleting and retiring: in which order, what stops them, and who is named as the user."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import subprocess
import sys

import pytest
import pytest_asyncio

from roost.model.records import LeaseTarget
from roost.store.artifacts.artifact_store import ArtifactUnknownError
from roost.store.disk import lease_files
from roost.store.disk.lease_files import ExclusiveLease
from roost.store.failpoints import TRACE
from roost.store.store import Store

pytestmark = pytest.mark.unprivileged

FAR = "9999-01-01T00:00:00Z"


@pytest_asyncio.fixture
async def artifact(store, lock_of, fill):
    return await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=fill)


@pytest.fixture(params=["flock -s -n 9 || exit 9;", ""], ids=["locked", "open"])
def holder(artifact, request):
    """A process that holds the lease as a run does: opened (and locked) before exec, inherited by the command."""
    script = f'exec 9<"$1"; {request.param} echo held; exec sleep 600'
    process = subprocess.Popen(["/bin/sh", "-c", script, "sh", artifact.lease_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


async def test_deleted_prefix_is_gone(store, artifact):
    assert await store.artifacts.delete(artifact.id) is True
    assert os.listdir(store.layout.prefixes) == []
    assert os.listdir(store.layout.trash) == []
    assert await store.index.artifacts.list_all() == []
    with pytest.raises(ArtifactUnknownError):
        await store.artifacts.delete(artifact.id)


async def test_order_of_deletion(store, artifact, monkeypatch, tmp_path):
    trace = tmp_path / "trace"
    monkeypatch.setenv(TRACE, str(trace))
    await store.artifacts.delete(artifact.id)
    monkeypatch.delenv(TRACE)
    operations = [line.split(" ") for line in trace.read_text().splitlines() if not line.startswith("point")]
    moved = operations[2][-1]
    assert operations == [
        ["commit", "mark_deleting"],
        ["unlink", artifact.lease_path],
        ["rename", artifact.path, moved],
        ["sync-folder", store.layout.prefixes],
        ["remove", moved],
        ["commit", "delete_artifact_row"],
    ]
    assert os.path.dirname(moved) == store.layout.trash


async def test_prefix_in_use_stays(store, artifact, holder):
    assert await store.artifacts.delete(artifact.id) is False
    assert (await store.index.artifacts.find(artifact.id)).state == "ready"
    assert os.path.isdir(artifact.path)
    holder.kill()
    holder.wait()
    assert await store.artifacts.delete(artifact.id) is True


async def test_usage_names_the_process(store, artifact, holder):
    (row,) = await store.artifacts.list_usage()
    assert row.protected_by == (f"process:{holder.pid}",)
    assert (row.id, row.kind, row.bytes) == (artifact.id, "prefix", artifact.bytes)
    holder.kill()
    holder.wait()
    (row,) = await store.artifacts.list_usage()
    assert row.protected_by == ()


@pytest.mark.parametrize("is_locked", [True, False])
async def test_a_lease_without_a_visible_process_is_told_as_such(store, artifact, is_locked):
    # held by this very process, which does not count itself as a user
    with open(artifact.lease_path) as stream:
        if is_locked:
            fcntl.flock(stream, fcntl.LOCK_SH)
        (row,) = await store.artifacts.list_usage()
        assert await store.artifacts.delete(artifact.id) is False
    assert row.protected_by == ("process:unknown",)
    assert (await store.artifacts.list_usage())[0].protected_by == ()
    assert await store.artifacts.delete(artifact.id) is True


async def test_whoever_came_in_by_a_broken_bar_keeps_the_prefix(store, artifact, monkeypatch):
    # As when the daemon is stopped for a minute after it has barred the lease: the kernel lets the launcher in.
    monkeypatch.setattr(ExclusiveLease, "is_whole", lambda hold: False)
    assert await store.artifacts.delete(artifact.id) is False
    assert os.path.isdir(artifact.path)
    assert (await store.index.artifacts.find(artifact.id)).state == "deleting", "nobody else comes in"
    monkeypatch.undo()
    with subprocess.Popen(["sleep", "600"], cwd=artifact.path) as process:
        assert await store.artifacts.delete(artifact.id) is False
        process.kill()
    assert await store.artifacts.delete(artifact.id) is True
    assert os.listdir(store.layout.prefixes) == []


async def test_without_leases_of_the_kernel_locks_decide(store, artifact, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(lease_files, "_try_bar", refuse)
    assert not lease_files.can_bar(store.layout.prefixes)
    with open(artifact.lease_path) as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        assert (await store.artifacts.list_usage())[0].protected_by == ("process:unknown",)
        assert await store.artifacts.delete(artifact.id) is False
    assert await store.artifacts.delete(artifact.id) is True


def test_a_trial_of_bars_leaves_nothing(store):
    assert lease_files.can_bar(store.layout.prefixes)
    assert os.listdir(store.layout.prefixes) == []
    assert not lease_files.can_bar("/none")


async def test_pin_and_lease_protect(store, artifact):
    await store.index.pins.add(artifact.key)
    target = LeaseTarget(kind="artifact", subject=artifact.id)
    await store.index.leases.put("l1", target, "somebody", FAR)
    (row,) = await store.artifacts.list_usage()
    assert row.protected_by == ("lease:l1", "pin")
    assert await store.artifacts.delete(artifact.id) is False
    assert await store.index.pins.delete(artifact.key) is True
    assert await store.artifacts.delete(artifact.id) is False
    await store.index.leases.put("l1", target, "somebody", "2001-01-01T00:00:00Z")
    assert await store.index.leases.list_active() == []
    assert await store.artifacts.delete(artifact.id) is True


async def test_last_use_is_the_mtime_of_the_lease(store, artifact):
    os.utime(artifact.lease_path, (4_000_000_000, 4_000_000_000))
    (row,) = await store.artifacts.list_usage()
    assert row.last_used == "2096-10-02T07:06:40.000000Z"


async def test_measured_usage_sees_new_links(store, artifact):
    python = os.path.join(artifact.path, "bin", "python")
    os.link(python, os.path.join(store.layout.packages, "kept"))
    (published,), (measured,) = await store.artifacts.list_usage(), await store.artifacts.list_usage(measure=True)
    assert published.shared_bytes == 0
    assert measured.shared_bytes == os.stat(python).st_blocks * 512


async def test_retired_prefix_is_not_picked_and_goes_at_once(store, artifact):
    assert await store.artifacts.retire_prefix(artifact.id) is True
    assert await store.index.artifacts.list_all() == []
    assert not os.path.exists(artifact.path)


async def test_a_pin_on_the_lock_does_not_hold_a_broken_prefix_and_one_on_the_prefix_does(store, artifact):
    await store.index.pins.add(artifact.key)
    await store.index.pins.add(artifact.id)
    assert await store.artifacts.retire_prefix(artifact.id) is False
    assert await store.index.pins.list_artifacts() == [artifact.id]
    await store.index.pins.delete(artifact.id)
    assert await store.index.pins.list_artifacts() == []
    assert await store.artifacts.sweep_retired() == 1


async def test_retired_prefix_in_use_goes_when_it_is_free(store, artifact, holder, lock_of, fill):
    assert await store.artifacts.retire_prefix(artifact.id) is False
    assert await store.index.artifacts.find_ready("prefix", artifact.key) is None
    assert await store.artifacts.sweep_retired() == 0
    assert os.path.isdir(artifact.path)
    again = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=fill)
    assert again.path != artifact.path
    assert (await store.index.artifacts.find_ready("prefix", artifact.key)).id == again.id
    holder.kill()
    holder.wait()
    assert await store.artifacts.sweep_retired() == 1
    assert [a.id for a in await store.index.artifacts.list_all()] == [again.id]
    assert not os.path.exists(artifact.path)


async def test_retired_prefix_in_use_survives_a_restart(root, lock_of, fill):
    store = await Store.open(root)
    artifact = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=fill)
    with open(artifact.lease_path) as stream:
        fcntl.flock(stream, fcntl.LOCK_SH)
        assert await store.artifacts.retire_prefix(artifact.id) is False
        await store.close()
        store = await Store.open(root)
        assert (await store.index.artifacts.find(artifact.id)).state == "retired"
        assert os.path.isdir(artifact.path)
        await store.close()
    store = await Store.open(root)
    assert await store.index.artifacts.list_all() == []
    assert os.listdir(store.layout.prefixes) == []
    await store.close()


async def test_missing_lease_file_does_not_stop_a_deletion(store, artifact):
    os.unlink(artifact.lease_path)
    assert await store.artifacts.delete(artifact.id) is True
    assert os.listdir(store.layout.prefixes) == []


async def test_two_deletions_at_once_remove_it_once(store, artifact):
    both = await asyncio.gather(
        store.artifacts.delete(artifact.id), store.artifacts.delete(artifact.id), return_exceptions=True
    )
    assert True in both
    assert os.listdir(store.layout.prefixes) == []
    assert await store.index.artifacts.list_all() == []


LAUNCHER = """
import fcntl, os, sys
lease, path, locks = sys.argv[1:]
print("ready", flush=True)
while True:
    try:
        descriptor = os.open(lease, os.O_RDONLY)
    except FileNotFoundError:
        break
    try:
        if locks:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        continue
    if not os.path.lexists(path):
        break
    if not os.path.exists(path + "/bin/python"):
        sys.exit("half a prefix")
    os.close(descriptor)
print("turned back")
"""


@pytest.mark.parametrize("locks", ["locks", ""])
async def test_starting_and_deleting_race_without_harm(store, lock_of, fill, locks):
    """A launcher that opens (and locks) and looks, again and again, sees the prefix whole or gone; in the end it is
    deleted."""
    artifact = await store.artifacts.publish_prefix(lock=lock_of("a"), generation=None, build_id="b", fill=fill)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LAUNCHER, artifact.lease_path, artifact.path, locks,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert await process.stdout.readline() == b"ready\n"
    tries = 1
    while not await store.artifacts.delete(artifact.id):
        tries += 1
        assert tries < 10_000
    out, err = await process.communicate()
    assert (process.returncode, out, err) == (0, b"turned back\n", b"")
