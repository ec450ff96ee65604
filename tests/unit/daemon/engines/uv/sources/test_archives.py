"""Reading files of sources without running anything of them."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.support.pip_index import sdist_bytes, wheel_bytes

from roost.daemon.engines.uv.errors import WheelCorruptError, WheelDigestMismatchError
from roost.daemon.engines.uv.sources.archives import (
    read_static_sdist,
    read_wheel_metadata,
    require_digests,
    unpack_part,
)


def write(folder: Path, made: tuple[str, bytes]) -> str:
    (folder / made[0]).write_bytes(made[1])
    return str(folder / made[0])


def test_a_file_needs_one_digest_of_each_set(tmp_path: Path) -> None:
    path = write(tmp_path, ("x.tar.gz", b"content"))
    right, md5 = hashlib.sha256(b"content").hexdigest(), hashlib.md5(b"content").hexdigest()
    assert require_digests(path, [{f"sha256:{right}", "sha256:0"}, {f"md5:{md5}"}]) == right
    with pytest.raises(WheelDigestMismatchError, match=rf"x\.tar\.gz: expected sha256:0.*received sha256:{right}"):
        require_digests(path, [{f"sha256:{right}"}, {"sha256:0"}])
    with pytest.raises(WheelDigestMismatchError, match="expected unknown:0"):
        require_digests(path, [{"unknown:0"}])


def test_metadata_of_sdists_and_wheels(tmp_path: Path) -> None:
    static = write(tmp_path, sdist_bytes("a", "1.0", "", requires=("leaf",)))
    assert read_static_sdist(static) is not None
    assert read_static_sdist(write(tmp_path, sdist_bytes("b", "1.0", ""))) is None
    with zipfile.ZipFile(tmp_path / "c-1.zip", "w") as archive:
        archive.writestr("c-1/PKG-INFO", "Metadata-Version: 2.2\nName: c\nVersion: 1\n")
    found = read_static_sdist(str(tmp_path / "c-1.zip"))
    assert found is not None
    assert found.name == "c"
    assert read_wheel_metadata(write(tmp_path, wheel_bytes("d", "1.0", ("leaf>1",)))).requires == ("leaf>1",)


def test_damaged_archives_are_reported(tmp_path: Path) -> None:
    for name in ("x-1.tar.gz", "x-1-py3-none-any.whl"):
        path = write(tmp_path, (name, b"nothing"))
        with pytest.raises(WheelCorruptError, match="x-1"):
            read_wheel_metadata(path) if name.endswith("whl") else read_static_sdist(path)


def test_a_part_of_an_archive_lies_within_it(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        entry = tarfile.TarInfo("x-1/part/pyproject.toml")
        tar.addfile(entry, io.BytesIO())
    path = write(tmp_path, ("x-1.tar.gz", buffer.getvalue()))
    assert unpack_part(path, str(tmp_path / "out"), "part") == str(tmp_path / "out" / "x-1" / "part")
    for part in ("../..", "absent", "../../etc"):
        with pytest.raises(WheelCorruptError, match="no folder"):
            unpack_part(path, str(tmp_path / "other"), part)
