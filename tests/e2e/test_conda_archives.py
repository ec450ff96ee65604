"""Conda packages as files: fetched from a channel that may hang, lie or lack them, stored, and linked without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.conda_tools import close_workers, engine, http_channel, solve

from roost.daemon.engines.conda.errors import (
    ChannelRefusedError,
    ChannelUnreachableError,
    PackageDigestMismatchError,
    PackageMissingError,
)
from roost.daemon.jobs.progress import Silent


@pytest.fixture(autouse=True)
async def workers_end() -> AsyncIterator[None]:
    yield
    await close_workers()


async def test_what_a_channel_does_wrong_is_named_and_leaves_nothing(short_folder: Path, channels_folder: Path) -> None:
    async with http_channel(channels_folder) as served:
        mirrors = {"conda-forge": [served.url + "/conda-forge"]}
        conda = engine(short_folder, channels_folder, mirrors=mirrors, idle_timeout=0.5, retries=0)
        packages = await solve(conda, "dated", "wants-glibc")
        stored = Path(conda.archives.path(packages[0])).parents[1]
        for fault, expected in (
            ("refuse", ChannelRefusedError),
            ("stall", ChannelUnreachableError),
            ("truncate", ChannelUnreachableError),
            ("lie", PackageDigestMismatchError),
        ):
            served.fault = {"dated-3.0": fault}
            with pytest.raises(expected) as caught:
                await conda.fetch_archives(packages, progress=Silent(), credentials={})
            assert "dated-3.0" in caught.value.message or fault == "stall", (fault, caught.value.message)
            assert [each.name for each in stored.glob("*/dated*")] == []
            assert [each.name for each in stored.glob(".*")] == [], fault
            served.released.set()
        served.fault = {}
        found = await conda.fetch_archives(packages, progress=Silent(), credentials={})
        assert found == {package.sha256: conda.archives.path(package) for package in packages}
        served.requests.clear()
        assert await conda.fetch_archives(packages, progress=Silent(), credentials={}) == found
        assert served.requests == []
        served.folder = short_folder / "empty"
        await conda.link(packages, str(short_folder / "a"))
        assert served.requests == []
        other = engine(short_folder / "x", channels_folder, mirrors=mirrors, retries=0)
        with pytest.raises(PackageMissingError, match=r"dated-3\.0|wants-glibc"):
            await other.fetch_archives(packages, progress=Silent(), credentials={})
    assert (short_folder / "a/share/dated.txt").read_text() == "3\n"
    (record,) = (short_folder / "a/conda-meta").glob("dated-*.json")
    assert str(short_folder / "cache/archives") not in record.read_text()


async def test_a_damaged_file_is_not_used(short_folder: Path, channels_folder: Path) -> None:
    """Neither for linking nor for a bundle: it is fetched again."""
    async with http_channel(channels_folder) as served:
        mirrors = {"conda-forge": [served.url + "/conda-forge"]}
        conda = engine(short_folder, channels_folder, mirrors=mirrors)
        (package,) = await solve(conda, "dated")
        (path,) = (await conda.fetch_archives([package], progress=Silent(), credentials={})).values()
        for _ in range(2):
            Path(path).write_bytes(b"x" * Path(path).stat().st_size)
            assert conda.archives.contains(package.sha256, package.file_name, Path(path).stat().st_size)
            assert conda.archives.find(package) is None
            await conda.fetch_archives([package], progress=Silent(), credentials={})
        Path(path).write_bytes(b"x")
        await conda.link([package], str(short_folder / "a"))
    assert (short_folder / "a/share/dated.txt").read_text() == "3\n"
    assert not Path(path).exists()
