"""Home folders with certain Pythons and no others, as the daemon finds them: below ``~/.pyenv/versions``."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

import pytest
from packaging.version import Version

from roost.daemon.engines.host_python.interpreters import Interpreter, list_interpreters, probe_interpreter

OWN_MINOR = ".".join(map(str, sys.version_info[:2]))
SYSTEM_PATH = "/usr/bin:/bin"


@cache
def other_pythons() -> tuple[Interpreter, ...]:
    """The usable Pythons of this machine below a home folder, of 3.9 or later and another minor version than that of
    these tests: one for each, oldest first."""
    found: dict[str, Interpreter] = {}
    for path in list_interpreters():
        probed = probe_interpreter(path)
        if probed is None or not probed.is_usable or Version(probed.version) < Version("3.9"):
            continue
        if probed.minor != OWN_MINOR and not path.startswith("/usr/"):
            found[probed.minor] = probed
    return tuple(sorted(found.values(), key=lambda each: Version(each.version)))


def need_pythons(count: int) -> tuple[Interpreter, ...]:
    """``count`` Pythons of different minor versions, oldest first; the test skips if there are fewer."""
    found = other_pythons()
    if len(found) < count:
        text = f"{count} more Pythons are needed, and {len(found)} are there"
        if os.environ.get("ROOST_TEST_REQUIRE_ALL") == "1":
            pytest.fail(text)
        pytest.skip(text)
    return found[-count:]


def home_with(folder: Path, *pythons: Interpreter) -> dict[str, str]:
    """The variables of a user whose home ``folder`` has these Pythons. roost's own and those of the system remain."""
    versions = folder / ".pyenv" / "versions"
    versions.mkdir(parents=True)
    for python in pythons:
        (versions / python.version).symlink_to(Path(python.executable).parents[1])
    return {"HOME": str(folder), "PATH": SYSTEM_PATH}
