"""Stamps: what of a file's state they hold, and what changes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roost.daemon.definitions.stamps import ABSENT, is_unchanged, stamp, stamp_in_prefix
from roost.model.records import FileStamp


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("text")
    return path


def test_a_file_of_its_own_is_stamped_whole(file: Path) -> None:
    assert stamp_in_prefix(str(file)).identity == stamp(str(file))
    assert stamp(str(file)).count(":") == 4


def test_a_hard_link_is_stamped_without_its_ctime(file: Path) -> None:
    os.link(file, file.with_name("other"))
    guard = stamp_in_prefix(str(file))
    assert guard.identity.count(":") == 3
    os.link(file, file.with_name("third"))  # moves the ctime
    assert is_unchanged(guard)
    file.write_text("more text")
    assert not is_unchanged(guard)


def test_a_folder_in_a_prefix_is_stamped_with_its_mtime(tmp_path: Path) -> None:
    guard = stamp_in_prefix(str(tmp_path))
    assert guard.identity.count(":") == 3
    tmp_path.chmod(0o555)  # moves the ctime only
    tmp_path.chmod(0o755)
    assert is_unchanged(guard)
    os.utime(tmp_path, ns=(0, tmp_path.stat().st_mtime_ns + 1))
    assert not is_unchanged(guard)


def test_a_folder_stamped_by_an_older_version_is_compared_by_what_it_has(tmp_path: Path) -> None:
    guard = FileStamp(path=str(tmp_path), identity=stamp(str(tmp_path)))
    assert guard.identity.count(":") == 1
    (tmp_path / "new").write_text("")
    assert is_unchanged(guard)
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    moved.with_name(tmp_path.name).mkdir()
    assert not is_unchanged(guard)


def test_a_number_that_begins_like_another_is_another(tmp_path: Path) -> None:
    identity = stamp(str(tmp_path))
    assert not is_unchanged(FileStamp(path=str(tmp_path), identity=identity[:-1]))


def test_what_is_not_there(tmp_path: Path) -> None:
    guard = stamp_in_prefix(str(tmp_path / "none"))
    assert guard.identity == ABSENT == stamp(str(tmp_path / "none"))
    assert is_unchanged(guard)
    (tmp_path / "none").mkdir()
    assert not is_unchanged(guard)
    assert not is_unchanged(FileStamp(path=str(tmp_path / "gone"), identity="1:2"))


def test_a_path_that_leads_nowhere_is_absent_and_no_failure(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in ("a" * 300, "loop/x", "a\0b"):
        assert stamp(str(tmp_path / path)) == ABSENT
