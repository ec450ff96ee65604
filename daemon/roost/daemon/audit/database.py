"""Advisories on disk: a file with one, a list of them, or one on each line; an archive (OSV's ``all.zip``); a folder.

One advisory is in memory at a time, except for a list, which is read as a whole. Nothing is unpacked to the disk. A
file that is cut, altered or something else is refused by name, wherever in it that is: no answer is given from a part.
All functions block.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import msgspec
from isal import isal_zlib

from roost.daemon.audit.advisories import AdvisoriesMissingError, invalid_error
from roost.model.errors import MALFORMED_JSON
from roost.store.disk.regular_files import open_regular
from roost.wire.visible import make_visible

ADVISORY_BYTES = 16 << 20
"""The largest advisory. Real ones have 100 kB at most."""
LIST_BYTES = 512 << 20
"""The largest list (``[…]``): OSV's PyPI export as one list has 150 MB."""
UNPACKED_BYTES = 8 << 30
"""Of all advisories in an archive. OSV's largest export has 2 GB."""
_MEMBERS = 2_000_000
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
"""Of a member (PKZIP's APPNOTE, 4.3.7)."""
_SIGNATURE = b"PK\x03\x04"
_SUFFIXES = (".json", ".jsonl", ".ndjson", ".zip")

Document = tuple[str, bytes]
"""Where an advisory is, for messages, and its bytes."""


def iterate_advisories(path: str) -> Iterator[Document]:
    """Yield all advisories in ``path``.

    Raises: AdvisoriesMissingError if there is nothing of that name; AdvisoriesInvalidError.
    """
    shown = make_visible(path)
    try:
        if os.path.isdir(path):
            yield from _iterate_folder(path)
            return
        with open_regular(path) as file:
            yield from _iterate_file(file, shown)
    except FileNotFoundError:
        raise AdvisoriesMissingError(
            f"There is no {shown}", hint="Name a file or folder of OSV advisories with --db.", fields={"path": path}
        ) from None
    except OSError as error:
        raise invalid_error(shown, error.strerror or str(error)) from None


def _iterate_folder(path: str) -> Iterator[Document]:
    """Yield the advisories of all files below a folder, whose hidden folders are passed over."""
    found = False
    for folder, folders, names in os.walk(path, onerror=_raise):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                found = True
                place = os.path.join(folder, name)
                with open_regular(place) as file:
                    yield from _iterate_file(file, make_visible(place))
    if not found:
        raise invalid_error(make_visible(path), "the folder has no .json, .jsonl, .ndjson or .zip")


def _raise(error: OSError) -> None:
    raise error


def _iterate_file(file: BinaryIO, shown: str) -> Iterator[Document]:
    start = file.read(64)
    file.seek(0)
    if start[:2] == b"PK":
        yield from _iterate_archive(file, shown)
    elif start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
        yield from _iterate_list(file, shown)
    else:
        yield from _iterate_lines(file, shown)


def _iterate_list(file: BinaryIO, shown: str) -> Iterator[Document]:
    data = file.read(LIST_BYTES + 1)
    if len(data) > LIST_BYTES:
        raise invalid_error(shown, f"a list of more than {LIST_BYTES >> 20} MiB; write one advisory a line")
    try:
        documents = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=list[msgspec.Raw])
    except MALFORMED_JSON:
        raise invalid_error(shown, "not a JSON list, or cut") from None
    for number, document in enumerate(documents):
        yield f"{shown}, advisory {number + 1}", bytes(document)


def _iterate_lines(file: BinaryIO, shown: str) -> Iterator[Document]:
    """Yield one advisory for each line; or a single one, if the first line is only a part of it."""
    number = 0
    while line := file.readline(ADVISORY_BYTES + 1):
        number += 1
        if len(line) > ADVISORY_BYTES:
            raise invalid_error(f"{shown}, line {number}", f"longer than {ADVISORY_BYTES >> 20} MiB")
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if number == 1 and not _is_object(text):
            yield shown, _read_single(file, text, shown)
            return
        if text.strip():
            yield (f"{shown}, line {number}", text)
    if not number:
        raise invalid_error(shown, "the file is empty")


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line, type=dict[str, msgspec.Raw]), dict)
    except MALFORMED_JSON:
        return False


def _read_single(file: BinaryIO, start: bytes, shown: str) -> bytes:
    rest = file.read(ADVISORY_BYTES + 1)
    if len(start) + len(rest) > ADVISORY_BYTES:
        raise invalid_error(
            shown, f"neither one advisory a line, nor a single one of {ADVISORY_BYTES >> 20} MiB at most"
        )
    return start + rest


# ------------------------------------------------------------------- archives
def _iterate_archive(file: BinaryIO, shown: str) -> Iterator[Document]:
    """Yield the members of a zip archive, each read at its place: ``zipfile`` takes as long to open a member as to
    inflate it. The archive's list of members is trusted for places and sizes only as far as they hold."""
    size = os.fstat(file.fileno()).st_size
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, struct.error) as error:
        raise invalid_error(shown, f"not a zip archive, or cut: {make_visible(str(error))}") from None
    _check_members(members, size, shown)
    for member in members:
        if not member.is_dir() and member.filename.endswith(".json"):
            place = f"{make_visible(member.filename)} in {shown}"
            yield place, _read_member(file, member, place)


def _check_members(members: list[zipfile.ZipInfo], size: int, shown: str) -> None:
    """Refuse an archive that can't be an export, before anything of it is unpacked: one in which members lead out of
    it, share their bytes, or are too large."""
    if len(members) > _MEMBERS:
        raise invalid_error(shown, f"the archive has {len(members):,} members, more than {_MEMBERS:,}")
    for member in members:
        name = make_visible(member.filename)
        if member.filename.startswith(("/", "\\")) or ".." in member.filename.replace("\\", "/").split("/"):
            raise invalid_error(shown, f"the name {name} leads out of the archive")
        if member.flag_bits & 1:
            raise invalid_error(shown, f"{name} is encrypted")
        if member.file_size > ADVISORY_BYTES:
            raise invalid_error(shown, f"{name} has {member.file_size:,} bytes, more than any advisory")
    if sum(member.compress_size for member in members) > size:
        raise invalid_error(shown, "members of the archive overlap")
    if sum(member.file_size for member in members) > UNPACKED_BYTES:
        raise invalid_error(shown, f"the archive unpacks to more than {UNPACKED_BYTES >> 30} GiB")
    if not any(member.filename.endswith(".json") for member in members):
        raise invalid_error(shown, "the archive has no .json")


def _read_member(file: BinaryIO, member: zipfile.ZipInfo, place: str) -> bytes:
    file.seek(member.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    if len(header) < _LOCAL_HEADER.size or header[:4] != _SIGNATURE:
        raise invalid_error(place, "damaged: no member is where the archive says")
    *_, name_size, extra_size = _LOCAL_HEADER.unpack(header)
    file.seek(name_size + extra_size, os.SEEK_CUR)
    packed = file.read(member.compress_size)
    try:
        data = _inflate(packed, member)
    except (isal_zlib.IsalError, ValueError):  # type: ignore[misc]  # its stub has an instance
        data = b""
    if len(packed) != member.compress_size or len(data) != member.file_size or zlib.crc32(data) != member.CRC:
        raise invalid_error(place, "damaged, or cut: its bytes are not those that the archive states")
    return data


def _inflate(packed: bytes, member: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a member, or one more than it is to have. Raises: ValueError if it is packed in another
    way."""
    if member.compress_type == zipfile.ZIP_STORED:
        return packed
    if member.compress_type != zipfile.ZIP_DEFLATED:
        raise ValueError(member.compress_type)
    return bytes(isal_zlib.decompressobj(-15).decompress(packed, member.file_size + 1))
