"""Check the RECORD and the size of each wheel in uv's cache once.

The manifest of a prefix takes digests from RECORD: one that contradicts the files would make every prefix with them
look altered. It also shows a wheel that was damaged or changed after it was made, and before its digest was locked.
"""

from __future__ import annotations

import csv
import hashlib
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress

from roost.daemon.engines.uv.errors import WheelCorruptError
from roost.daemon.engines.uv.prefix import normalize_name
from roost.daemon.engines.uv.unpacked.cache import list_unpacked
from roost.daemon.engines.uv.unpacked.record import (
    FATAL,
    RecordFault,
    describe_faults,
    encode_digest,
    find_faults,
    format_warning,
    parse_record,
)
from roost.daemon.jobs.progress import Progress
from roost.daemon.jobs.unpacking import exceeds, too_large_error
from roost.model.errors import CodedError
from roost.store.disk.regular_files import open_regular

_CLOCK_NS = 50 * 10**6
"""How far the times of a file system may be behind the clock."""


class UnpackedFaultsError(Exception):
    """Wheels that may not be used, by their normalized names, and the error to raise when they have left the cache."""

    def __init__(self, packages: Sequence[str], error: CodedError) -> None:
        super().__init__(packages)
        self.packages = packages
        self.error = error


def check_unpacked(cache_dir: str, marks: str, names: Collection[str], limit: int, progress: Progress) -> None:
    """Check the unpacked wheels of these normalized names that were not checked before: reads all of their files.

    ``marks``: a folder with an empty file for each folder of the cache that was checked. Its mtime is the time at which
    the check began: whatever changes a file later leaves a later mtime (``cache.find_damaged``). Lesser faults go into
    the log of ``progress``. Blocks.

    Raises: UnpackedFaultsError if a RECORD contradicts its wheel, or if a wheel has more than ``limit`` bytes.
    """
    os.makedirs(marks, exist_ok=True)
    checked, present = set(os.listdir(marks)), set[str]()
    bad: dict[str, Sequence[RecordFault]] = {}
    for name, info in list_unpacked(cache_dir):
        mark = os.path.basename(os.path.dirname(info))
        present.add(mark)
        if name not in names or mark in checked:
            continue
        if exceeds(os.path.dirname(info), limit):
            raise UnpackedFaultsError([name], too_large_error(f"The wheel of {name}", limit))
        began = time.time_ns() - _CLOCK_NS
        faults = _examine(os.path.dirname(info), os.path.basename(info))
        if fatal := [fault for fault in faults if fault.kind in FATAL]:
            bad[os.path.basename(info).removesuffix(".dist-info")] = fatal
            continue
        if faults:
            progress.log(format_warning(name, faults))
        with open(os.path.join(marks, mark), "w", encoding="ascii") as file:
            os.utime(file.fileno(), ns=(began, began))
    for mark in checked - present:
        with suppress(OSError):
            os.unlink(os.path.join(marks, mark))
    if bad:
        packages = [normalize_name(name.rpartition("-")[0]) for name in bad]
        raise UnpackedFaultsError(packages, _contradiction_error(bad, packages))


def _examine(archive: str, info: str) -> list[RecordFault]:
    """Return the faults of the wheel that is unpacked at ``archive``."""

    def digest_of(path: str, algorithm: str) -> str:
        state = hashlib.new(algorithm)
        with open_regular(os.path.join(archive, path)) as file:
            while chunk := file.read(1 << 20):
                state.update(chunk)
        return encode_digest(state.digest())

    try:
        with open_regular(os.path.join(archive, info, "RECORD")) as file:
            rows = parse_record(file.read().decode("utf-8", "surrogateescape"))
        return find_faults(rows, dict(_list_files(archive)), info, digest_of)
    except (OSError, csv.Error):
        return [RecordFault("missing", f"{info}/RECORD")]


def _list_files(archive: str) -> Iterator[tuple[str, int]]:
    """Yield the relative path and the size of each file of an unpacked wheel."""
    for parent, _, names in os.walk(archive):
        for name in names:
            path = os.path.join(parent, name)
            yield os.path.relpath(path, archive), os.lstat(path).st_size


def _contradiction_error(bad: Mapping[str, Sequence[RecordFault]], packages: Sequence[str]) -> WheelCorruptError:
    first, *others = bad
    more = f" (and so do those of {', '.join(others)})" if others else ""
    return WheelCorruptError(
        f"The wheel of {first} contradicts its own list of files, RECORD: {describe_faults(bad[first])}{more}",
        hint="It is damaged, or was changed after it was made: ask its publisher, or choose another version.",
        fields={"packages": packages},
    )
