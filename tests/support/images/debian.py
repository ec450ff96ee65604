"""Debian packages: programs of the next release (a newer engine, buildx), and archives for a repository of the tests.

They are got with apt from where this machine gets its own packages, with the wanted release's name, into lists and
archives of their own: nothing is installed. Got once, with retries, and kept.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SUITE = "trixie"
TRIES = 4
PAUSE = 10.0
"""Seconds before the first repetition; each further one waits as long again."""


def missing(what: str) -> None:
    """Skip, or fail where every real part must be there."""
    if os.environ.get("ROOST_TEST_REQUIRE_ALL"):
        pytest.fail(f"{what}, and ROOST_TEST_REQUIRE_ALL is set")
    pytest.skip(what)


def unpacked(package: str) -> Path:
    """The folder that ``package`` of the next release is unpacked in. Skips where it can't be had."""

    def unpack(stage: Path) -> None:
        (archive,) = _download(stage, SUITE, package)
        _said("dpkg-deb", "-x", str(archive), str(stage / "root"))

    return _kept(f"{SUITE}/{package}", f"{package} of Debian's next release", unpack)


def archives(suite: str, *packages: str) -> Path:
    """A folder with the archives (``.deb``) of ``packages`` of the release ``suite``. Skips where they can't be had."""

    def get(stage: Path) -> None:
        (stage / "root").mkdir()
        for archive in _download(stage, suite, *packages):
            archive.rename(stage / "root" / archive.name)

    return _kept(f"{suite}-archives/{'+'.join(packages)}", f"{', '.join(packages)} of Debian's {suite}", get)


def _kept(name: str, what: str, make: Callable[[Path], None]) -> Path:
    """The folder ``name`` of the cache, which ``make`` makes as ``root`` in the folder that it is given."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "roost-tests")
    wanted = cache / name
    if not wanted.exists():
        if not shutil.which("apt-get"):
            missing(f"{what} is not kept, and there is no apt to get it with")
        wanted.parent.mkdir(parents=True, exist_ok=True)
        with open(cache / f"{wanted.parent.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not wanted.exists():
                _make(cache, wanted, what, make)
    return wanted


def _make(cache: Path, wanted: Path, what: str, make: Callable[[Path], None]) -> None:
    for number in range(1, TRIES + 1):
        with tempfile.TemporaryDirectory(prefix="stage-", dir=cache) as name:
            try:
                make(Path(name))
            except (subprocess.CalledProcessError, ValueError) as error:
                if number == TRIES:
                    missing(f"{what} can't be had: {getattr(error, 'stderr', None) or error}")
            else:
                Path(name, "root").rename(wanted)
                return
        time.sleep(number * PAUSE)


def _download(stage: Path, suite: str, *packages: str) -> list[Path]:
    options = _apt_options(stage, suite)
    _said("apt-get", *options, "-qq", "update")
    _said("apt-get", *options, "-qq", "download", *packages, cwd=stage)
    return sorted(stage.glob("*.deb"))


def _apt_options(stage: Path, suite: str) -> list[str]:
    for folder in ("lists/partial", "cache/archives/partial"):
        (stage / folder).mkdir(parents=True)
    (stage / "sources.list").write_text(_source(suite))
    own = {
        "Dir::Etc::SourceList": stage / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::lists": stage / "lists",
        "Dir::Cache": stage / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Retries": 5,
        "APT::Update::Error-Mode": "any",
    }
    return [word for key, value in own.items() for word in ("-o", f"{key}={value}")]


def _source(suite: str) -> str:
    """The line for the release ``suite``: the main source of this machine, under the other name."""
    columns = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)"
    rows = _said("apt-get", "indextargets", "--format", columns, "Created-By: Packages").splitlines()
    found = [row.split("|") for row in rows]
    for place, release, component, signed in found:
        if component == "main" and "-" not in release:
            key = f"[signed-by={signed}] " if signed.startswith("/") else ""
            return f"deb {key}{place} {suite} main\n"
    raise ValueError("apt has no main source of Debian here")


def _said(*command: str, cwd: Path | None = None) -> str:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout
