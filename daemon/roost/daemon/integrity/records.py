"""What the packages of a prefix say about their files: digests, and which packages there are.

conda's linking records the digests of a package's files in ``conda-meta`` (``sha256_in_prefix`` if the path of the
prefix was written into the file, otherwise ``sha256``); wheels have theirs in the RECORD of their ``.dist-info``.
Source of the formats: conda's ``conda-meta`` records, PyPA's "Recording installed projects".
"""

from __future__ import annotations

import base64
import binascii
import glob
import os
from collections.abc import Iterator, Sequence

import msgspec

from roost.daemon.engines.uv.prefix import find_site_packages, normalize_name, read_record
from roost.daemon.integrity.manifest import PrefixManifest
from roost.model.errors import MALFORMED_JSON
from roost.model.locks.lock import Lock
from roost.store.disk.regular_files import read_regular


class LinkedFile(msgspec.Struct, frozen=True):
    """A file in a record of ``conda-meta``."""

    path: str = msgspec.field(name="_path")
    path_type: str = "hardlink"
    sha256: str | None = None
    sha256_in_prefix: str | None = None

    @property
    def digest(self) -> str | None:
        """sha256 (hex) of the content that linking wrote; ``None`` of symlinks and folders, and if none is known."""
        return (self.sha256_in_prefix or self.sha256) if self.path_type == "hardlink" else None


class _LinkedFiles(msgspec.Struct, frozen=True):
    paths: Sequence[LinkedFile] = ()


class _LinkRecord(msgspec.Struct, frozen=True):
    paths_data: _LinkedFiles = _LinkedFiles()


_RECORD_DECODER = msgspec.json.Decoder(_LinkRecord)


def read_linked_files(record: str) -> Sequence[LinkedFile]:
    """Return the files in the record of ``conda-meta`` at the path ``record``. Blocks.

    Raises:
        OSError, MALFORMED_JSON: it can't be read.
    """
    return _RECORD_DECODER.decode(read_regular(record)).paths_data.paths


class KnownFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What the records of a prefix say."""

    digests: dict[str, str]
    """Path relative to the prefix to sha256 (hex)."""
    wheel_folders: frozenset[str]
    """Relative paths of the folders in which distributions with a RECORD have files."""


def load_known_files(prefix: str) -> KnownFiles:
    """Return the digests of all files that have one in a record. Blocks.

    A record that can't be read has none, and neither has a file that two wheels list with other digests: either may
    have been installed last. conda's come first: where it installed a wheel's files, it may have rewritten them.
    """
    digests: dict[str, str] = {}
    ambiguous: set[str] = set()
    for path, digest in _wheel_digests(prefix):
        if digests.setdefault(path, digest) != digest:
            ambiguous.add(path)
    wheel_folders = frozenset(map(os.path.dirname, digests))
    for path in ambiguous:
        del digests[path]
    for record in glob.glob(os.path.join(glob.escape(prefix), "conda-meta", "*.json")):
        try:
            files = read_linked_files(record)
        except (OSError, *MALFORMED_JSON):
            continue
        digests.update((file.path, file.digest) for file in files if file.digest)
    return KnownFiles(digests=digests, wheel_folders=wheel_folders)


def _wheel_digests(prefix: str) -> Iterator[tuple[str, str]]:
    start = prefix + os.sep
    for site in find_site_packages(prefix):
        for folder in glob.glob(os.path.join(glob.escape(site), "*.dist-info")):
            for path, text in read_record(folder):
                algorithm, _, value = text.partition("=")
                if algorithm == "sha256" and path.startswith(start):
                    yield path[len(start) :], _decode_digest(value)


def _decode_digest(value: str) -> str:
    """Return the hex digits of urlsafe base64 without padding; empty if it is none."""
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
    except (ValueError, binascii.Error):
        return ""


def find_lock_mismatches(manifest: PrefixManifest, lock: Lock) -> list[str]:
    """Return where a manifest and a lock disagree about the packages of a prefix: paths, relative and sorted, of
    records that are missing or that belong to no package. Pure."""
    folder = "conda-meta/"
    expected = {f"{folder}{p.name}-{p.version}-{p.build}.json" for p in lock.conda}
    found = {path for path in manifest.files if path.startswith(folder) and path.endswith(".json")}
    installed = {_distribution(path) for path in manifest.folders if path.endswith(".dist-info")}
    wheels = {wheel.name for wheel in lock.wheels if (wheel.name, wheel.version) not in installed}
    if any(wheel.kind == "editable" for wheel in lock.wheels):  # their version is that of the folder
        wheels -= {name for name, _ in installed}
    return sorted((expected ^ found) | {f"{name}.dist-info" for name in wheels})


def _distribution(path: str) -> tuple[str, str]:
    name, _, version = os.path.basename(path).removesuffix(".dist-info").rpartition("-")
    return normalize_name(name), version
