"""What uv makes of one wheel in a virtual environment: links to its unpacked files, and files that it writes. Pure.

What uv writes (RECORD, scripts of entry points) names the prefix by its path, whose last part is random enough to be
replaced wherever it stands, and RECORD has the digests of those scripts.
"""

from __future__ import annotations

import base64
import hashlib
import posixpath
from collections.abc import Iterable, Iterator

import msgspec

from roost.model.canonical.form import digest_bytes
from roost.model.errors import MALFORMED_JSON

FORMAT = 1


class PartLink(msgspec.Struct, frozen=True, array_like=True):
    """A hard link to a file of the unpacked wheel, which had this state and content when the part was learned."""

    path: str
    """In the prefix, relative to ``site-packages`` if it is below, else to the prefix, after a ``/``."""
    source: str
    """In the unpacked wheel; empty if it is the same as ``path``."""
    size: int
    time: int
    """mtime (ns)."""
    inode: int
    digest: bytes
    """sha256."""


class PartFile(msgspec.Struct, frozen=True, array_like=True):
    """A file that uv wrote. ``path`` as in PartLink."""

    path: str
    mode: int
    content: bytes


class WheelPart(msgspec.Struct, frozen=True, kw_only=True):
    """One wheel, as uv installed it into the prefix whose path ended in ``prefix_name``."""

    maker: str
    """What the part depends on beside the wheel: uv, the kind of Python, and where prefixes are."""
    archive: str
    """Folder of the unpacked wheel, relative to uv's cache."""
    prefix_name: str
    site: str
    """``site-packages``, relative to the prefix."""
    record: str
    """Path of RECORD, as in PartLink."""
    linked: tuple[PartLink, ...]
    written: tuple[PartFile, ...]
    folders: tuple[str, ...]
    """Those that its files are in, and those above, relative to the prefix; those above first."""
    requirements: tuple[str, ...] = ()
    """``Requires-Dist`` of its metadata."""
    python_specifiers: tuple[str, ...] = ()
    """``Requires-Python`` of its metadata."""
    format: int = FORMAT

    def locate(self, path: str) -> str:
        """Return the path of a file relative to the prefix."""
        return path[1:] if path.startswith("/") else f"{self.site}/{path}"

    def list_paths(self) -> list[str]:
        """Return the paths of all files, as in PartLink."""
        return [*(each.path for each in self.linked), *(each.path for each in self.written)]

    def render(self, prefix_name: str) -> Iterator[PartFile]:
        """Yield the written files as they are in the prefix called ``prefix_name``."""
        old, new = self.prefix_name.encode(), prefix_name.encode()
        digests: list[tuple[bytes, bytes]] = []
        record: PartFile | None = None
        for each in self.written:
            if each.path == self.record:
                record = each
                continue
            content = each.content.replace(old, new)
            if content != each.content:
                digests.append((_encode_digest(each.content), _encode_digest(content)))
            yield PartFile(each.path, each.mode, content)
        if record is not None:
            listed = record.content
            for before, after in digests:
                listed = listed.replace(before, after)
            yield PartFile(record.path, record.mode, listed)


def list_folders(site: str, paths: Iterable[str]) -> tuple[str, ...]:
    """Return the folders of files at ``paths`` (as in PartLink), and those above; those above first."""
    found = {posixpath.dirname(path[1:] if path.startswith("/") else f"{site}/{path}") for path in paths}
    for folder in list(found):
        while folder := posixpath.dirname(folder):
            found.add(folder)
    return tuple(sorted(found - {""}))


def _encode_digest(content: bytes) -> bytes:
    return b"sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")


def encode_part(part: WheelPart) -> bytes:
    """Return the bytes that are stored: the sha256 of the rest is in the first line, so a part is whole or none."""
    body = msgspec.msgpack.encode(part)
    return digest_bytes(body).encode() + b"\n" + body


_DECODER = msgspec.msgpack.Decoder(WheelPart)


def decode_part(content: bytes) -> WheelPart | None:
    """Return the part in ``content``; ``None`` if it was cut or altered, or has a format that this version does not
    know."""
    digest, _, body = content.partition(b"\n")
    if digest != digest_bytes(body).encode():
        return None
    try:
        part = _DECODER.decode(body)
    except MALFORMED_JSON:
        return None
    return part if part.format == FORMAT else None
