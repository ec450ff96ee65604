"""Write a layer's tar archive: packed, compressed and digested in one pass, byte for byte the same everywhere.

Headers are POSIX ustar (POSIX.1-2017, pax, "ustar Interchange Format"), with a pax header before those that it can't
hold: a name or link of more than 100 bytes or beyond ASCII, a file of 8 GiB or more. ``tarfile`` writes the same at a
quarter of the speed. The owner is 0, modes are 0644 and 0755, and the current time is never used. ISA-L compresses at
least three times as fast as zlib; its bytes depend on the processor, so nothing may be keyed on them.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable
from typing import Literal

import msgspec
from isal import isal_zlib

from roost.model.errors import BuildCancelledError
from roost.store.disk.file_ops import translate_full_disk

FIXED_TIME = 315_532_800
"""1980-01-01: the time of everything without a time of its own; the earliest that zip archives can hold."""

_BLOCK = 512
_CHUNK = 1 << 20
_LEVEL = 1
_GZIP = 31  # window bits of zlib.h: 15, and 16 for a gzip header, which holds no name and no time
_USTAR_SIZE = 8**11
_USTAR_TIME = 8**11


class StoppedError(Exception):
    """Writing was stopped, because the layer is no longer needed."""


class LayerEntry(msgspec.Struct, kw_only=True):
    """A file, symbolic link or folder of a layer."""

    name: str
    """Relative to the root of the image, no slash at either end."""
    kind: Literal["file", "link", "folder"] = "file"
    source: str = ""
    """Path of a file with the content …"""
    data: bytes | None = None
    """… or the content itself."""
    target: str = ""
    """Of a symbolic link."""
    executable: bool = False
    time: int = FIXED_TIME
    """Seconds since 1970."""


class PackedLayer(msgspec.Struct, frozen=True, kw_only=True):
    """Digests and size of a written layer."""

    diff_id: str
    """``sha256:`` of the tar archive."""
    digest: str
    """``sha256:`` of the compressed blob."""
    size: int
    """Of the compressed blob, in bytes."""


class LayerArchive:
    """Writes entries into a compressed archive at ``path``, holding at most a few MiB in memory. Blocks.

    ``stop`` ends it with StoppedError.
    """

    def __init__(self, path: str, stop: threading.Event) -> None:
        self._stop = stop
        self._file = open(path, "xb")  # noqa: SIM115 - closed by `finish` and by `close`
        self._buffer = bytearray()
        self._tar, self._blob = hashlib.sha256(), hashlib.sha256()
        self._gzip = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)

    def add(self, entry: LayerEntry) -> None:
        """Append an entry. Raises ``OSError``, ``StoppedError``."""
        if entry.kind == "folder":
            self._write(_make_headers(entry.name + "/", b"5", 0, 0o755, entry.time))
        elif entry.kind == "link":
            self._write(_make_headers(entry.name, b"2", 0, 0o777, entry.time, entry.target))
        elif entry.data is not None:
            self._write(_make_headers(entry.name, b"0", len(entry.data), _file_mode(entry), entry.time))
            self._write(entry.data)
            self._write(bytes(-len(entry.data) % _BLOCK))
        else:
            self._add_file(entry)

    def _add_file(self, entry: LayerEntry) -> None:
        with open(entry.source, "rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            self._write(_make_headers(entry.name, b"0", size, _file_mode(entry), entry.time))
            left = size
            while left:
                chunk = stream.read(min(left, _CHUNK))
                if not chunk:
                    raise OSError(f"{entry.source} became shorter while it was read")
                self._write(chunk)
                left -= len(chunk)
        self._write(bytes(-size % _BLOCK))

    def _write(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= _CHUNK:
            self._flush()

    def _flush(self) -> None:
        if self._stop.is_set():
            raise StoppedError
        data, self._buffer = self._buffer, bytearray()
        self._tar.update(data)
        self._write_blob(self._gzip.compress(data))

    def _write_blob(self, data: bytes) -> None:
        self._blob.update(data)
        self._file.write(data)

    def finish(self) -> PackedLayer:
        """Complete the archive and sync the file."""
        self._write(bytes(2 * _BLOCK))
        self._flush()
        self._write_blob(self._gzip.flush())
        self._file.flush()
        os.fsync(self._file.fileno())
        size = self._file.tell()
        self._file.close()
        return PackedLayer(
            diff_id=f"sha256:{self._tar.hexdigest()}", digest=f"sha256:{self._blob.hexdigest()}", size=size
        )

    def close(self) -> None:
        """Close the file, complete or not."""
        self._file.close()


def pack_layer(entries: Iterable[LayerEntry], path: str, stop: threading.Event) -> PackedLayer:
    """Write ``entries``, sorted and with all folders above them, as a new file at ``path``. Blocks.

    Of two entries with the same name the later one is used. Raises ``OSError``; ``StoppedError`` once ``stop`` is set.
    """
    archive = LayerArchive(path, stop)
    try:
        for entry in complete_entries(entries):
            archive.add(entry)
        return archive.finish()
    finally:
        archive.close()


def compress_tar(source: str, target: str, stop: threading.Event) -> PackedLayer:
    """Compress the tar archive ``source``, which an engine made, to the new file ``target``, and sync it. Blocks.

    Raises ``StoreFullError``, ``OSError``; ``BuildCancelledError`` once ``stop`` is set.
    """
    tar, blob, gzip = hashlib.sha256(), hashlib.sha256(), isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)
    with translate_full_disk(target), open(source, "rb", buffering=0) as stream, open(target, "xb") as out:
        while data := stream.read(_CHUNK):
            if stop.is_set():
                raise BuildCancelledError("the layer is no longer needed")
            tar.update(data)
            blob.update(packed := gzip.compress(data))
            out.write(packed)
        blob.update(packed := gzip.flush())
        out.write(packed)
        out.flush()
        os.fsync(out.fileno())
        size = out.tell()
    return PackedLayer(diff_id=f"sha256:{tar.hexdigest()}", digest=f"sha256:{blob.hexdigest()}", size=size)


def complete_entries(entries: Iterable[LayerEntry]) -> list[LayerEntry]:
    """Return ``entries`` in the order of their names, with an entry for every folder above them.

    An engine chooses the mode of a folder without an entry.
    """
    found = {entry.name: entry for entry in entries}
    for name in list(found):
        folder = name.rpartition("/")[0]
        while folder and folder not in found:
            found[folder] = LayerEntry(name=folder, kind="folder")
            folder = folder.rpartition("/")[0]
    return [found[name] for name in sorted(found, key=lambda name: name.split("/"))]


def _file_mode(entry: LayerEntry) -> int:
    return 0o755 if entry.executable else 0o644


def _make_headers(name: str, kind: bytes, size: int, mode: int, time: int, link: str = "") -> bytes:
    """Return the ustar header of an entry, after a pax header if that can't hold it."""
    raw_name, raw_link = os.fsencode(name), os.fsencode(link)
    time = min(max(time, 0), _USTAR_TIME - 1)
    records = _pax_text("path", raw_name) + _pax_text("linkpath", raw_link)
    if size >= _USTAR_SIZE:
        records += _pax_record(b"size", str(size).encode())
    header = _ustar_header(raw_name, kind, size if size < _USTAR_SIZE else 0, mode, time, raw_link)
    if not records:
        return header
    before = _ustar_header(b"././@PaxHeader", b"x", len(records), 0o644, 0, b"")
    return before + records + bytes(-len(records) % _BLOCK) + header


def _pax_text(key: str, value: bytes) -> bytes:
    """Return the record of a text, or nothing if the ustar header can hold it."""
    return b"" if len(value) <= 100 and value.isascii() else _pax_record(key.encode(), value)


def _pax_record(key: bytes, value: bytes) -> bytes:
    """Return ``LENGTH KEY=VALUE\\n``; the length includes its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _ustar_header(name: bytes, kind: bytes, size: int, mode: int, time: int, link: bytes) -> bytes:
    fields = (
        name[:100].ljust(100, b"\0"),
        b"%07o\0" % mode,
        b"0000000\0" * 2,
        b"%011o\0%011o\0" % (size, time),
        b" " * 8,
        kind,
        link[:100].ljust(100, b"\0"),
        b"ustar\x0000",
    )
    header = b"".join(fields).ljust(_BLOCK, b"\0")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]
