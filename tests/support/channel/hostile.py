"""Packages as nobody should make them: lists of files and archives that say what the test wants."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zstandard


def write_hostile(
    channel: Path,
    name: str,
    files: Mapping[str, str],
    *,
    listed: Sequence[Mapping[str, Any]] | bytes | None = None,
    extra: Sequence[tarfile.TarInfo] = (),
    link: Mapping[str, Any] | None = None,
    noarch: str = "generic",
    **index: Any,
) -> Path:
    """Write ``name`` 1.0 as a ``.conda`` file into ``channel``.

    ``files`` are contents by path, ``-> TARGET`` for a link. ``listed`` are the entries of ``info/paths.json`` (or its
    bytes), by default those of ``files``; ``extra`` are further members of the archive.
    """
    stem = f"{name}-1.0-0"
    about = {
        "name": name, "version": "1.0", "build": "0", "build_number": 0, "depends": [], "subdir": "noarch",
        "noarch": noarch, **index,
    }  # fmt: skip
    listed = [entry(path, content) for path, content in files.items()] if listed is None else listed
    paths = listed if isinstance(listed, bytes) else json.dumps({"paths": [*listed], "paths_version": 1}).encode()
    info = {"info/index.json": json.dumps(about).encode(), "info/paths.json": paths, "info/about.json": b"{}"}
    if link is not None:
        info["info/link.json"] = json.dumps(link).encode()
    target = channel / "noarch" / f"{stem}.conda"
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        archive.writestr(f"pkg-{stem}.tar.zst", _pack({p: c.encode() for p, c in files.items()}, extra))
        archive.writestr(f"info-{stem}.tar.zst", _pack(info))
    return target


def entry(path: str, content: str = "", **more: Any) -> dict[str, Any]:
    """An entry of ``info/paths.json``."""
    if content.startswith("-> "):
        return {"_path": path, "path_type": "softlink", **more}
    data = content.encode()
    digest = hashlib.sha256(data).hexdigest()
    return {"_path": path, "path_type": "hardlink", "sha256": digest, "size_in_bytes": len(data), **more}


def _pack(files: Mapping[str, bytes], extra: Sequence[tarfile.TarInfo] = ()) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.mode, member.mtime = 0o644, 1_672_531_200
            if data.startswith(b"-> "):
                member.type, member.linkname = tarfile.SYMTYPE, data[3:].decode()
                archive.addfile(member)
            else:
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        for member in extra:
            archive.addfile(member)
    return zstandard.ZstdCompressor().compress(raw.getvalue())
