"""What unpacks to more than the bound is stopped, and what it left is deleted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from roost.daemon.jobs import unpacking
from roost.daemon.jobs.unpacking import UnpackedTooLargeError, exceeds, run_with_bound


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "LOOK_SECONDS", 0.01)


async def test_an_archive_that_never_ends_is_stopped_and_deleted(tmp_path: Path) -> None:
    folder, ended = tmp_path / ".tmp1", asyncio.Event()

    async def unpack() -> None:
        (folder / "zeros-1.0.dist-info").mkdir(parents=True)
        try:
            for number in range(10**9):
                (folder / str(number)).write_bytes(bytes(10_000))
                await asyncio.sleep(0.001)
        finally:
            (folder / "last").write_text("written while it was ended")
            ended.set()

    with pytest.raises(UnpackedTooLargeError) as caught:
        await run_with_bound(unpack(), lambda: map(str, tmp_path.glob(".tmp*")), 300_000)
    assert ended.is_set()
    assert caught.value.code == "package-too-large"
    assert "more than 300,000 bytes" in caught.value.message
    assert "zeros-1.0.dist-info" in caught.value.message
    assert "unpacked_bytes" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


async def test_results_and_errors_pass_and_other_folders_stay(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(1_000_000))

    async def work() -> str:
        await asyncio.sleep(0.05)
        return "done"

    async def fail() -> None:
        await asyncio.sleep(0.05)
        raise ValueError

    assert await run_with_bound(work(), list, 10) == "done"
    assert await run_with_bound(work(), lambda: [str(tmp_path / "gone")], 10) == "done"
    with pytest.raises(ValueError):  # noqa: PT011 - any
        await run_with_bound(fail(), list, 10)
    assert (tmp_path / "large").exists()


async def test_a_cancelled_caller_waits_for_the_end_of_the_work() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            await asyncio.sleep(0)
            ended.set()

    task = asyncio.create_task(run_with_bound(work(), list, 10))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


@pytest.mark.parametrize(("sizes", "limit", "too_large"), [((5, 5), 10**6, False), ((600_000, 600_000), 10**6, True)])
def test_sizes_are_added_up(tmp_path: Path, sizes: tuple[int, ...], limit: int, too_large: bool) -> None:
    for number, size in enumerate(sizes):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "file").write_bytes(bytes(size))
    assert exceeds(str(tmp_path), limit) is too_large


def test_sparse_files_count_by_their_size(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**12)
    assert exceeds(str(tmp_path), 10**9)
