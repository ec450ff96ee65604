"""Programs of Debian's next release, for what this one has too old or not at all: a newer engine, and buildx.

They are got with apt from where this machine gets its own packages, with the other release's name, into lists and
archives of their own: nothing is installed. Unpacked once, and kept.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

SUITE = "trixie"


def missing(what: str) -> None:
    """Skip, or fail where every real part must be there."""
    if os.environ.get("ROOST_TEST_REQUIRE_ALL"):
        pytest.fail(f"{what}, and ROOST_TEST_REQUIRE_ALL is set")
    pytest.skip(what)


def unpacked(package: str) -> Path:
    """The folder that ``package`` of the next release is unpacked in. Skips where it can't be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "roost-tests")
    wanted = cache / SUITE / package
    if not wanted.exists():
        if not shutil.which("apt-get"):
            missing(f"{package} of Debian's next release is not kept, and there is no apt to get it with")
        wanted.parent.mkdir(parents=True, exist_ok=True)
        with open(cache / f"{SUITE}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not wanted.exists():
                _get(package, wanted)
    return wanted


def _get(package: str, wanted: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="stage-", dir=wanted.parent.parent) as name:
        stage = Path(name)
        try:
            options = _apt_options(stage)
            _said("apt-get", *options, "-qq", "update")
            _said("apt-get", *options, "-qq", "download", package, cwd=stage)
            (archive,) = stage.glob("*.deb")
            _said("dpkg-deb", "-x", str(archive), str(stage / "root"))
        except (subprocess.CalledProcessError, ValueError) as error:
            missing(f"{package} of Debian's next release can't be had: {getattr(error, 'stderr', None) or error}")
        (stage / "root").rename(wanted)


def _apt_options(stage: Path) -> list[str]:
    for folder in ("lists/partial", "cache/archives/partial"):
        (stage / folder).mkdir(parents=True)
    (stage / "sources.list").write_text(_source())
    own = {
        "Dir::Etc::SourceList": stage / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::lists": stage / "lists",
        "Dir::Cache": stage / "cache",
        "APT::Sandbox::User": "root",
    }
    return [word for key, value in own.items() for word in ("-o", f"{key}={value}")]


def _source() -> str:
    """The line for the next release: the main source of this machine, under the other name."""
    columns = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)"
    rows = _said("apt-get", "indextargets", "--format", columns, "Created-By: Packages").splitlines()
    found = [row.split("|") for row in rows]
    for place, release, component, signed in found:
        if component == "main" and "-" not in release:
            key = f"[signed-by={signed}] " if signed.startswith("/") else ""
            return f"deb {key}{place} {SUITE} main\n"
    raise ValueError("apt has no main source of Debian here")


def _said(*command: str, cwd: Path | None = None) -> str:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout
