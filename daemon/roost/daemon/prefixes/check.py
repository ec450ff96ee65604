"""Is every file of a prefix what its packages say? Reads every byte; about a second for 400 MB. Blocks.

conda's part is checked against the digests that linking wrote into ``conda-meta`` (``sha256_in_prefix`` where text was
put in place, else ``sha256``), pip's against each wheel's RECORD.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence

import msgspec

from roost.daemon.engines.conda.cache import file_digest
from roost.daemon.engines.uv.prefix import find_altered_wheel_files
from roost.model.locks.lock import Lock


class _Entry(msgspec.Struct, frozen=True):
    path: str = msgspec.field(name="_path")
    path_type: str = "hardlink"
    sha256: str | None = None
    sha256_in_prefix: str | None = None


class _Paths(msgspec.Struct, frozen=True):
    paths: Sequence[_Entry] = ()


class _Meta(msgspec.Struct, frozen=True):
    paths_data: _Paths = _Paths()


_META = msgspec.json.Decoder(_Meta)


def altered(prefix: str, lock: Lock) -> list[str]:
    """Files that are gone, or hold something else than they did; absolute paths in order."""
    found = set(_altered_conda(prefix))
    for wheel in lock.wheels:
        if wheel.kind != "editable":
            found.update(find_altered_wheel_files(prefix, wheel))
    return sorted(found)


def _altered_conda(prefix: str) -> Iterator[str]:
    for record in glob.glob(os.path.join(glob.escape(prefix), "conda-meta", "*.json")):
        try:
            with open(record, "rb") as file:
                entries = _META.decode(file.read()).paths_data.paths
        except (OSError, msgspec.MsgspecError):
            yield record
            continue
        yield from (os.path.join(prefix, e.path) for e in entries if not _is_whole(os.path.join(prefix, e.path), e))


def _is_whole(path: str, entry: _Entry) -> bool:
    expected = entry.sha256_in_prefix or entry.sha256
    if entry.path_type != "hardlink" or expected is None:
        return os.path.lexists(path)
    try:
        return file_digest(path, "sha256") == expected
    except OSError:
        return False
