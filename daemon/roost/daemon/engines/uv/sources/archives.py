"""Read digests and metadata of files, without running anything of them. Everything blocks."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Set
from typing import BinaryIO

from roost.daemon.engines.uv.errors import WheelCorruptError
from roost.daemon.engines.uv.sources.digests import wrong_digest
from roost.daemon.engines.uv.sources.metadata import SourceMetadata, parse_metadata, parse_static
from roost.daemon.jobs.unpacking import UNPACKED_BYTES, too_large_error
from roost.store.disk.regular_files import open_regular

_METADATA_LIMIT = 10 * 1024 * 1024
"""Bytes of a file with metadata."""
_SCAN_LIMIT = 1 << 30
"""Unpacked bytes of an archive after which its metadata is not searched any more."""
_MEMBERS_LIMIT = 1_000_000
"""Files and folders of an archive."""
_WHEEL_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_SDIST_METADATA = re.compile(r"(?:\./)?[^/]+/PKG-INFO")


def require_digests(path: str, expected: Iterable[Set[str]]) -> str:
    """Return the sha256 (hex) of a file that has one digest of each of ``expected`` (``algorithm:hex``).

    Raises: WheelDigestMismatchError if it has none of one of them.
    """
    expected = [set(digests) for digests in expected]
    algorithms = {"sha256"} | {digest.partition(":")[0] for digests in expected for digest in digests}
    states = {name: hashlib.new(name) for name in algorithms if name in hashlib.algorithms_available}
    with open_regular(path) as file:
        while chunk := file.read(1 << 20):
            for state in states.values():
                state.update(chunk)
    found = {f"{name}:{state.hexdigest()}" for name, state in states.items()}
    for digests in expected:
        if not digests & found:
            compared = min(digests).partition(":")[0]
            shown = next((digest for digest in found if digest.startswith(f"{compared}:")), min(found))
            raise wrong_digest(os.path.basename(path), digests, shown)
    return states["sha256"].hexdigest()


def read_wheel_metadata(path: str) -> SourceMetadata:
    """Return the metadata of a wheel. Raises: WheelCorruptError if it has none or can't be read."""
    name = os.path.basename(path)
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as wheel:
            entry = next((info for info in wheel.infolist() if _WHEEL_METADATA.fullmatch(info.filename)), None)
            if entry is None or entry.file_size > _METADATA_LIMIT:
                raise _unreadable(name, "it has no METADATA")
            text = wheel.read(entry).decode("utf-8", "replace")
    except (OSError, zipfile.BadZipFile) as error:
        raise _unreadable(name, str(error)) from error
    return parse_metadata(text, name)


def read_static_sdist(path: str) -> SourceMetadata | None:
    """Return the metadata of an sdist if no code has to run to know it; otherwise ``None``.

    Raises: WheelCorruptError if the archive can't be read.
    """
    name = os.path.basename(path)
    try:
        with open_regular(path) as file:
            content = _read_zip_member(file) if zipfile.is_zipfile(file) else _read_tar_member(file)
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise _unreadable(name, str(error)) from error
    return parse_static(content.decode("utf-8", "replace"), name) if content is not None else None


def unpack_part(archive: str, folder: str, subdirectory: str) -> str:
    """Unpack an archive into ``folder``; return the path of ``subdirectory`` in its only folder.

    Raises: WheelCorruptError if the archive can't be unpacked, or has no such part.
    """
    name = os.path.basename(archive)
    try:
        with open_regular(archive) as file:
            is_zip = zipfile.is_zipfile(file)
        if is_zip:
            with open_regular(archive) as file, zipfile.ZipFile(file) as content:
                _require_bounded(name, (info.file_size for info in content.infolist()))
            shutil.unpack_archive(archive, folder, "zip")
        else:
            with open_regular(archive) as file, tarfile.open(fileobj=file) as tar:
                tar.extractall(folder, _bounded_members(name, tar), filter="data")
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise _unreadable(name, str(error)) from error
    tops = os.listdir(folder)
    path = os.path.normpath(os.path.join(folder, tops[0] if len(tops) == 1 else "", subdirectory))
    if not path.startswith(folder + os.sep) or not os.path.isdir(path):
        raise _unreadable(name, f"it has no folder {subdirectory}")
    return path


def _bounded_members(name: str, tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of an archive that is being unpacked, as long as they are not too large in all."""
    total = 0
    for count, member in enumerate(tar, 1):
        total += member.size
        _require_bounded(name, [total], count)
        yield member


def _require_bounded(name: str, sizes: Iterable[int], count: int = 0) -> None:
    """Raise UnpackedTooLargeError for more than ``UNPACKED_BYTES`` in all, or for very many members. What a zip archive
    states for a member is what is read of it at most."""
    total = 0
    for size in sizes:
        total, count = total + size, count + 1
        if total > UNPACKED_BYTES or count > _MEMBERS_LIMIT:
            raise too_large_error(name, UNPACKED_BYTES)


def _read_tar_member(archive: BinaryIO) -> bytes | None:
    archive.seek(0)
    with tarfile.open(fileobj=archive) as tar:
        for member in tar:
            if tar.offset > _SCAN_LIMIT:
                return None
            if member.isfile() and _SDIST_METADATA.fullmatch(member.name) and member.size <= _METADATA_LIMIT:
                file = tar.extractfile(member)
                return file.read() if file else None
    return None


def _read_zip_member(file: BinaryIO) -> bytes | None:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if _SDIST_METADATA.fullmatch(info.filename) and info.file_size <= _METADATA_LIMIT:
                return archive.read(info)
    return None


def _unreadable(name: str, reason: str) -> WheelCorruptError:
    return WheelCorruptError(
        f"{name} can't be read: {reason}",
        hint="The file is damaged: ask its publisher, or choose another version.",
        fields={"package": name},
    )
