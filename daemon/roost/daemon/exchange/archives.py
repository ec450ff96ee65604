"""Unpacks an untrusted archive into a new folder. Blocking.

Only regular files and folders are written, below the folder, each once, and up to a limit of bytes and members:
absolute names and names that climb, links, devices, encrypted members and floods of bytes or files are refused. The
caller removes the folder after a refusal, so that nothing of the archive stays.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

from roost.model.errors import InvalidDefinitionError, Location
from roost.store.disk.file_ops import FULL_DISK_ERRNOS, full_disk_error
from roost.store.disk.regular_files import open_regular

_BYTES_LIMIT = 2 << 30
_MEMBERS_LIMIT = 10_000
_READ_LIMIT = 64 << 20
"""Bytes of one read. A tar header that claims more is not genuine."""
_CHUNK = 1 << 20
_COMPRESSIONS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))
_BROKEN_ERRORS = (tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error, struct.error)
_HEADER_ERRORS = (NotImplementedError, RuntimeError, ValueError, IndexError, KeyError)
"""Errors of the standard library's readers for headers that make no sense."""
_SUFFIXES = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".txz", ".tar", ".zip")


class ArchiveRefusedError(InvalidDefinitionError):
    """The file is not a valid archive, or contains something that no environment needs and that may do harm."""

    code = "archive-refused"


def is_archive(path: str) -> bool:
    """Whether the name is that of an archive; its content decides of which kind."""
    return path.lower().endswith(_SUFFIXES)


def strip_archive_suffixes(name: str) -> str:
    """Return a file name without the suffixes of archives."""
    while is_archive(name):
        name = name[: -len(next(suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)))]
    return name


def unpack(archive: str, folder: str) -> None:
    """Unpack ``archive`` into ``folder``, which is empty. Raises ArchiveRefusedError, StoreFullError."""
    target = _Target(archive, folder)
    try:
        with open_regular(archive) as file:
            if file.read(2) == b"PK":
                _unpack_zip(file, target)
            else:
                file.seek(0)
                _unpack_tar(file, target)
    except (*_BROKEN_ERRORS, *_HEADER_ERRORS, OSError) as error:
        if isinstance(error, OSError) and error.errno in FULL_DISK_ERRNOS:
            raise full_disk_error(folder) from error
        raise target.create_refusal(f"it can't be read: {getattr(error, 'strerror', None) or error}") from None
    if not target.names:
        raise target.create_refusal("it is empty")


class _Target:
    """The folder that an archive is unpacked to, and how much may still be written there."""

    def __init__(self, archive: str, folder: str) -> None:
        self.archive, self.folder = archive, folder
        self.bytes_left = _BYTES_LIMIT
        self.names: set[str] = set()

    def create_refusal(self, reason: str, member: str | None = None) -> ArchiveRefusedError:
        subject = self.archive
        if member is not None:
            name = repr(member if len(member) <= 80 else member[:79] + "…")
            subject = f"member {name} of {self.archive}"
        return ArchiveRefusedError(
            f"{subject} is refused: {reason}",
            hint="Unpack it yourself, inspect it, and import the folder.",
            location=Location(path=self.archive),
        )

    def write_file(self, name: str, size: int, source: IO[bytes]) -> None:
        """Write a member of ``size`` bytes. Raises ArchiveRefusedError, OSError."""
        path = self._reserve(name, size, is_folder=False)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb") as file:
                for chunk in _read_chunks(source, size):
                    file.write(chunk)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise self.create_refusal("it is a file and a folder", name) from None

    def make_folder(self, name: str) -> None:
        """Create a folder; it may occur more than once. Raises ArchiveRefusedError, OSError."""
        path = self._reserve(name, 0, is_folder=True)
        try:
            os.makedirs(path, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise self.create_refusal("it is a file and a folder", name) from None

    def _reserve(self, name: str, size: int, *, is_folder: bool) -> str:
        """Return the path of a member, after checking its name and counting it. Raises ArchiveRefusedError."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or ":" in name.split("/")[0]:
            raise self.create_refusal("its name points outside the folder", name)
        normalised = "/".join(parts)
        if normalised in self.names and not is_folder:
            raise self.create_refusal("it occurs twice", name)
        self.names.add(normalised)
        self.bytes_left -= size
        if self.bytes_left < 0 or len(self.names) > _MEMBERS_LIMIT:
            raise self.create_refusal(f"more than {_BYTES_LIMIT >> 30} GiB or {_MEMBERS_LIMIT:,} files are in it")
        return os.path.join(self.folder, *parts)


def _read_chunks(source: IO[bytes], size: int) -> Iterator[bytes]:
    left = size
    while left > 0 and (chunk := source.read(min(_CHUNK, left))):
        left -= len(chunk)
        yield chunk
    if left:
        raise EOFError("it ends within a file")


def _unpack_tar(file: IO[bytes], target: _Target) -> None:
    head = file.read(6)
    file.seek(0)
    opener = next((opener for magic, opener in _COMPRESSIONS if head.startswith(magic)), None)
    uncompressed = _LimitedStream(cast(IO[bytes], opener(file)) if opener else file)
    with tarfile.open(fileobj=cast(Any, uncompressed), mode="r|") as tar:
        for member in tar:
            if member.isdir():
                target.make_folder(member.name)
            elif member.isreg() and not member.issparse():
                source = tar.extractfile(member)
                assert source is not None  # a regular file's
                target.write_file(member.name, member.size, source)
            else:
                raise target.create_refusal("it is neither a file nor a folder", member.name)


def _unpack_zip(file: IO[bytes], target: _Target) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.flag_bits & 1:
                raise target.create_refusal("it is encrypted", member.filename)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise target.create_refusal("it is neither a file nor a folder", member.filename)
            if member.filename.endswith("/"):
                target.make_folder(member.filename)
                continue
            with archive.open(member) as source:
                target.write_file(member.filename, member.file_size, source)


class _LimitedStream(io.RawIOBase):
    """An uncompressed tar that raises ``tarfile.ReadError`` instead of yielding more than the limits allow."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._left = _BYTES_LIMIT + _MEMBERS_LIMIT * 1024

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _READ_LIMIT:
            raise tarfile.ReadError("a header claims an impossible size")
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError(f"it unpacks to more than {_BYTES_LIMIT >> 30} GiB")
        return data
