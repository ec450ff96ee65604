"""The file of a bundle: what is written is read, and nothing else is."""

from __future__ import annotations

import hashlib
import os
import tarfile
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.bundles.errors import (
    BundleInvalidError,
    BundleNewerError,
    BundleOutputError,
    BundleUnexpectedError,
)
from roost.daemon.bundles.format import (
    BUNDLE_TYPE,
    CONDA_TYPE,
    FORMAT_KEY,
    BundleIndex,
    blob_name,
    create_index,
    describe_file,
    member_header,
    member_size,
)
from roost.daemon.bundles.tar_reader import BundleFile
from roost.daemon.bundles.tar_writer import WritingStoppedError, write_bundle
from roost.model.errors import LookupFailedError, StoreFullError

CONTENTS = b'{"environments":[]}'


def nothing(done: int) -> None: ...


def write(folder: Path, files: dict[str, bytes], name: str = "b.roost") -> tuple[Path, BundleIndex]:
    blobs, paths = [], {}
    for title, data in files.items():
        sha256 = hashlib.sha256(data).hexdigest()
        (folder / sha256).write_bytes(data)
        blobs.append(describe_file(sha256, len(data), CONDA_TYPE, title))
        paths[f"sha256:{sha256}"] = str(folder / sha256)
    index = create_index(CONTENTS, blobs)
    output = folder / name
    write_bundle(str(output), index, CONTENTS, paths, nothing, threading.Event())
    return output, index


def read(path: Path, folder: Path, expected: str | None = None) -> dict[str, bytes]:
    """What a bundle holds, unpacked into a new folder."""
    with closing(BundleFile(str(path), expected)) as file:
        folder.mkdir()
        file.unpack(str(folder), (), nothing, threading.Event())
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def compare(path: Path, index: BundleIndex) -> None:
    """Read every blob of a bundle, and write none."""
    with closing(BundleFile(str(path), None)) as file:
        file.unpack("/nowhere", {blob.digest for blob in index.blobs}, nothing, threading.Event())


@given(st.dictionaries(st.text(min_size=1), st.binary(max_size=2000), max_size=5))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
    folder = tmp_path_factory.mktemp("b")
    path, index = write(folder, files)
    assert path.stat().st_size == index.size
    found = read(path, folder / "read", index.digest)
    assert found == {hashlib.sha256(data).hexdigest(): data for data in (*files.values(), CONTENTS)}
    again, _ = write(folder, dict(reversed(files.items())), "again")
    assert again.read_bytes() == path.read_bytes()


def test_tar_lists_the_members_of_an_oci_layout(tmp_path: Path) -> None:
    path, index = write(tmp_path, {"a": b"1" * 700, "b": b""})
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    assert [each.name for each in members][:3] == ["oci-layout", "index.json", blob_name(index.digest)]
    assert [each.name for each in members][3:] == [blob_name(blob.digest) for blob in index.blobs]
    assert {(each.mode, each.uid, each.mtime, each.isreg()) for each in members} == {(0o644, 0, 0, True)}


def test_the_header_of_a_member_beyond_8_gib_is_one_that_tar_reads() -> None:
    header = member_header("blobs/sha256/" + "0" * 64, 9 << 30)
    assert (len(header), tarfile.TarInfo.frombuf(header, "utf-8", "strict").size) == (512, 9 << 30)
    assert member_size((9 << 30) + 1) == (9 << 30) + 1024


def test_an_altered_byte_is_refused(tmp_path: Path) -> None:
    path, index = write(tmp_path, {"one.conda": b"1" * 90, "two.conda": b"2" * 30})
    whole = path.read_bytes()
    altered, named = tmp_path / "altered", set()
    for at in range(0, len(whole), 13):
        altered.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with pytest.raises(BundleInvalidError) as refused:
            compare(altered, index)
        named.add(refused.value.fields.get("member"))
    assert {each.partition(" (")[0] for each in named if each} >= {"index.json", "one.conda", "two.conda"}
    assert blob_name(index.digest) in named


@pytest.mark.parametrize("keep", [0, 100, 600, 1500, 2600, -1, -600])
def test_a_cut_file_is_refused(tmp_path: Path, keep: int) -> None:
    path, _ = write(tmp_path, {"one.conda": b"1" * 3000})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BundleInvalidError):
        read(path, tmp_path / "stage")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"\0" * 512,
        lambda data: data + data,
        lambda data: b"\x1f\x8b" + data,
        lambda data: b"",
        lambda data: b"not a tar file" * 100,
    ],
)
def test_another_file_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path, _ = write(tmp_path, {"one.conda": b"1"})
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BundleInvalidError):
        read(path, tmp_path / "stage")


def test_a_repacked_bundle_with_a_link_or_a_climbing_name_writes_nothing(tmp_path: Path) -> None:
    path, _ = write(tmp_path, {"one.conda": b"1"})
    outside = tmp_path / "outside"
    for entry in (tarfile.TarInfo("../outside"), tarfile.TarInfo("blobs/sha256/x")):
        with tarfile.open(path) as source, tarfile.open(tmp_path / "repacked", "w") as target:
            for member in source.getmembers()[:2]:
                target.addfile(member, source.extractfile(member))
            entry.type, entry.linkname = (tarfile.SYMTYPE, str(outside)) if "x" in entry.name else (entry.type, "")
            target.addfile(entry)
        with pytest.raises(BundleInvalidError):
            read(tmp_path / "repacked", tmp_path / f"stage{entry.name.count('x')}")
    assert not outside.exists()


def test_a_newer_format_and_another_digest_are_refused_before_any_blob(tmp_path: Path) -> None:
    path, index = write(tmp_path, {"one.conda": b"1"})
    with pytest.raises(BundleUnexpectedError):
        BundleFile(str(path), "sha256:" + "0" * 64)
    assert FORMAT_KEY.encode() in index.manifest
    assert BUNDLE_TYPE.encode() in index.manifest
    newer = index.manifest.replace(b'bundle.format":"1"', b'bundle.format":"2"')
    digest = "sha256:" + hashlib.sha256(newer).hexdigest()
    other = BundleIndex(digest=digest, manifest=newer, contents=index.contents, files=index.files)
    paths = {blob.digest: str(tmp_path / blob.digest.removeprefix("sha256:")) for blob in index.files}
    write_bundle(str(path), other, CONTENTS, paths, nothing, threading.Event())
    with pytest.raises(BundleNewerError):
        BundleFile(str(path), None)


def test_a_failed_write_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, index = write(tmp_path, {"one.conda": b"1" * 10})
    before = path.read_bytes()
    paths = {blob.digest: str(tmp_path / blob.digest.removeprefix("sha256:")) for blob in index.files}
    stop = threading.Event()
    stop.set()
    with pytest.raises(WritingStoppedError):
        write_bundle(str(path), index, CONTENTS, paths, nothing, stop)
    Path(next(iter(paths.values()))).write_bytes(b"2" * 10)
    with pytest.raises(BundleInvalidError, match=r"one\.conda"):
        write_bundle(str(path), index, CONTENTS, paths, nothing, threading.Event())
    monkeypatch.delattr(os, "O_TMPFILE")
    with pytest.raises(BundleInvalidError, match=r"one\.conda"):
        write_bundle(str(path), index, CONTENTS, paths, nothing, threading.Event())
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
        ["b.roost", *(os.path.basename(each) for each in paths.values())]
    )


def test_what_can_be_no_bundle_is_not_replaced(tmp_path: Path) -> None:
    _, index = write(tmp_path, {})
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe", "missing/b.roost"):
        with pytest.raises(BundleOutputError):
            write_bundle(str(tmp_path / name), index, CONTENTS, {}, nothing, threading.Event())
    for name, error in (("folder", BundleOutputError), ("pipe", BundleOutputError), ("missing", LookupFailedError)):
        with pytest.raises(error):
            BundleFile(str(tmp_path / name), None)


def test_a_bundle_that_can_not_fit_is_refused_before_it_is_written(tmp_path: Path) -> None:
    index = create_index(CONTENTS, [describe_file("0" * 64, 1 << 60, CONDA_TYPE, "huge.conda")])
    with pytest.raises(StoreFullError, match="bytes"):
        write_bundle(str(tmp_path / "b"), index, CONTENTS, {}, nothing, threading.Event())
    assert list(tmp_path.iterdir()) == []
