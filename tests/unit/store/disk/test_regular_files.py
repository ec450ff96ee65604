"""Files that somebody else named: pipes, devices, sockets and folders are refused at once."""

from __future__ import annotations

import os
import socket

import pytest

from roost.store.disk import regular_files
from roost.store.disk.regular_files import open_regular, read_regular, require_regular


def _make_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)


SPECIAL = {
    "pipe": os.mkfifo,
    "endless device": lambda path: os.symlink("/dev/zero", path),
    "terminal": lambda path: os.symlink("/dev/tty", path),
    "socket": _make_socket,
    "folder": os.mkdir,
    "link to itself": lambda path: os.symlink(path, path),
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("read", [open_regular, read_regular, require_regular])
def test_what_is_not_a_regular_file_is_refused(tmp_path, monkeypatch, kind, read):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    SPECIAL[kind]("special")
    with pytest.raises(OSError, match=r"not a regular file|directory|levels of symbolic links"):
        read("special")


def test_a_regular_file_is_read_through_a_link(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(str(tmp_path / "link")) == b"content"
    with open_regular(str(tmp_path / "link")) as file:
        assert file.read() == b"content"


def test_a_file_over_the_limit_is_refused_by_its_content_and_not_by_its_stat(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert read_regular(str(tmp_path / "file"), 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(str(tmp_path / "file"), 4)


def test_a_pipe_that_takes_the_place_of_a_file_is_refused(tmp_path, monkeypatch):
    path = str(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"content")
    before = os.stat(path)
    os.unlink(path)
    os.mkfifo(path)
    monkeypatch.setattr(regular_files.os, "stat", lambda name: before)
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(path)


def test_refusals_leave_no_descriptor_open(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(50):
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(str(tmp_path / "pipe"))
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after == before


def test_a_name_with_a_nul_is_refused_as_other_names_that_no_file_can_have() -> None:
    with pytest.raises(OSError, match="NUL"):
        read_regular("/a\0b")
