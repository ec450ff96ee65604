"""What follows an install's start: uv's lines as progress, and afterwards a look at whether everything is there."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Collection, Iterator, Sequence

from roost.daemon.engines.uv.errors import WheelCorruptError
from roost.daemon.engines.uv.prefix import digest_of, dist_info, read_record
from roost.daemon.engines.uv.terminal import bars
from roost.daemon.jobs.progress import Progress
from roost.model.locks.lock import Wheel

_FETCHING = re.compile(r"^\s*(Downloading|Downloaded) (\S+)")
_UNPACKING = 2.0
"""Seconds that unpacking a wheel may still take after its METADATA was written."""
_DONE = re.compile(r"^\s*(Prepared|Installed) (\d+) package")


class InstallProgress:
    """uv's lines, told on. Without a terminal uv names each large download when it begins and when it ends."""

    def __init__(self, progress: Progress, wheels: Sequence[Wheel]) -> None:
        self._progress = progress
        self._count = len(wheels)
        self._sizes = {wheel.name: wheel.size for wheel in wheels}
        self._totals: dict[str, int] = {}
        self._done: dict[str, int] = {}

    def begin(self) -> None:
        self._progress.start("pip", self._count)

    def line(self, line: str) -> None:
        """Take in one line of uv's stderr."""
        fetching, done = _FETCHING.match(line), _DONE.match(line)
        if fetching:
            self._fetch(fetching.group(1) == "Downloaded", fetching.group(2))
        elif done:
            self._complete(())
            self._progress.advance("pip", int(done.group(2)) if done.group(1) == "Installed" else 0, self._count)
        self._progress.log(line)

    def all_at_once(self, text: str) -> None:
        """Take in everything that uv said."""
        for line in text.splitlines():
            self.line(line)

    def frame(self, frame: str) -> None:
        """Take in one frame of uv's progress bars. A download whose bar is gone is over."""
        found = bars(frame)
        for name, done, total in found:
            self._totals[name] = self._sizes.get(name) or total
            self._show(name, done)
        if found:
            self._complete({name for name, _, _ in found})

    def _complete(self, running: Collection[str]) -> None:
        for name in set(self._totals) - set(running):
            self._show(name, self._totals[name])

    def _fetch(self, over: bool, name: str) -> None:
        self._totals.setdefault(name, self._sizes.get(name, 0))
        self._show(name, self._totals[name] if over else 0)

    def _show(self, name: str, done: int) -> None:
        if not self._done:
            self._progress.start("download", sum(self._totals.values()))
        self._done[name] = max(done, self._done.get(name, 0))
        self._progress.advance("download", sum(self._done.values()), sum(self._totals.values()))

    def end(self) -> None:
        if self._done:
            self._progress.finish("download")
        self._progress.finish("pip")


def check_complete(prefix: str, wheels: Sequence[Wheel]) -> None:
    """Raise WheelCorruptError where a wheel left no metadata in ``prefix``. Blocks."""
    missing = [wheel.name for wheel in wheels if dist_info(prefix, wheel) is None]
    if missing:
        raise WheelCorruptError(
            f"{', '.join(missing)}: installed, and not there under the locked name and version",
            hint="The wheel's file name and its metadata differ; ask its publisher, or choose another version.",
            fields={"packages": missing},
        )


def damaged(cache_dir: str, names: Collection[str], *, thorough: bool) -> set[str]:
    """Names whose unpacked copy in uv's cache is not what its RECORD says. Blocks.

    Prefixes share these files by hard links, so that an edit in place in one of them is in the cache too. Thorough
    reads every file; else only those are read that were written after their package was unpacked.
    """
    return {name for name, folder in _unpacked(cache_dir) if name in names and _differs(folder, thorough)}


def _unpacked(cache_dir: str) -> Iterator[tuple[str, str]]:
    for folder in glob.iglob(os.path.join(glob.escape(cache_dir), "archive-v*", "*", "*.dist-info")):
        name = os.path.basename(folder).removesuffix(".dist-info").rpartition("-")[0]
        yield re.sub(r"[-_.]+", "-", name).lower(), folder


def _differs(folder: str, thorough: bool) -> bool:
    rows = [(path, digest) for path, digest in read_record(folder) if digest.startswith("sha256=")]
    suspects = rows if thorough else _written_later(rows, os.path.join(folder, "METADATA"))
    return any(digest_of(path) != digest for path, digest in suspects)


def _written_later(rows: Sequence[tuple[str, str]], reference: str) -> list[tuple[str, str]]:
    """Those that are gone, or newer than ``reference``, which is among the last to be unpacked."""
    try:
        limit = os.stat(reference).st_mtime + _UNPACKING
    except OSError:
        return list(rows)
    return [(path, digest) for path, digest in rows if _mtime(path) > limit]


def _mtime(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return float("inf")
