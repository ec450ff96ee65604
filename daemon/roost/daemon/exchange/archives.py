"""Unpacks an archive that somebody sent, into a folder that nobody trusts. Blocking.

Only plain files and folders come out of it, below the folder, once each, and no more than fits reason: names that are
absolute or climb, links, devices, encrypted members and floods of bytes or files are refused. Whoever calls removes the
folder when that happens, so that nothing of a refused archive stays.
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

MOST_BYTES = 2 << 30
MOST_FILES = 10_000
LONGEST_READ = 64 << 20
"""Of one read: a header that claims more is none."""
_CHUNK = 1 << 20
_COMPRESSIONS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\x00", lzma.open))
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, lzma.LZMAError, zlib.error, struct.error)
_ODD = (NotImplementedError, RuntimeError, ValueError, IndexError, KeyError)
"""What the readers of the standard library raise for headers that make no sense."""
SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".zip")


class ArchiveRefusedError(InvalidDefinitionError):
    """An archive is none, or holds what no environment needs and a fraud may."""

    code = "archive-refused"


def is_archive(path: str) -> bool:
    """By name; the content says which kind."""
    return path.lower().endswith(SUFFIXES)


def unpack(archive: str, folder: str) -> None:
    """Unpack ``archive`` into ``folder``, which is empty. Raises ArchiveRefusedError, StoreFullError."""
    target = _Target(archive, folder)
    try:
        with open(archive, "rb") as file:
            if file.read(2) == b"PK":
                _unpack_zip(file, target)
            else:
                file.seek(0)
                _unpack_tar(file, target)
    except (*_BROKEN, *_ODD, OSError) as error:
        if isinstance(error, OSError) and error.errno in FULL_DISK_ERRNOS:
            raise full_disk_error(folder) from error
        raise target.refusal(f"it can't be read: {getattr(error, 'strerror', None) or error}") from None
    if not target.seen:
        raise target.refusal("it holds nothing")


class _Target:
    """The folder, and how much may still go there."""

    def __init__(self, archive: str, folder: str) -> None:
        self.archive, self.folder = archive, folder
        self.left = MOST_BYTES
        self.seen: set[str] = set()

    def refusal(self, why: str, name: str | None = None) -> ArchiveRefusedError:
        what = f"member {_shown(name)} of {self.archive}" if name is not None else self.archive
        return ArchiveRefusedError(
            f"{what} is refused: {why}",
            hint="Unpack it yourself, look at it, and import the folder.",
            location=Location(path=self.archive),
        )

    def place(self, name: str, size: int) -> str:
        """Where a member goes. Raises ArchiveRefusedError."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or ":" in name.split("/")[0]:
            raise self.refusal("its name leads out of the folder", name)
        key = "/".join(parts)
        if key in self.seen and size >= 0:
            raise self.refusal("it is there twice", name)
        self.seen.add(key)
        self.left -= max(size, 0)
        if self.left < 0 or len(self.seen) > MOST_FILES:
            raise self.refusal(f"more than {MOST_BYTES >> 30} GiB or {MOST_FILES:,} files come out of it")
        return os.path.join(self.folder, *parts)

    def write(self, name: str, size: int, source: IO[bytes]) -> None:
        path = self.place(name, size)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb") as file:
                for chunk in _chunks(source, size):
                    file.write(chunk)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise self.refusal("it is a file and a folder", name) from None

    def make(self, name: str) -> None:
        path = self.place(name, -1)
        try:
            os.makedirs(path, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise self.refusal("it is a file and a folder", name) from None


def _chunks(source: IO[bytes], size: int) -> Iterator[bytes]:
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
    plain = _Limited(cast(IO[bytes], opener(file)) if opener else file)
    with tarfile.open(fileobj=cast(Any, plain), mode="r|") as tar:
        for member in tar:
            if member.isdir():
                target.make(member.name)
            elif member.isreg() and not member.issparse():
                source = tar.extractfile(member)
                assert source is not None  # a regular file's
                target.write(member.name, member.size, source)
            else:
                raise target.refusal("it is neither a file nor a folder", member.name)


def _unpack_zip(file: IO[bytes], target: _Target) -> None:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.flag_bits & 1:
                raise target.refusal("it is encrypted", member.filename)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise target.refusal("it is neither a file nor a folder", member.filename)
            if member.filename.endswith("/"):
                target.make(member.filename)
                continue
            with archive.open(member) as source:
                target.write(member.filename, member.file_size, source)


class _Limited(io.RawIOBase):
    """A stream that ends in an error rather than in a flood."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._left = MOST_BYTES + MOST_FILES * 1024

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > LONGEST_READ:
            raise tarfile.ReadError("a header claims to be larger than any is")
        data = self._source.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise tarfile.ReadError(f"more than {MOST_BYTES >> 30} GiB come out of it")
        return data


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else name[:79] + "…")
