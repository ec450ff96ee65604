"""Write a v2 ``.conda`` file from a folder (conda's package format: a zip of two ``.tar.zst``)."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import zstandard

PLACEHOLDER = "/opt/roost_channel".ljust(252, "_")
"""The build prefix that linking replaces; as long as conda-build makes them, so that binaries have room."""

DEFAULT_TIMESTAMP = 1_672_531_200_000
"""Milliseconds; 2023-01-01: older than any date the tests solve ``as of``."""

_LEVEL = 1  # packing must be quick; nobody ships these files


def write_conda(
    channel: Path,
    tree: Path,
    index: dict[str, object],
    link: dict[str, object] | None = None,
    clobber: str | None = None,
) -> Path:
    """Pack every file under ``tree`` as the package that ``index`` describes; returns the file.

    Files that hold ``PLACEHOLDER`` are recorded as such, as text or (with a zero byte) binary. ``clobber`` names a
    file whose recorded sha256 is made wrong on purpose.
    """
    subdir = str(index["subdir"])
    files = [path for path in sorted(tree.rglob("*")) if path.is_symlink() or not path.is_dir()]
    entries = [_entry(path, path.relative_to(tree).as_posix(), clobber) for path in files]
    stem = f"{index['name']}-{index['version']}-{index['build']}"
    info: list[tuple[str, Path | bytes]] = [
        ("info/index.json", _json(_complete(index))),
        ("info/paths.json", _json({"paths": entries, "paths_version": 1})),
        ("info/files", "".join(f"{entry['_path']}\n" for entry in entries).encode()),
        ("info/about.json", b"{}"),
    ]
    if link is not None:
        info.append(("info/link.json", _json(link)))
    target = channel / subdir / f"{stem}.conda"
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        archive.writestr(f"pkg-{stem}.tar.zst", _tar_zst([(p.relative_to(tree).as_posix(), p) for p in files]))
        archive.writestr(f"info-{stem}.tar.zst", _tar_zst(info))
    return target


def _complete(index: dict[str, object]) -> dict[str, object]:
    full = {"build_number": 0, "depends": [], "constrains": [], "license": "unknown", "timestamp": DEFAULT_TIMESTAMP}
    if index["subdir"] == "linux-64":
        full |= {"arch": "x86_64", "platform": "linux"}
    return full | index


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()


def _entry(path: Path, relative: str, clobber: str | None) -> dict[str, object]:
    link = path.is_symlink()
    data = b"" if link and not path.is_file() else path.read_bytes()
    entry: dict[str, object] = {"_path": relative, "path_type": "softlink" if link else "hardlink"}
    if not link and PLACEHOLDER.encode() in data:
        entry["prefix_placeholder"] = PLACEHOLDER
        entry["file_mode"] = "binary" if b"\0" in data else "text"
    entry["sha256"] = "0" * 64 if relative == clobber else hashlib.sha256(data).hexdigest()
    entry["size_in_bytes"] = len(data)
    return entry


def _tar_zst(members: list[tuple[str, Path]] | list[tuple[str, Path | bytes]]) -> bytes:
    raw = io.BytesIO()
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    with (
        compressor.stream_writer(raw, closefd=False) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, source in members:
            _add(archive, name, source)
    return raw.getvalue()


def _add(archive: tarfile.TarFile, name: str, source: Path | bytes) -> None:
    if isinstance(source, bytes):
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(source), 0o644, DEFAULT_TIMESTAMP // 1000
        archive.addfile(info, io.BytesIO(source))
        return
    info = archive.gettarinfo(source, name)
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = int(info.mtime)
    if info.islnk():  # two names of one inode: store the bytes twice
        info.type, info.linkname, info.size = tarfile.REGTYPE, "", os.stat(source).st_size
    if not info.isreg():
        archive.addfile(info)
        return
    with open(source, "rb") as stream:
        archive.addfile(info, stream)
