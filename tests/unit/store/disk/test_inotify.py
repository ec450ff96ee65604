"""Notices of the kernel about folders."""

from __future__ import annotations

import errno
import os
import select
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.soaking import examples

from roost.store.disk import inotify
from roost.store.disk.inotify import FolderNotice, Inotify, parse_notices

names = st.binary(max_size=30).filter(lambda name: b"\0" not in name and b"/" not in name).map(os.fsdecode)
notices = st.builds(FolderNotice, st.integers(-1, 2**31 - 1), st.integers(0, 2**32 - 1), names)


def pack(notice: FolderNotice) -> bytes:
    """As inotify(7) says: the name with one zero byte or more, and none of both for the folder itself."""
    name = os.fsencode(notice.name)
    name += b"\0" * (16 - len(name) % 16) if name else b""
    return struct.pack("iIII", notice.watch, notice.mask, 7, len(name)) + name


@examples(50)
@given(st.lists(notices))
def test_notices_are_read_as_they_are_written(found):
    assert parse_notices(b"".join(map(pack, found))) == found


@examples(30)
@given(st.binary(max_size=200))
def test_any_bytes_end(data):
    parse_notices(data)


@pytest.fixture
def open_notices():
    found = Inotify()
    yield found
    found.close()


def test_a_folder_has_one_watch_and_its_names_are_told(open_notices, tmp_path):
    watch = open_notices.watch(str(tmp_path), inotify.CREATE | inotify.ONLYDIR)
    assert open_notices.watch(f"{tmp_path}/.", inotify.DELETE | inotify.MASK_ADD) == watch
    assert open_notices.read() == []
    (tmp_path / "näme").touch()
    (tmp_path / "näme").unlink()
    assert select.select([open_notices.descriptor], [], [], 10)[0]
    assert open_notices.read() == [FolderNotice(watch, mask, "näme") for mask in (inotify.CREATE, inotify.DELETE)]
    open_notices.unwatch(watch)
    open_notices.unwatch(watch)
    assert open_notices.read() == [FolderNotice(watch, inotify.IGNORED, "")]


def test_what_is_no_folder_is_refused_by_its_error(open_notices, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(".")
    mask = inotify.CREATE | inotify.ONLYDIR | inotify.DONT_FOLLOW
    for name, code in (("none", errno.ENOENT), ("file", errno.ENOTDIR), ("link", errno.ENOTDIR)):
        with pytest.raises(OSError, match=os.strerror(code)):
            open_notices.watch(str(tmp_path / name), mask)
