"""Unpacked wheels are checked once: while uv works, or else before their prefix is sealed."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from roost.daemon.engines.uv.unpacked.checks import UnpackedChecks, UnpackedFaultsError, check_beside
from roost.daemon.engines.uv.unpacked.content import read_state
from roost.daemon.engines.uv.unpacked.record import encode_digest
from roost.daemon.jobs.progress import Silent


class Cache:
    """uv's cache, and the marks of what was checked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.marks = folder / "cache", folder / "marks"

    def checks(self, *names: str) -> UnpackedChecks:
        return UnpackedChecks(str(self.folder), str(self.marks), names, 1 << 20)

    def unpack(self, name: str, *, is_true: bool = True) -> Path:
        """Put a wheel of one module into the cache, whose RECORD is true or not; return the module."""
        beside, archive = self.folder / f".tmp{name}", self.folder / "archive-v0" / f"id-{name}"
        info = beside / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (beside / f"{name}.py").write_text("x = 1\n")
        os.utime(beside / f"{name}.py", (1e9, 1e9))
        digest = encode_digest(hashlib.sha256(b"x = 1\n" if is_true else b"").digest())
        (info / "RECORD").write_text(f"{name}.py,sha256={digest},6\n{info.name}/RECORD,,\n")
        archive.parent.mkdir(exist_ok=True)
        beside.rename(archive)
        return archive / f"{name}.py"

    def checked(self) -> set[str]:
        return set(os.listdir(self.marks)) if self.marks.exists() else set()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def test_what_is_new_is_checked_and_its_content_is_known(cache: Cache) -> None:
    cache.unpack("former")
    checks = cache.checks("former", "some")
    module = cache.unpack("some")
    cache.unpack("foreign")
    checks.check_new()
    assert cache.checked() == set()
    checks.check_new()
    assert cache.checked() == {"id-some"}
    assert checks.content == {read_state(module.stat()): hashlib.sha256(b"x = 1\n").hexdigest()}


def test_what_was_checked_is_not_read_again(cache: Cache) -> None:
    checks = cache.checks("some", "other")
    module = cache.unpack("some")
    for _ in range(2):
        checks.check_new()
    checks.content.clear()
    other = cache.unpack("other")
    checks.check_all(Silent())
    assert read_state(module.stat()) not in checks.content
    assert read_state(other.stat()) in checks.content
    assert cache.checked() == {"id-some", "id-other"}


def test_what_is_wrong_is_reported_at_the_end(cache: Cache) -> None:
    checks = cache.checks("some")
    cache.unpack("some", is_true=False)
    for _ in range(3):
        checks.check_new()
    assert cache.checked() == set()
    with pytest.raises(UnpackedFaultsError) as raised:
        checks.check_all(Silent())
    assert raised.value.packages == ["some"]
    assert cache.checked() == set()


def test_marks_of_what_is_gone_are_removed(cache: Cache) -> None:
    cache.marks.mkdir()
    (cache.marks / "id-gone").touch()
    cache.checks().check_all(Silent())
    assert cache.checked() == set()


async def test_a_wheel_is_checked_while_others_are_fetched(cache: Cache) -> None:
    async def install() -> str:
        cache.unpack("some")
        while not cache.checked():
            await asyncio.sleep(0.01)
        return "installed"

    assert await check_beside(install(), cache.checks("some")) == "installed"


async def test_a_failure_and_a_cancellation_end_the_installation(cache: Cache) -> None:
    ended, begun = asyncio.Event(), asyncio.Event()

    async def fail() -> None:
        raise ValueError("it failed")

    async def wait() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(ValueError, match="it failed"):
        await check_beside(fail(), cache.checks())
    task = asyncio.create_task(check_beside(wait(), cache.checks()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
