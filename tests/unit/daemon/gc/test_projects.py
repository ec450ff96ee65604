"""Whether an environment file was deleted, or may be where it was, on a disk that is not mounted."""

from __future__ import annotations

import asyncio
import os
import time

import pytest

from roost.daemon.gc import projects
from roost.daemon.gc.projects import ProjectProbe, probe_file, read_fstab


@pytest.fixture
def seen():
    """Before now, so that a deletion of today comes later."""
    return time.time() - 3600


def test_a_file_that_is_there_is_present(tmp_path, seen):
    (tmp_path / "environment.yml").touch()
    assert probe_file(str(tmp_path / "environment.yml"), seen) == "present"


@pytest.mark.parametrize("name", ["environment.yml", "project/environment.yml", "file/environment.yml"])
def test_what_was_deleted_since_is_absent(tmp_path, seen, name):
    (tmp_path / "file").touch()
    assert probe_file(str(tmp_path / name), seen) == "absent"


def test_a_folder_that_is_older_than_the_file_may_be_a_mount_point(tmp_path, seen):
    os.utime(tmp_path, (seen - 1, seen - 1))
    assert probe_file(str(tmp_path / "project" / "environment.yml"), seen) == "unknown"


def test_a_file_below_a_mount_point_of_fstab_that_is_not_mounted_is_unknown(tmp_path, seen):
    fstab = tmp_path / "fstab"
    fstab.write_text(
        f"# a comment\nUUID=1 / ext4 defaults 0 1\nUUID=2 {tmp_path}/my\\040disk ext4 noauto 0 2\nbroken\n"
    )
    mounts = read_fstab(str(fstab))
    assert mounts == {f"{tmp_path}/my disk"}
    assert probe_file(f"{tmp_path}/my disk/project/environment.yml", seen, mounts) == "unknown"
    assert probe_file(f"{tmp_path}/my disk too/environment.yml", seen, mounts) == "absent"
    assert read_fstab(str(tmp_path / "none")) == frozenset()


def test_a_disk_that_comes_and_goes_is_unknown_without_a_mount(tmp_path, seen, monkeypatch):
    media = tmp_path / "media"
    (media / "user").mkdir(parents=True)
    monkeypatch.setattr(projects, "_REMOVABLE", (f"{media}/",))
    assert probe_file(f"{media}/user/stick/environment.yml", seen) == "unknown"
    monkeypatch.setattr(os.path, "ismount", lambda path: path == f"{media}/user")
    assert probe_file(f"{media}/user/stick/environment.yml", seen) == "absent"


def test_what_can_not_be_looked_at_is_unknown(tmp_path, seen, monkeypatch):
    def fail(path):
        raise PermissionError(path)

    monkeypatch.setattr(os, "lstat", fail)
    assert probe_file(str(tmp_path / "x"), seen) == "unknown"
    monkeypatch.undo()
    assert probe_file("/a\0b", seen) == "unknown"


async def test_a_file_system_that_does_not_answer_is_unknown_and_holds_up_nobody(tmp_path, seen, monkeypatch):
    answer = asyncio.Event()
    loop = asyncio.get_running_loop()
    hanging = str(tmp_path / "hangs")
    original = projects.probe_file

    def probe(path, moment, mounts):
        if path == hanging:
            asyncio.run_coroutine_threadsafe(answer.wait(), loop).result()
        return original(path, moment, mounts)

    monkeypatch.setattr(projects, "probe_file", probe)
    probing = ProjectProbe(fstab="/dev/null", patience=0.2)
    first = str(tmp_path / "gone")
    assert await probing.find_presence({first: seen, hanging: seen}) == {first: "absent", hanging: "unknown"}
    assert await probing.find_presence({first: seen}) == {first: "unknown"}, "the thread is still held"
    answer.set()
    await asyncio.to_thread(probing._thread.join)
    assert await probing.find_presence({first: seen}) == {first: "absent"}
    assert await probing.find_presence({}) == {}
