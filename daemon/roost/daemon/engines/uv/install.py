"""Around an installation: uv's output as progress, and whether all wheels are installed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from roost.daemon.engines.uv.errors import WheelCorruptError
from roost.daemon.engines.uv.prefix import find_dist_info
from roost.daemon.engines.uv.sources.build_requirements import is_expected_line
from roost.daemon.engines.uv.terminal import parse_bars
from roost.daemon.jobs.progress import Progress
from roost.model.locks.lock import Wheel

_FETCHING = re.compile(r"^\s*(Downloading|Downloaded) (\S+)")
_DONE = re.compile(r"^\s*(Prepared|Installed) (\d+) package")


class InstallProgress:
    """Passes uv's output on as progress.

    Without a terminal uv prints a line when a large download begins and when it ends; with one, bars.
    """

    def __init__(self, progress: Progress, wheels: Sequence[Wheel]) -> None:
        self._progress = progress
        self._count = len(wheels)
        self._sizes = {wheel.name: wheel.size for wheel in wheels}
        self._totals: dict[str, int] = {}
        self._done: dict[str, int] = {}

    def start(self) -> None:
        """Report the start of the installation."""
        self._progress.start("pip", self._count)

    def add_line(self, line: str) -> None:
        """Handle one line of uv's stderr."""
        fetching, done = _FETCHING.match(line), _DONE.match(line)
        if fetching:
            self._note_download(fetching.group(2), complete=fetching.group(1) == "Downloaded")
        elif done:
            self._complete_downloads(())
            self._progress.advance("pip", int(done.group(2)) if done.group(1) == "Installed" else 0, self._count)
        if not is_expected_line(line):
            self._progress.log(line)

    def add_text(self, text: str) -> None:
        """Handle the whole stderr of uv at once."""
        for line in text.splitlines():
            self.add_line(line)

    def add_frame(self, frame: str) -> None:
        """Handle one frame of progress bars. A download whose bar has disappeared is complete."""
        found = parse_bars(frame)
        for name, done, total in found:
            self._totals[name] = self._sizes.get(name) or total
            self._report_bytes(name, done)
        if found:
            self._complete_downloads({name for name, _, _ in found})

    def _complete_downloads(self, running: Collection[str]) -> None:
        for name in set(self._totals) - set(running):
            self._report_bytes(name, self._totals[name])

    def _note_download(self, name: str, *, complete: bool) -> None:
        self._totals.setdefault(name, self._sizes.get(name, 0))
        self._report_bytes(name, self._totals[name] if complete else 0)

    def _report_bytes(self, name: str, done: int) -> None:
        if not self._done:
            self._progress.start("download", sum(self._totals.values()))
        self._done[name] = max(done, self._done.get(name, 0))
        self._progress.advance("download", sum(self._done.values()), sum(self._totals.values()))

    def finish(self) -> None:
        """Report the end of the installation."""
        if self._done:
            self._progress.finish("download")
        self._progress.finish("pip")


class AttemptLog:
    """Passes the lines of one attempt on; what it fails with waits until it is known whether that is a failure: an
    attempt that lacks digests is answered by another one."""

    def __init__(self, pass_on: Callable[[str], None]) -> None:
        self._pass_on = pass_on
        self._held: list[str] = []
        self._is_advice = False

    def add_line(self, line: str) -> None:
        """Handle one line of uv's stderr. What it advises at the end is about options of uv."""
        self._is_advice = self._is_advice or line.startswith("hint:")
        if self._is_advice or is_expected_line(line):
            return
        if self._held or line.startswith("error:"):
            self._held.append(line)
        else:
            self._pass_on(line)

    def add_failure(self, stderr: str) -> None:
        """Handle the whole stderr of an attempt that no other follows."""
        for line in filter(None, stderr.splitlines()):
            self.add_line(line)
        self.fail()

    def fail(self) -> None:
        """Pass on what was held back: no other attempt follows."""
        for line in self._held:
            self._pass_on(line)
        self._held.clear()


def check_complete(prefix: str, wheels: Sequence[Wheel]) -> None:
    """Raise WheelCorruptError if one of ``wheels`` has no metadata in ``prefix``. Blocks."""
    missing = [wheel.name for wheel in wheels if find_dist_info(prefix, wheel) is None]
    if missing:
        raise WheelCorruptError(
            f"{', '.join(missing)}: installed, but not found under the locked name and version",
            hint="The wheel's file name and its metadata differ; ask its publisher, or choose another version.",
            fields={"packages": missing},
        )


def install_arguments(python: str, pylock: str) -> list[str]:
    """Return the arguments with which uv installs what is in ``pylock`` for ``python``, and nothing else."""
    arguments = ["pip", "install", "--python", python, "--no-deps", "--link-mode", "hardlink"]
    arguments += ["--break-system-packages", "--preview-features", "pylock", "-r", pylock]
    return [*arguments, "--require-build-hashes", "--preview-features", "build-dependency-hashes"]
