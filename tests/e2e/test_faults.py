"""Faults as a user meets them: each ends in a clear error with its code, nothing half-made is there, and the next try
works."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.conda_tools import http_channel
from tests.support.pip_index import PipIndex, sdist_bytes
from tests.support.roost_process import Roost

WHEEL = "greet-1.0-py3-none-any.whl"
IMPATIENT = "[network]\ndownload_timeout_seconds = 2\nindex_timeout_seconds = 2\nretries = 0\n"


def check_failed(roost: Roost, code: str, status: int) -> dict[str, Any]:
    """The build fails with ``code``, is recorded so, and leaves nothing that could be served."""
    body = roost.failed(status, "build")
    assert body["code"] == code, body
    assert body["message"]
    assert body["hint"]
    build = roost.json("builds", "list")["builds"][0]
    assert (build["state"], build["error"]["code"]) == ("failed", code)
    assert roost.json("cache", "df")["artifacts"] == []
    assert list((roost.root / "prefixes").iterdir()) == []
    assert roost.json("plan")["plans"][0]["action"] == "build-prefix"
    return body


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (lambda index: index.wrong_digests.add(WHEEL), "digest-mismatch", 4),
        (lambda index: index.truncated.add(WHEEL), "index-unreachable", 6),
        (lambda index: index.hanging.add(WHEEL), "index-unreachable", 6),
        (lambda index: index.projects.pop("greet"), "pip-unsatisfiable", 4),
    ],
    ids=["lies", "truncates", "hangs", "lacks it"],
)
def test_an_index_that(
    roost: Roost, pip_index: PipIndex, fault: Callable[[PipIndex], object], code: str, status: int
) -> None:
    roost.config.write_text(roost.config.read_text() + IMPATIENT)
    pip_index.wheel("greet", "1.0")
    roost.write("requirements.txt", "greet\n")
    fault(pip_index)
    check_failed(roost, code, status)
    pip_index.wrong_digests.clear()
    pip_index.truncated.clear()
    pip_index.hanging.clear()
    pip_index.projects["greet"] = [WHEEL]
    assert roost.ok("run", "--", "python", "-c", "import greet; print(greet.value)").strip() == "1.0"


@pytest.mark.long
@pytest.mark.parametrize(
    ("part", "kind", "code", "status"),
    [
        ("dated-3", "lie", "digest-mismatch", 4),
        ("dated-3", "truncate", "channel-unreachable", 6),
        ("dated-3", "stall", "channel-unreachable", 6),
        ("dated-3", "refuse", "channel-refused", 6),
        ("repodata", "stall", "channel-unreachable", 6),
        ("repodata", "hang", "channel-unreachable", 6),
    ],
)
async def test_a_channel_that_fails(roost: Roost, channel: Path, part: str, kind: str, code: str, status: int) -> None:
    roost.config.write_text(roost.config.read_text() + IMPATIENT)
    async with http_channel(channel) as served:
        roost.write("environment.yml", f"channels: ['{served.url}']\ndependencies: [dated]\n")
        served.fault[part] = kind
        await asyncio.to_thread(check_failed, roost, code, status)
        served.fault.clear()
        built = await asyncio.to_thread(roost.json, "build")
    assert built["build"]["state"] == "succeeded"
    assert (Path(built["build"]["artifacts"][0]["path"]) / "share/dated.txt").read_text() == "3\n"


def test_a_package_that_fails_to_build(roost: Roost, pip_index: PipIndex) -> None:
    pip_index.add("broken", sdist_bytes("broken", "1.0", "/nowhere/at/all/trace"))
    roost.write("requirements.txt", "broken\n")
    check_failed(roost, "wheel-build-failed", 4)
    roost.write("requirements.txt", "")
    assert roost.json("build")["build"]["state"] == "succeeded"


@pytest.fixture
def small_roost(pip_index: PipIndex) -> Iterator[Roost]:
    """roost on a file system of 24 MB."""
    root = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24M", "tmpfs", str(root)], capture_output=True)
    if mounted.returncode != 0:
        root.rmdir()
        if os.environ.get("ROOST_TEST_REQUIRE_ALL") == "1":
            pytest.fail("ROOST_TEST_REQUIRE_ALL=1 and no right to mount a tmpfs")
        pytest.skip("no right to mount a tmpfs")
    made = Roost(root / "r", Path(tempfile.mkdtemp(prefix="w", dir="/tmp")))
    made.config.write_text(f'[pip]\nindex_url = "{pip_index.url}"\n')
    yield made
    made.end()
    subprocess.run(["umount", "-l", str(root)], check=True)
    root.rmdir()


@pytest.mark.parametrize("left", [0, 64 * 1024])
def test_a_full_disk_ends_the_build_and_not_the_daemon(small_roost: Roost, pip_index: PipIndex, left: int) -> None:
    pip_index.wheel("greet", "1.0")
    small_roost.write("requirements.txt", "greet\n")
    small_roost.ok("daemon", "start")
    daemon = small_roost.daemon_pid()
    filler = small_roost.root / "filler"
    with open(filler, "wb", buffering=0) as file:
        free = shutil.disk_usage(small_roost.root).free
        assert file.write(bytes(free - left)) <= free
    body = small_roost.failed(4, "build")
    assert body["code"] == "store-full", body
    filler.unlink()
    assert small_roost.daemon_pid() == daemon
    assert list((small_roost.root / "prefixes").iterdir()) == []
    assert small_roost.ok("run", "--", "python", "-c", "import greet; print(greet.value)").strip() == "1.0"
