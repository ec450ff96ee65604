"""The lock of a root: its file may be removed, and no second daemon gets in."""

from __future__ import annotations

import os

import pytest

from roost.store.disk.layout import Layout
from roost.store.disk.root import RootInUseError, RootReadOnlyError
from roost.store.disk.root_lock import claim_root


@pytest.fixture
def layout(tmp_path):
    return Layout(str(tmp_path / "root"))


def read_lock(layout):
    with open(layout.lock_path) as file:
        return file.read().splitlines()


def test_the_file_names_process_address_and_phase(layout):
    lock = claim_root(layout, "/tmp/socket")
    assert read_lock(layout) == [str(os.getpid()), "/tmp/socket", "starting"]
    lock.write_phase("serving")
    assert read_lock(layout) == [str(os.getpid()), "/tmp/socket", "serving"]
    lock.release()
    lock.release()


def test_a_second_daemon_does_not_get_in_by_a_removed_file(layout):
    lock = claim_root(layout)
    os.unlink(layout.lock_path)
    with pytest.raises(RootInUseError):
        claim_root(layout)
    lock.release()
    claim_root(layout).release()


def test_a_removed_file_is_restored(layout):
    lock = claim_root(layout, "/tmp/socket")
    lock.write_phase("serving")
    assert lock.is_file_present
    os.unlink(layout.lock_path)
    assert not lock.is_file_present
    lock.restore_file()
    assert lock.is_file_present
    assert read_lock(layout) == [str(os.getpid()), "/tmp/socket", "serving"]
    with pytest.raises(RootInUseError) as caught:
        claim_root(layout)
    assert caught.value.fields == {"root": layout.root, "pid": os.getpid(), "address": "/tmp/socket"}
    lock.release()
    claim_root(layout).release()


def test_a_moved_root_is_noticed(layout):
    lock = claim_root(layout)
    assert lock.is_root_present
    os.rename(layout.root, layout.root + ".moved")
    assert not lock.is_root_present
    os.mkdir(layout.root)
    assert not lock.is_root_present
    lock.release()


def test_a_root_behind_a_symlink_is_present(layout, tmp_path):
    (tmp_path / "real").mkdir()
    os.symlink(tmp_path / "real", layout.root)
    lock = claim_root(layout)
    assert lock.is_root_present
    lock.release()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/dev/zero", path)])
def test_a_lock_that_is_no_regular_file_is_refused_at_once(layout, make):
    os.makedirs(layout.root)
    make(layout.lock_path)
    with pytest.raises(RootReadOnlyError):
        claim_root(layout)
