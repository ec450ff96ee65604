"""The RECORD of a wheel, compared with the files of the wheel. Pure.

Source: PyPA's "Binary distribution format": RECORD lists all files of the wheel but its signatures, each with the
digest of its content, except RECORD itself.
"""

from __future__ import annotations

import base64
import csv
import io
import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

Kind = Literal["outside", "twice", "content", "missing", "unlisted"]
FATAL: frozenset[Kind] = frozenset(("outside", "twice", "content"))
"""Kinds that make a wheel unusable. Files that are merely not listed, or listed and not there, are warnings: wheels of
well-known packages have them, pip takes no notice, and uv repairs the list when it unpacks a wheel (it says so only in
a log that would take the place of its progress bars)."""
ALGORITHMS = ("sha256", "sha384", "sha512")
"""Algorithms that the format allows."""
_SHOWN = 3
"""Faults that a text names."""
_UNLISTED_NAMES = ("RECORD", "RECORD.jws", "RECORD.p7s")
_WORDS: dict[Kind, str] = {
    "outside": "is not a path in the wheel",
    "twice": "is listed twice, differently",
    "content": "has another content than is listed",
    "missing": "is listed, but not in the wheel",
    "unlisted": "is not listed",
}


class RecordFault(NamedTuple):
    """A path in RECORD or in the wheel, and what is wrong with it."""

    kind: Kind
    path: str


class RecordRow(NamedTuple):
    """A line of RECORD. ``digest`` is ``algorithm=value``, or empty; ``size`` is in bytes, ``None`` if it is not
    stated."""

    path: str
    digest: str
    size: int | None


def parse_record(text: str) -> list[RecordRow]:
    """Return the rows of a RECORD. Raises: csv.Error if it is not CSV."""
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    return [RecordRow(row[0], row[1] if len(row) > 1 else "", _parse_size(row[2:3])) for row in rows]


def _parse_size(cells: Sequence[str]) -> int | None:
    return int(cells[0]) if cells and cells[0].isascii() and cells[0].isdigit() and len(cells[0]) < 20 else None


def find_faults(
    rows: Sequence[RecordRow], files: Mapping[str, int], info: str, digest_of: Callable[[str, str], str]
) -> list[RecordFault]:
    """Return what is wrong, the worst kind first.

    ``files``: the paths in the wheel with their sizes. ``info``: the name of the ``.dist-info`` folder. ``digest_of``
    returns the digest of a file (path, algorithm) in the form of RECORD.
    """
    faults: list[RecordFault] = []
    listed: dict[str, RecordRow] = {}
    for row in rows:
        path = posixpath.normpath(row.path)
        if not row.path or "\0" in path or path.startswith(("/", "../")) or path == "..":
            faults.append(RecordFault("outside", row.path))
        elif path in listed and listed[path][1:] != row[1:]:
            faults.append(RecordFault("twice", path))
        else:
            listed[path] = row
    for path, row in listed.items():
        if path not in files:
            faults.append(RecordFault("missing", path))
        elif path != f"{info}/RECORD" and not _fits(row, path, files[path], digest_of):
            faults.append(RecordFault("content", path))
    exempt = {f"{info}/{name}" for name in _UNLISTED_NAMES}
    faults += [RecordFault("unlisted", path) for path in sorted(files.keys() - listed.keys() - exempt)]
    order = list(_WORDS)
    return sorted(faults, key=lambda fault: order.index(fault.kind))


def _fits(row: RecordRow, path: str, size: int, digest_of: Callable[[str, str], str]) -> bool:
    if row.size is not None and row.size != size:
        return False
    algorithm, _, value = row.digest.partition("=")
    return algorithm not in ALGORITHMS or digest_of(path, algorithm) == value.rstrip("=")


def encode_digest(digest: bytes) -> str:
    """Return a digest as RECORD has it: urlsafe base64 without padding."""
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def format_warning(name: str, faults: Sequence[RecordFault]) -> str:
    """Return the line of a build's log about a RECORD that does not fit its wheel."""
    return f"warning: the list of files (RECORD) of the wheel of {name} does not fit it: {describe_faults(faults)}"


def describe_faults(faults: Sequence[RecordFault]) -> str:
    """Return the first faults in words, and how many more there are."""
    shown = ", ".join(f"{fault.path!r} {_WORDS[fault.kind]}" for fault in faults[:_SHOWN])
    return f"{shown}, and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else shown
