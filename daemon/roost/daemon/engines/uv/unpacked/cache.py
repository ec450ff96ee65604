"""uv's cache of unpacked wheels: what is in it, what is being unpacked, and what was changed since."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

from packaging.utils import canonicalize_version

from roost.daemon.engines.uv.prefix import has_digest, normalize_name, read_record
from roost.model.locks.lock import Wheel

_UNPACK_SECONDS = 2.0
"""How long unpacking a wheel may still take after its METADATA was written."""


def list_unfinished(cache_dir: str) -> list[str]:
    """Return the folders into which uv unpacks at this moment, or did when it was killed. Blocks."""
    cache = glob.escape(cache_dir)
    return [*glob.glob(f"{cache}/.tmp*"), *glob.glob(f"{cache}/*/.tmp*")]


def find_damaged(cache_dir: str, marks: str, names: Collection[str], *, thorough: bool) -> set[str]:
    """Return those of ``names`` whose unpacked copy in uv's cache differs from its RECORD. Blocks.

    Prefixes share these files by hard links, so an edit in place in a prefix changes the cache too. ``thorough`` reads
    every file; otherwise only files that were modified after their package was checked (``marks``, of ``checks``) or,
    if it was not, after it was unpacked are read.
    """
    return {name for name, folder in list_unpacked(cache_dir) if name in names and _is_damaged(folder, marks, thorough)}


def find_absent(cache_dir: str, wheels: Sequence[Wheel], files: Collection[str]) -> list[str]:
    """Return the names of those of ``wheels`` that uv has to fetch: it has not unpacked them. Blocks.

    ``files``: sha256s of wheels that it installs from files. An unpacked wheel may be another one of the same version,
    so what is not absent may have to be fetched all the same.
    """
    fetched = [wheel for wheel in wheels if wheel.kind in ("index", "url") and wheel.sha256 not in files]
    if not fetched:
        return []
    unpacked = {(name, _read_version(folder)) for name, folder in list_unpacked(cache_dir)}
    return [wheel.name for wheel in fetched if (wheel.name, canonicalize_version(wheel.version)) not in unpacked]


def _read_version(folder: str) -> str:
    return canonicalize_version(os.path.basename(folder).removesuffix(".dist-info").rpartition("-")[2])


def list_unpacked(cache_dir: str) -> Iterator[tuple[str, str]]:
    """Yield the normalized name and the ``.dist-info`` folder of each distribution in uv's cache. Blocks."""
    for folder in glob.iglob(os.path.join(glob.escape(cache_dir), "archive-v*", "*", "*.dist-info")):
        yield distribution_name(folder), folder


def distribution_name(info: str) -> str:
    """Return the normalized name of the distribution whose ``.dist-info`` folder is ``info``."""
    return normalize_name(os.path.basename(info).removesuffix(".dist-info").rpartition("-")[0])


def _is_damaged(folder: str, marks: str, thorough: bool) -> bool:
    limit = _find_limit(folder, os.path.join(marks, os.path.basename(os.path.dirname(folder))))
    return any(
        (thorough or _modified_at(path) >= limit) and not has_digest(path, digest)
        for path, digest in read_record(folder)
        if digest
    )


def _find_limit(folder: str, mark: str) -> float:
    """Return the time from which on a change of an unpacked file may not have been seen. Its ``mark`` has the time at
    which the check began that has read all files."""
    with suppress(OSError):
        return os.stat(mark).st_mtime
    with suppress(OSError):
        return os.stat(os.path.join(folder, "METADATA")).st_mtime + _UNPACK_SECONDS
    return 0.0


def _modified_at(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return float("inf")
