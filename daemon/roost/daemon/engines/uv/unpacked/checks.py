"""Check the RECORD and the size of each wheel in uv's cache once.

The manifest of a prefix takes digests from RECORD: one that contradicts the files would make every prefix with them
look altered. It also shows a wheel that was damaged or changed after it was made, and before its digest was locked.
Wheels are checked while uv fetches others; what was read then need not be read again when the prefix is sealed.
"""

from __future__ import annotations

import asyncio
import csv
import glob
import os
import time
from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from roost.daemon.engines.uv.errors import WheelCorruptError
from roost.daemon.engines.uv.prefix import normalize_name
from roost.daemon.engines.uv.unpacked.cache import distribution_name, list_unpacked
from roost.daemon.engines.uv.unpacked.content import SETTLED_NS, FileState, digest_regular
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
from roost.daemon.jobs.unpacking import LOOK_SECONDS, end_task, exceeds, too_large_error
from roost.model.errors import CodedError
from roost.store.disk.regular_files import open_regular

T = TypeVar("T")
_FIRST_LOOK_SECONDS = 0.1
_LOOKS_GROW = 1.2
"""By how much the time between two looks grows: a large cache takes a moment to list."""


class UnpackedFaultsError(Exception):
    """Wheels that may not be used, by their normalized names, and the error to raise when they have left the cache."""

    def __init__(self, packages: Sequence[str], error: CodedError) -> None:
        super().__init__(packages)
        self.packages = packages
        self.error = error


class UnpackedChecks:
    """Checks the unpacked wheels of one installation that were not checked before: all of their files are read.

    ``marks``: a folder with an empty file for each folder of the cache that was checked. Its mtime is the time at which
    the check began: whatever changes a file later leaves a later mtime (``cache.find_damaged``). ``names`` are
    normalized. ``limit``: bytes that a wheel may have. All methods block.
    """

    def __init__(self, cache_dir: str, marks: str, names: Collection[str], limit: int) -> None:
        self._cache_dir = cache_dir
        self._marks = marks
        self._names = names
        self._limit = limit
        self._seen = set(_list_archives(cache_dir))
        self._new = set[str]()
        """What was new at the last look."""
        self.content: dict[FileState, str] = {}
        """What was read: sha256 (hex) of each file, by the state in which it has this content."""

    def check_new(self) -> None:
        """Check what was unpacked between the last two calls before this one: what was written a moment ago would have
        to be read again. What is wrong is left to ``check_all``."""
        found = set(_list_archives(self._cache_dir)) - self._seen
        for archive in found & self._new:
            info = next(glob.iglob(os.path.join(glob.escape(archive), "*.dist-info")), None)
            if info is None or distribution_name(info) not in self._names or exceeds(archive, self._limit):
                continue
            began = time.time_ns()
            if not self._examine(info):
                self._mark(info, began)
        self._seen |= found & self._new
        self._new = found - self._seen

    def check_all(self, progress: Progress) -> None:
        """Check what is left. Lesser faults go into the log of ``progress``.

        Raises: UnpackedFaultsError if a RECORD contradicts its wheel, or if a wheel is larger than the limit.
        """
        os.makedirs(self._marks, exist_ok=True)
        checked, present = set(os.listdir(self._marks)), set[str]()
        bad: dict[str, Sequence[RecordFault]] = {}
        for name, info in list_unpacked(self._cache_dir):
            mark = os.path.basename(os.path.dirname(info))
            present.add(mark)
            if name not in self._names or mark in checked:
                continue
            if exceeds(os.path.dirname(info), self._limit):
                raise UnpackedFaultsError([name], too_large_error(f"The wheel of {name}", self._limit))
            began = time.time_ns()
            faults = self._examine(info)
            if fatal := [fault for fault in faults if fault.kind in FATAL]:
                bad[os.path.basename(info).removesuffix(".dist-info")] = fatal
                continue
            if faults:
                progress.log(format_warning(name, faults))
            self._mark(info, began)
        for mark in checked - present:
            with suppress(OSError):
                os.unlink(os.path.join(self._marks, mark))
        if bad:
            packages = [normalize_name(name.rpartition("-")[0]) for name in bad]
            raise UnpackedFaultsError(packages, _contradiction_error(bad, packages))

    def _mark(self, info: str, began: int) -> None:
        os.makedirs(self._marks, exist_ok=True)
        with open(os.path.join(self._marks, os.path.basename(os.path.dirname(info))), "w", encoding="ascii") as file:
            os.utime(file.fileno(), ns=(began - SETTLED_NS, began - SETTLED_NS))

    def _examine(self, info: str) -> list[RecordFault]:
        """Return the faults of the unpacked wheel whose metadata is at ``info``."""
        archive, name = os.path.split(info)

        def digest_of(path: str, algorithm: str) -> str:
            digest, state = digest_regular(f"{archive}/{path}", algorithm)
            if state is not None and algorithm == "sha256":
                self.content[state] = digest.hex()
            return encode_digest(digest)

        try:
            with open_regular(os.path.join(info, "RECORD")) as file:
                rows = parse_record(file.read().decode("utf-8", "surrogateescape"))
            return find_faults(rows, dict(_list_files(archive)), name, digest_of)
        except (OSError, csv.Error):
            return [RecordFault("missing", f"{name}/RECORD")]


async def check_beside(installing: Coroutine[Any, Any, T], checks: UnpackedChecks) -> T:
    """Return what ``installing`` returns; meanwhile check what it has unpacked."""
    task, pause = asyncio.ensure_future(installing), _FIRST_LOOK_SECONDS
    try:
        while not (await asyncio.wait([task], timeout=pause))[0]:
            with suppress(OSError):  # what can't be read is left to the check of everything
                await asyncio.to_thread(checks.check_new)
            pause = min(pause * _LOOKS_GROW, LOOK_SECONDS)
        return task.result()
    finally:
        await end_task(task)


def _list_archives(cache_dir: str) -> list[str]:
    """Return the folders of wheels that are unpacked, each of which is complete when it gets its name."""
    return glob.glob(os.path.join(glob.escape(cache_dir), "archive-v*", "*"))


def _list_files(archive: str) -> Iterator[tuple[str, int]]:
    """Yield the relative path and the size of each file of an unpacked wheel."""
    for parent, _, names in os.walk(archive):
        for name in names:
            path = f"{parent}/{name}"
            yield path[len(archive) + 1 :], os.lstat(path).st_size


def _contradiction_error(bad: Mapping[str, Sequence[RecordFault]], packages: Sequence[str]) -> WheelCorruptError:
    first, *others = bad
    more = f" (and so do those of {', '.join(others)})" if others else ""
    return WheelCorruptError(
        f"The wheel of {first} contradicts its own list of files, RECORD: {describe_faults(bad[first])}{more}",
        hint="It is damaged, or was changed after it was made: ask its publisher, or choose another version.",
        fields={"packages": packages},
    )
