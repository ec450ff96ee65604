"""Files that have to be polled, and mounts that do not answer."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
from tests.support.file_watching import PATIENCE, Watched, save

from roost.daemon.watch.files import methods, path_watches, polling, subjects, watcher
from roost.daemon.watch.files.methods import INOTIFY, WatchKind
from roost.daemon.watch.files.mounts import parse_mounts
from roost.daemon.watch.files.polling import Poller


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of mounts in which ``tmp_path/net`` is one of a file server."""
    monkeypatch.setattr(methods, "MIN_POLL_SECONDS", 0.02)
    monkeypatch.setattr(methods, "MAX_POLL_SECONDS", 0.02)
    (tmp_path / "net").mkdir()
    return parse_mounts(f"1 0 8:1 / / rw - ext4 a rw\n2 1 0:2 / {tmp_path}/net rw - nfs4 server:/x rw")


@pytest.fixture
async def watched(table, monkeypatch):
    # Notices of the folder would hide that polling does not work.
    monkeypatch.setattr(path_watches, "interpret", lambda *parts: path_watches.Meaning())
    found = Watched(find_mounts=lambda: table)
    yield found
    await found.watcher.close()


async def test_files_of_a_file_server_are_polled(watched, tmp_path):
    path, link = tmp_path / "net" / "environment.yml", tmp_path / "link"
    path.write_text("one")
    link.symlink_to("net")
    await watched.watch("a", [str(path)])
    await watched.watch("b", [str(link / "environment.yml")])
    await watched.watch("c", [str(tmp_path / "environment.yml")])
    assert watched.describe("a").kind is watched.describe("b").kind is WatchKind.POLLING
    assert f"{tmp_path}/net is a mount of type nfs4" in watched.describe("a").reason
    assert watched.describe("c") == INOTIFY
    for number in range(3):
        save(path, f"saved {number}")
        await watched.until("a", "b")
        await watched.settle()
    path.unlink()
    await watched.until("a", "b")


async def test_touching_a_polled_file_is_not_reported(watched, tmp_path, monkeypatch):
    monkeypatch.setattr(subjects, "DOUBT_SECONDS", 0.0)
    path = tmp_path / "net" / "environment.yml"
    path.write_text("one")
    await watched.watch("a", [str(path)])
    os.utime(path)
    path.chmod(0o600)
    await watched.watcher.look_again()
    assert watched.reports == []


async def test_a_mount_that_does_not_answer_holds_up_nothing_else(watched, tmp_path, monkeypatch):
    monkeypatch.setattr(watcher, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(subjects, "SILENCE_SECONDS", 0.01)
    hung, other = tmp_path / "net" / "environment.yml", tmp_path / "environment.yml"
    asked, answered, look_at = threading.Event(), threading.Event(), subjects.look_at

    def hang(path, *parts, **options):
        if path == str(hung):
            asked.set()
            assert answered.wait(PATIENCE)
        return look_at(path, *parts, **options)

    monkeypatch.setattr(subjects, "look_at", hang)
    await watched.watch("a", [str(hung)])  # returns without an answer
    await asyncio.to_thread(asked.wait, PATIENCE)
    await watched.until_true(lambda: watched.describe("a").kind is WatchKind.BROKEN)
    assert f"{tmp_path}/net has not answered" in watched.describe("a").reason
    await watched.watch("b", [str(other)])
    other.write_text("two")
    await watched.watcher.look_again()
    await watched.until("b")
    answered.set()
    await watched.until_true(lambda: watched.describe("a").kind is WatchKind.POLLING)
    hung.write_text("one")
    await watched.until("a")


def test_a_poller_has_a_thread_only_while_it_has_paths(monkeypatch):
    monkeypatch.setattr(methods, "MIN_POLL_SECONDS", 0.01)
    looked = threading.Semaphore(0)
    poller = Poller("x", lambda path: looked.release())
    for _ in range(2):
        poller.add("/a")
        assert looked.acquire(timeout=PATIENCE)
        thread = poller._thread
        assert thread is not None
        poller.remove("/a")
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert poller.look_now().result(0) is None
    poller.close()
    poller.add("/a")
    assert poller._thread is None


async def test_without_inotify_everything_is_polled(watched, tmp_path, monkeypatch):
    def fail():
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(path_watches, "Inotify", fail)
    path = tmp_path / "environment.yml"
    await watched.watch("a", [str(path)])
    assert watched.describe("a") == methods.NO_INOTIFY
    assert polling.SILENCE_SECONDS > 1
    path.write_text("one")
    await watched.until("a")
