"""Conda packages that are unpacked and compiled once for a test run, and linked into the root of each test.

What a package's files are does not depend on the root: a test that neither unpacks nor compiles Python saves seconds.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.roost_process import new_roost

from roost.store.disk.file_ops import remove_tree

FOLDERS = "rcp-"
SPECS = ("python=3.11", "pip", "six=1.16")
DEFINITION = "[conda]\ndependencies = [{}]\n"


@contextlib.contextmanager
def prepared_packages(run_id: str, channel_url: str) -> Iterator[Path]:
    """The folder, made by whichever process of the test run asks first. Each process of the run holds a shared lock;
    what other runs left behind is removed."""
    place = Path(tempfile.gettempdir(), f"{FOLDERS}{run_id[:8]}")
    with open(Path(tempfile.gettempdir(), f"{FOLDERS}lock"), "w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        users = open(f"{place}.users", "w")  # noqa: SIM115 - held until the last test is done
        fcntl.flock(users, fcntl.LOCK_SH)
        _sweep(keep=place)
        if not place.exists():
            _make(place, channel_url)
    with users:
        yield place


def _sweep(keep: Path) -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{FOLDERS}*.users"):
        folder = path.with_suffix("")
        with contextlib.suppress(OSError), open(path, "w") as users:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder != keep:
                remove_tree(str(folder))
                path.unlink()


def _make(place: Path, channel_url: str) -> None:
    roost = new_roost()
    try:
        roost.config.write_text(f'[conda.mirrors]\n"conda-forge" = ["{channel_url}"]\n')
        roost.write("roost.toml", DEFINITION.format(", ".join(f'"{spec}"' for spec in SPECS)))
        roost.ok("build")
        roost.ok("daemon", "stop")
        shutil.move(roost.root / "packages", place)
    finally:
        roost.end()
