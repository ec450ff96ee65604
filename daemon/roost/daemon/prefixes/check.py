"""Find the files of a prefix that differ from their packages.

Files of conda packages are compared with the digests that linking wrote into ``conda-meta`` (``sha256_in_prefix`` if
the path of the prefix was written into the file, otherwise ``sha256``), files of wheels with the wheel's RECORD.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence

import msgspec

from roost.daemon.engines.conda.cache import file_digest
from roost.daemon.engines.uv.prefix import find_altered_wheel_files
from roost.model.locks.lock import Lock


class _LinkedFile(msgspec.Struct, frozen=True):
    path: str = msgspec.field(name="_path")
    path_type: str = "hardlink"
    sha256: str | None = None
    sha256_in_prefix: str | None = None


class _LinkedFiles(msgspec.Struct, frozen=True):
    paths: Sequence[_LinkedFile] = ()


class _LinkRecord(msgspec.Struct, frozen=True):
    paths_data: _LinkedFiles = _LinkedFiles()


_RECORD_DECODER = msgspec.json.Decoder(_LinkRecord)


def find_altered_files(prefix: str, lock: Lock) -> list[str]:
    """Return the absolute paths, sorted, of the files that no longer exist or have other content.

    Blocks and reads every byte: about a second for 400 MB.
    """
    found = set(_find_altered_conda(prefix))
    for wheel in lock.wheels:
        if wheel.kind != "editable":
            found.update(find_altered_wheel_files(prefix, wheel))
    return sorted(found)


def _find_altered_conda(prefix: str) -> Iterator[str]:
    for record in glob.glob(os.path.join(glob.escape(prefix), "conda-meta", "*.json")):
        try:
            with open(record, "rb") as stream:
                files = _RECORD_DECODER.decode(stream.read()).paths_data.paths
        except (OSError, msgspec.MsgspecError):
            yield record
            continue
        paths = ((os.path.join(prefix, file.path), file) for file in files)
        yield from (path for path, file in paths if not _is_intact(path, file))


def _is_intact(path: str, file: _LinkedFile) -> bool:
    expected = file.sha256_in_prefix or file.sha256
    if file.path_type != "hardlink" or expected is None:
        return os.path.lexists(path)
    try:
        return file_digest(path, "sha256") == expected
    except OSError:
        return False
