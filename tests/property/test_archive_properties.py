"""Whatever an archive calls its members, nothing is written outside, and what is refused is refused by name."""

from __future__ import annotations

import contextlib
import io
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.exchange.archives import ArchiveRefusedError, unpack

parts = st.sampled_from(
    ["a", "b", "..", ".", "", "~", "C:", "..\\", "a\\b", "é", "\u202e", "a b", "x" * 300, "-r", "\n"]
)
names = st.lists(parts, min_size=1, max_size=5).map("/".join) | st.text(max_size=8)
kinds = st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])


def assert_contained(archive: bytes) -> None:
    base = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    try:
        (base / "archive").write_bytes(archive)
        folder = base / "in" / "here"
        folder.mkdir(parents=True)
        with contextlib.suppress(ArchiveRefusedError):
            unpack(str(base / "archive"), str(folder))
        assert sorted(path.name for path in base.iterdir()) == ["archive", "in"]
        assert [path.name for path in (base / "in").iterdir()] == ["here"]
        for path in folder.rglob("*"):
            assert not path.is_symlink()
            assert path.is_file() or path.is_dir()
    finally:
        shutil.rmtree(base)


@given(st.lists(st.tuples(names, kinds, st.binary(max_size=5)), max_size=6))
def test_tar(members):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", errors="surrogateescape") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "../../../etc/hostname"
            member.size = len(content) if kind == tarfile.REGTYPE else 0
            with contextlib.suppress(UnicodeEncodeError):
                tar.addfile(member, io.BytesIO(content))
    assert_contained(packed.getvalue())


@given(st.lists(st.tuples(names.filter(lambda name: "\0" not in name), st.binary(max_size=5)), max_size=6))
def test_zip(members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members:
            with contextlib.suppress(UnicodeEncodeError, IndexError, UserWarning):  # a second one of a name
                archive.writestr(zipfile.ZipInfo(name), content)
    assert_contained(packed.getvalue())


@given(st.binary(max_size=700))
def test_no_archive_at_all(content):
    assert_contained(content)
    assert_contained(b"PK\x03\x04" + content)
    assert_contained(b"\x1f\x8b" + content)
