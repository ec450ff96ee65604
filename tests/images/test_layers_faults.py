"""Layers under kill, cancellation, a full disk and company: nothing half is kept, and what is complete is not lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.images import engines as docker_parts
from tests.support.images.layers import Place, lock_of, make_channel, place

from roost.model.errors import StoreFullError
from roost.store.disk.layer_files import blob_path, find_stray_blobs, is_intact

CHILD = ["-m", "tests.support.images.layers_child"]
NAMES = [f"p{n}" for n in range(6)]


@pytest.fixture
async def forge(short_folder: Path) -> Path:
    """A channel of six small packages."""
    channel = short_folder / "forge"
    files = {f"{name}-1.0": {f"share/{name}": os.urandom(300_000), f"share/{name}.txt": name} for name in NAMES}
    await make_channel(channel, files)
    return channel


def child(root: Path, forge: Path, point: str = "") -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **({"ROOST_FAILPOINT": point} if point else {})}
    return subprocess.run(
        [sys.executable, *CHILD, str(root), str(forge), *NAMES], env=environ, capture_output=True, text=True, timeout=60
    )


async def assert_sound(there: Place) -> int:
    """Every row has its blob, every blob its row, nothing is staged; how many layers are kept."""
    layout, rows = there.store.layout, await there.store.index.layers.list_all()
    assert all(is_intact(layout, row, thorough=True) for row in rows)
    assert find_stray_blobs(layout, [row.digest for row in rows]) == []
    assert not list(Path(layout.stage).iterdir())
    return len(rows)


@pytest.mark.parametrize(
    ("point", "kept"), [("layer.staged", 0), ("layer.placed", 0), ("layer.synced:2", 1), ("layer.staged:4", None)]
)
async def test_killed_and_taken_up_again(short_folder: Path, forge: Path, point: str, kept: int | None) -> None:
    whole = child(short_folder / "whole", forge)
    assert whole.returncode == 0, whole.stderr
    killed = child(short_folder / "r", forge, point)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    async with place(short_folder / "r", forge) as there:
        found = await assert_sound(there)
        assert found >= 2 if kept is None else found <= kept
        before = {row.digest: Path(blob_path(there.store.layout, row.digest)).stat().st_ino for row in
                  await there.store.index.layers.list_all()}  # fmt: skip
        content = await there.write(lock_of(await there.solve(*NAMES)))
        assert [layer.diff_id for layer in content.layers] == whole.stdout.split()
        for digest, inode in before.items():
            assert Path(blob_path(there.store.layout, digest)).stat().st_ino == inode
        await assert_sound(there)


async def test_cancelled_at_any_moment(short_folder: Path, forge: Path) -> None:
    async with place(short_folder / "r", forge) as there:
        lock = lock_of(await there.solve(*NAMES))
        for wait in (0.0, 0.01, 0.03, 0.06, 0.1, 0.15):
            task = asyncio.ensure_future(there.write(lock))
            await asyncio.sleep(wait)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await assert_sound(there)
        content = await there.write(lock)
        assert await assert_sound(there) == len(content.layers)


async def test_two_at_once_keep_each_layer_once(short_folder: Path, forge: Path) -> None:
    async with place(short_folder / "r", forge) as there:
        packages = await there.solve(*NAMES)
        first, second, part = await asyncio.gather(
            there.write(lock_of(packages)), there.write(lock_of(packages)), there.write(lock_of(packages[:3]))
        )
        assert first == second
        assert {layer.digest for layer in part.layers[:-1]} & {layer.digest for layer in first.layers}
        await assert_sound(there)
        assert await there.write(lock_of(packages)) == first


@pytest.fixture
def small(short_folder: Path) -> Iterator[Path]:
    """A file system of 8 MiB of its own."""
    folder = short_folder / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        docker_parts.missing("mounting a small file system needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_is_said_so_and_what_is_complete_stays(short_folder: Path, small: Path, forge: Path) -> None:
    async with place(small / "r", forge) as there:
        packages = await there.solve(*NAMES)
        await there.write(lock_of(packages[:1]))
        await there.conda.stage(packages, str(small / "r/stage/warm"), "/opt/roost/env")  # the cache is full
        subprocess.run(["rm", "-rf", str(small / "r/stage/warm")], check=True)
        kept = await assert_sound(there)
        free = os.statvfs(small)
        (small / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - 600_000))
        with pytest.raises(StoreFullError):
            await there.write(lock_of(packages))
        assert await assert_sound(there) >= kept
        (small / "filler").unlink()
        content = await there.write(lock_of(packages))
        assert await assert_sound(there) >= len(content.layers)
