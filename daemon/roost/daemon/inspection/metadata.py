"""What wheels say that they need: from the metadata in a prefix, in uv's cache, or in a wheel's file. All functions
block, and none runs anything."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from email.parser import BytesHeaderParser

from roost.daemon.engines.uv.prefix import find_site_packages, normalize_name
from roost.model.locks.lock import Lock, Wheel
from roost.store.disk.layout import Layout
from roost.store.disk.regular_files import read_regular

_LARGEST = 4 << 20
"""Bytes of a METADATA file, most of which are a description."""


def read_needs(
    layout: Layout, prefix: str | None, lock: Lock, unpacked: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return ``Requires-Dist`` of the wheels of ``lock`` whose metadata is on this machine, by name. ``prefix``: a
    prefix of the lock; ``unpacked``: by name, the folder of the wheel in uv's cache."""
    found: dict[str, tuple[str, ...]] = {}
    for name, text in read_metadata(layout, prefix, lock, unpacked).items():
        headers = BytesHeaderParser().parsebytes(text)
        found[name] = tuple(str(line) for line in headers.get_all("Requires-Dist", []))
    return found


def read_metadata(layout: Layout, prefix: str | None, lock: Lock, unpacked: Mapping[str, str]) -> dict[str, bytes]:
    """Return ``METADATA`` of the same wheels, by name."""
    installed = _map_installed(prefix) if prefix is not None else {}
    found: dict[str, bytes] = {}
    for wheel in lock.wheels:
        text = _read_installed(installed, wheel)
        if text is None and wheel.name in unpacked:
            text = _read_unpacked(os.path.join(layout.root, unpacked[wheel.name]), wheel)
        if text is None and wheel.sha256:
            text = _read_file(layout, wheel)
        if text is not None:
            found[wheel.name] = text
    return found


def find_providers(prefix: str, names: Iterable[str]) -> dict[str, str]:
    """Return which conda package of ``prefix`` has a distribution, for those of ``names`` that one has."""
    wanted = set(names)
    folders = {
        os.path.basename(path)
        for site in find_site_packages(prefix)
        for end in ("*.dist-info", "*.egg-info")
        for path in glob.glob(os.path.join(glob.escape(site), end))
        if _name_of(path) in wanted
    }
    if not folders:
        return {}
    found: dict[str, str] = {}
    for path in glob.glob(os.path.join(glob.escape(prefix), "conda-meta", "*.json")):
        with suppress(OSError, ValueError):
            record = json.loads(read_regular(path, 64 << 20))
            for file in record.get("files", ()):
                folder = os.path.basename(os.path.dirname(file))
                if folder in folders:
                    found[_name_of(folder)] = str(record["name"])
    return found


def _map_installed(prefix: str) -> dict[str, list[tuple[str, str]]]:
    """Return the version and the folder of all metadata in a prefix, by normalised name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for site in find_site_packages(prefix):
        for path in glob.glob(os.path.join(glob.escape(site), "*.dist-info")):
            version = os.path.basename(path).removesuffix(".dist-info").rpartition("-")[2]
            found.setdefault(_name_of(path), []).append((version, path))
    return found


def _name_of(path: str) -> str:
    return normalize_name(os.path.basename(path).rpartition(".")[0].split("-")[0])


def _read_installed(installed: Mapping[str, list[tuple[str, str]]], wheel: Wheel) -> bytes | None:
    for version, folder in installed.get(wheel.name, ()):
        if version == wheel.version or wheel.kind == "editable":
            return _read(os.path.join(folder, "METADATA"))
    return None


def _read_unpacked(folder: str, wheel: Wheel) -> bytes | None:
    for path in glob.glob(os.path.join(glob.escape(folder), "*.dist-info")):
        if _name_of(path) == wheel.name:
            return _read(os.path.join(path, "METADATA"))
    return None


def _read_file(layout: Layout, wheel: Wheel) -> bytes | None:
    """Return the metadata in the file of a wheel that the store has; damaged files are passed over."""
    import zipfile  # not at the daemon's start
    import zlib

    damaged = (OSError, zipfile.BadZipFile, KeyError, zlib.error, NotImplementedError, RuntimeError)
    for shelf in ("fetched", "built", "given"):
        for path in glob.glob(os.path.join(glob.escape(layout.wheels), shelf, wheel.sha256, "*.whl")):
            with suppress(*damaged), zipfile.ZipFile(path) as archive:
                for info in archive.infolist():
                    is_metadata = info.filename.count("/") == 1 and info.filename.endswith(".dist-info/METADATA")
                    if is_metadata and info.file_size <= _LARGEST:
                        return archive.read(info)
    return None


def _read(path: str) -> bytes | None:
    try:
        return read_regular(path, _LARGEST)
    except OSError:
        return None
