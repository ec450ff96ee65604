"""A layer's archive: what tar reads back, and the same bytes whatever the order and the clock."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import threading
import time
import zlib
from pathlib import Path

import pytest

from roost.daemon.layers import tar
from roost.daemon.layers.tar import FIXED_TIME, LayerEntry, StoppedError, complete_entries, pack_layer


def packed(folder: Path, entries: list[LayerEntry], name: str = "a") -> tuple[tar.Packed, bytes]:
    path = folder / name
    made = pack_layer(entries, str(path), threading.Event())
    return made, path.read_bytes()


def members(blob: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(blob), mode="r:gz") as archive:
        return {member.name: member for member in archive}


LONG = "opt/" + "/".join(["folder-" + "x" * 60] * 5) + "/file"
WIDE = "opt/größe/Ω.txt"


def sample(folder: Path) -> list[LayerEntry]:
    (folder / "source").write_bytes(b"s" * 3_000_001)
    return [
        LayerEntry(name="opt/tool", source=str(folder / "source"), executable=True, time=1_700_000_000),
        LayerEntry(name=LONG, data=b"long"),
        LayerEntry(name=WIDE, data=b""),
        LayerEntry(name="opt/link", kind="link", target="../" * 40 + "x"),
        LayerEntry(name="opt/empty", kind="folder"),
    ]


def test_tar_reads_back_what_was_written(tmp_path: Path) -> None:
    made, blob = packed(tmp_path, sample(tmp_path))
    found = members(blob)
    tool, long = found["opt/tool"], found[LONG]
    assert (tool.mode, tool.size, tool.mtime) == (0o755, 3_000_001, 1_700_000_000)
    assert (long.mode, long.size, long.mtime) == (0o644, 4, FIXED_TIME)
    assert found["opt/link"].linkname == "../" * 40 + "x"
    assert found["opt/empty"].isdir()
    assert WIDE in found
    assert {(member.uid, member.gid, member.uname, member.gname) for member in found.values()} == {(0, 0, "", "")}
    assert made.size == len(blob)
    with tarfile.open(fileobj=io.BytesIO(blob), mode="r:gz") as archive:
        content = archive.extractfile("opt/tool")
        assert content is not None
        assert content.read() == b"s" * 3_000_001


def test_gnu_tar_reads_it_too(tmp_path: Path) -> None:
    packed(tmp_path, sample(tmp_path))
    target = tmp_path / "out"
    target.mkdir()
    environ = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run(["tar", "xzf", str(tmp_path / "a"), "-C", str(target)], check=True, env=environ)
    assert (target / LONG).read_text() == "long"
    assert (target / WIDE).read_bytes() == b""
    assert (target / "opt/tool").stat().st_mode & 0o777 == 0o755


def test_digests_are_those_of_the_bytes(tmp_path: Path) -> None:
    made, blob = packed(tmp_path, sample(tmp_path))
    assert made.digest == "sha256:" + hashlib.sha256(blob).hexdigest()
    assert made.diff_id == "sha256:" + hashlib.sha256(zlib.decompress(blob, 31)).hexdigest()


def test_order_and_clock_are_of_no_matter(tmp_path: Path) -> None:
    entries = sample(tmp_path)
    first, _ = packed(tmp_path, entries, "a")
    os.utime(tmp_path / "source", (5, 5))
    time.sleep(1.1)  # a gzip header could hold seconds
    second, _ = packed(tmp_path, entries[::-1], "b")
    assert first == second


def test_every_folder_above_has_an_entry_before_what_is_in_it(tmp_path: Path) -> None:
    found = complete_entries(
        [LayerEntry(name="a-b/x", data=b""), LayerEntry(name="a/z/y", data=b""), LayerEntry(name="a/z.d", data=b"")]
    )
    names = [entry.name for entry in found]
    assert names == ["a", "a/z", "a/z/y", "a/z.d", "a-b", "a-b/x"]
    assert [entry.name for entry in found if entry.kind == "folder"] == ["a", "a/z", "a-b"]


def test_the_later_of_two_entries_counts(tmp_path: Path) -> None:
    found = complete_entries([LayerEntry(name="x", data=b"1"), LayerEntry(name="x", data=b"2")])
    assert [entry.data for entry in found] == [b"2"]


def test_a_stop_ends_it(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        pack_layer([LayerEntry(name="x", data=b"1")], str(tmp_path / "a"), stop)


def test_a_file_that_is_shorter_than_it_says_is_an_error(tmp_path: Path) -> None:
    source = "/sys/devices/system/cpu/online"  # the kernel gives such files the size of a page
    with pytest.raises(OSError, match="became shorter"):
        pack_layer([LayerEntry(name="x", source=source)], str(tmp_path / "a"), threading.Event())


def test_a_file_of_eight_gibibytes_says_its_size() -> None:
    header = tar._make_headers("x", b"0", 9 << 30, 0o644, 0)
    with tarfile.open(fileobj=io.BytesIO(header + bytes(1024)), mode="r:") as archive:
        member = archive.next()
    assert member is not None
    assert member.size == 9 << 30
