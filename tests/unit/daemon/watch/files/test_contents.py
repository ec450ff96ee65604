"""What is compared to know whether a path has changed."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

import pytest

from roost.daemon.watch.files import contents
from roost.daemon.watch.files.contents import is_other, look_at, read_entry
from roost.daemon.watch.files.trails import Entry, EntryKind
from roost.store.disk.regular_files import MAX_FILE_BYTES

pytestmark = pytest.mark.unprivileged


def look(path, before=None, *, later=0.0, polled=False):
    return look_at(str(path), before, time.time() + later, polled=polled)


def test_times_and_modes_are_not_content(tmp_path: Path):
    path = tmp_path / "f"
    path.write_text("one")
    before = look(path)
    os.utime(path, (1, 1))
    path.chmod(0o600)
    os.link(path, tmp_path / "g")
    assert not is_other(before, look(path, before))
    path.write_text("two")
    assert is_other(before, look(path, before))


def test_a_change_in_the_same_tick_is_seen(tmp_path: Path):
    path = tmp_path / "f"
    path.write_text("one")
    status = path.stat()
    before = look(path)
    assert not before.is_settled
    path.write_text("two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert is_other(before, look(path, before))


def test_a_settled_file_is_not_read_again(tmp_path: Path, monkeypatch):
    path = tmp_path / "f"
    path.write_text("one")
    before = look(path, later=10)
    assert before.is_settled
    monkeypatch.setattr(contents, "open_regular", None)
    assert look(path, before, later=20) is before


def test_a_settled_file_that_is_saved_is_other(tmp_path: Path):
    path = tmp_path / "f"
    path.write_text("one")
    before = look(path, later=10)
    path.write_text("two!")
    assert is_other(before, look(path, before))


def test_a_file_whose_times_are_in_the_future_is_read_again(tmp_path: Path):
    path = tmp_path / "f"
    path.write_text("one")
    assert not look(path, later=-3600).is_settled


def test_a_polled_file_is_settled_when_it_was_seen_twice(tmp_path: Path):
    # Its clock may be another machine's.
    path = tmp_path / "f"
    path.write_text("one")
    first = look(path, later=3600, polled=True)
    second = look(path, first, later=3602, polled=True)
    assert (first.is_settled, second.is_settled) == (False, True)
    assert look(path, second, later=3604, polled=True) is second


def test_a_large_file_is_compared_by_size_and_time(tmp_path: Path, monkeypatch):
    path = tmp_path / "f"
    with open(path, "w") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    monkeypatch.setattr(contents, "open_regular", None)
    before = look(path)
    assert before.kind == "large"
    assert not is_other(before, look(path, before))
    os.utime(path, (1, 1))
    assert is_other(before, look(path, before))


def test_a_file_that_grows_without_end_is_read_to_the_limit(tmp_path: Path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100)
    status = path.stat()
    monkeypatch.setattr(contents, "MAX_FILE_BYTES", 100)
    assert look(path).kind == "large"
    path.write_bytes(b"x" * 99)
    assert status.st_size == 100
    assert look(path).kind == "file"


def test_what_is_no_file_is_not_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "null").symlink_to("/dev/null")
    assert look(tmp_path / "pipe").kind == "special"
    assert look(tmp_path / "null").kind == "special"
    assert is_other(look(tmp_path / "pipe"), look(tmp_path / "null"))
    assert look(tmp_path / "loop").digest == b"ELOOP"
    assert look(tmp_path / "none").kind == "missing"
    assert look(tmp_path / "pipe" / "below").kind == "missing"
    assert look("/nul\0character").digest == b"EINVAL"
    assert look("/" + "x" * 300).digest == b"ENAMETOOLONG"


def test_a_folder_is_compared_by_its_names(tmp_path: Path, monkeypatch):
    (tmp_path / "f").write_text("one")
    before = look(tmp_path)
    (tmp_path / "f").write_text("two")
    assert not is_other(before, look(tmp_path, before))
    (tmp_path / "f").unlink()
    (tmp_path / "f").mkdir()
    assert is_other(before, look(tmp_path, before))
    monkeypatch.setattr(contents, "MAX_NAMES", 0)
    assert not is_other(look(tmp_path), look(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root passes all modes")
def test_a_file_that_may_not_be_read_is_one_state(tmp_path: Path):
    path = tmp_path / "f"
    path.write_text("one")
    before = look(path)
    path.chmod(0)
    closed = look(path, before)
    assert (closed.kind, closed.digest) == ("unreadable", b"EACCES")
    path.chmod(0o600)
    assert not is_other(before, look(path, closed))
    (tmp_path / "closed").mkdir(mode=0)
    assert read_entry(str(tmp_path / "closed" / "x")).kind is EntryKind.REFUSED


def test_an_error_that_may_pass_is_marked(tmp_path: Path, monkeypatch):
    def fail(path):
        raise OSError(errno.EIO, "on purpose")

    (tmp_path / "f").write_text("one")
    monkeypatch.setattr(contents, "open_regular", fail)
    assert look(tmp_path / "f").is_passing


def test_entries(tmp_path: Path):
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "file").touch()
    assert read_entry(str(tmp_path / "link")) == Entry(EntryKind.LINK, "target")
    assert read_entry(str(tmp_path / "file")).kind is EntryKind.FILE
    assert read_entry(str(tmp_path)).kind is EntryKind.FOLDER
    assert read_entry(str(tmp_path / "file" / "x")).kind is EntryKind.MISSING
    assert read_entry("/nul\0character").kind is EntryKind.REFUSED
    assert stat.S_ISREG((tmp_path / "file").stat().st_mode)
