"""A cache that was changed, and channels that hang, break off, refuse or lie: a clear error, and the next try works."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from tests.support.conda_tools import close_workers, engine, http_channel, run, solve, wait_until

from roost.daemon.credentials.auth_files import AuthFileError
from roost.daemon.engines.conda.cache import CacheGate
from roost.daemon.engines.conda.engine import CondaEngine
from roost.daemon.engines.conda.errors import (
    ChannelRefusedError,
    ChannelUnreachableError,
    MachineLacksError,
    PackageDigestMismatchError,
    PackageMissingError,
)
from roost.daemon.engines.conda.platforms import baseline_packages
from roost.model.locks.lock import CondaPackage


@pytest.fixture(autouse=True)
async def workers_end() -> AsyncIterator[None]:
    yield
    await close_workers()


@pytest.fixture(autouse=True)
def nothing_blocks() -> Iterator[None]:
    """A blocking call of ours in the event loop fails the test."""
    with blockbuster_ctx(["roost.daemon", "roost.store"]) as detector:
        detector.functions["os.path.abspath"].deactivate()  # of an absolute path it asks the system nothing
        yield


def cached(conda: CondaEngine, pattern: str) -> Path:
    (found,) = Path(conda.packages_dir).glob(pattern)
    return found


async def linked(conda: CondaEngine, prefix: Path, *specs: str) -> list[CondaPackage]:
    packages = await solve(conda, *specs)
    await conda.link(packages, str(prefix))
    return packages


async def test_an_edit_in_place_is_noticed_by_the_next_link(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    packages = await linked(conda, short_folder / "a", "python=3.11", "six=1.16")
    await conda.link(packages, str(short_folder / "b"))
    edited, sibling = (short_folder / name / "lib/python3.11/site-packages/six.py" for name in "ab")
    good = edited.read_text()
    with open(edited, "a") as stream:
        stream.write("\nBROKEN = 1\n")
    assert "BROKEN" in sibling.read_text()  # they share an inode, and the cache has it too
    await conda.link(packages, str(short_folder / "c"))
    assert (short_folder / "c/lib/python3.11/site-packages/six.py").read_text() == good
    assert cached(conda, "six-*/site-packages/six.py").read_text() == good
    assert run(short_folder / "c", "python", "-c", "import six; print(hasattr(six, 'BROKEN'))") == "False"


async def test_mending_reads_what_size_and_time_hide(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    packages = await linked(conda, short_folder / "a", "python=3.11", "six=1.16", "dated")
    path = cached(conda, "six-*/site-packages/six.py")
    good, status = path.read_bytes(), path.stat()
    path.write_bytes(good.replace(b"Benjamin", b"Nimajneb"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert await conda.repair_cache(packages) == ["six"]
    assert not path.exists()
    assert await conda.repair_cache(packages) == []
    await conda.link(packages, str(short_folder / "b"))
    assert (short_folder / "b/lib/python3.11/site-packages/six.py").read_bytes() == good


@pytest.mark.parametrize("damage", ["missing", "truncated", "no-index", "no-list", "folder"])
async def test_a_damaged_cache_is_fetched_anew(short_folder: Path, channels_folder: Path, damage: str) -> None:
    conda = engine(short_folder, channels_folder)
    packages = await linked(conda, short_folder / "a", "dated")
    path = cached(conda, "dated-*/share/dated.txt")
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_text("")
    elif damage == "folder":
        shutil.rmtree(path.parent.parent)
    else:
        name = "index.json" if damage == "no-index" else "paths.json"
        (path.parent.parent / "info" / name).write_text("{" if damage == "no-list" else "")
    await conda.link(packages, str(short_folder / "b"))
    assert (short_folder / "b/share/dated.txt").read_text() == "3\n"


async def test_leftovers_of_a_killed_extraction_are_swept(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    await linked(conda, short_folder / "a", "dated")
    left = Path(conda.packages_dir) / ".numpy-2.1.3-py311_0abcdef"
    (left / "lib").mkdir(parents=True)
    half = short_folder / "bytecode" / "stage-abc"
    half.mkdir(parents=True)
    again = engine(short_folder, channels_folder)
    assert not left.exists()
    assert not half.exists()
    assert cached(again, "dated-*/share/dated.txt").exists()


async def test_a_package_whose_own_list_is_wrong_still_links(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    packages = await linked(conda, short_folder / "a", "wrong-sum")
    assert await conda.repair_cache(packages) == ["wrong-sum"]
    await conda.link(packages, str(short_folder / "b"))
    assert (short_folder / "b/share/wrong-sum.txt").exists()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("lie", PackageDigestMismatchError),
        ("truncate", ChannelUnreachableError),
        ("stall", ChannelUnreachableError),
        ("hang", ChannelUnreachableError),
        ("refuse", ChannelRefusedError),
    ],
)
async def test_a_channel_fails_while_packages_are_fetched(
    short_folder: Path, channels_folder: Path, fault: str, expected: type[Exception]
) -> None:
    async with http_channel(channels_folder) as served:
        mirrors = {"conda-forge": [served.url + "/conda-forge"]}
        conda = engine(short_folder, channels_folder, mirrors=mirrors, idle_timeout=1.0, retries=0)
        packages = await solve(conda, "dated", "wants-glibc")
        served.fault = {"dated-3.0": fault}
        started = time.monotonic()
        with pytest.raises(expected) as caught:
            await conda.link(packages, str(short_folder / "a"))
        assert time.monotonic() - started < 20
        assert caught.value.hint  # type: ignore[attr-defined]
        assert not list(Path(conda.packages_dir).glob("dated-*/info/index.json"))
        served.fault = {}
        await conda.link(packages, str(short_folder / "b"))
    assert (short_folder / "b/share/dated.txt").read_text() == "3\n"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("lie", ChannelUnreachableError),
        ("truncate", ChannelUnreachableError),
        ("hang", ChannelUnreachableError),
        ("refuse", ChannelRefusedError),
    ],
)
async def test_a_channel_fails_while_its_index_is_read(
    short_folder: Path, channels_folder: Path, fault: str, expected: type[Exception]
) -> None:
    async with http_channel(channels_folder) as served:
        mirrors = {"conda-forge": [served.url + "/conda-forge"]}
        conda = engine(short_folder, channels_folder, mirrors=mirrors, index_timeout=1.0, retries=0)
        served.fault = {"repodata": fault}
        with pytest.raises(expected):
            await solve(conda, "dated")
        served.fault = {}
        assert await solve(conda, "dated")


async def test_a_channel_that_is_not_there(short_folder: Path, channels_folder: Path) -> None:
    mirrors = {"conda-forge": ["http://127.0.0.1:9/conda-forge"]}
    conda = engine(short_folder, channels_folder, mirrors=mirrors, retries=0)
    with pytest.raises(ChannelUnreachableError) as caught:
        await solve(conda, "dated")
    assert caught.value.retryable


async def test_a_folder_that_lies_is_found_out(short_folder: Path, channels_folder: Path) -> None:
    """rattler checks what it downloads, and takes a package from a folder as it is."""
    copy = short_folder / "conda-forge"
    shutil.copytree(channels_folder / "conda-forge/noarch", copy / "noarch")
    (copy / "linux-64").mkdir()
    shutil.copy(channels_folder / "conda-forge/linux-64/repodata.json", copy / "linux-64")
    conda = engine(short_folder, channels_folder, mirrors={"conda-forge": [copy.as_uri()]})
    packages = await solve(conda, "dated")
    shutil.copy(copy / "noarch/dated-2.0-0.conda", copy / "noarch/dated-3.0-0.conda")
    with pytest.raises(PackageDigestMismatchError, match=r"dated-3\.0-0\.conda"):
        await conda.link(packages, str(short_folder / "a"))
    (copy / "noarch/dated-3.0-0.conda").unlink()
    with pytest.raises(PackageMissingError, match=r"dated-3\.0-0\.conda"):
        await conda.link(packages, str(short_folder / "b"))


async def test_cancelling_ends_downloads_and_solves_at_once(short_folder: Path, channels_folder: Path) -> None:
    async with http_channel(channels_folder) as served:
        conda = engine(short_folder, channels_folder, mirrors={"conda-forge": [served.url + "/conda-forge"]})
        packages = await solve(conda, "dated", "wants-glibc")
        served.requests.clear()
        for part, work in (
            ("dated-3.0", conda.link(packages, str(short_folder / "a"))),
            ("repodata", solve(engine(short_folder / "x", channels_folder, mirrors=conda.config.mirrors), "dated")),
        ):
            served.fault = {part: "hang"}
            task = asyncio.ensure_future(work)
            await wait_until(lambda part=part: any(part in request.path for request in served.requests))
            assert not task.done()
            started = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - started < 20, "the shortest time-out is a minute"
        served.fault = {}
        await conda.link(packages, str(short_folder / "b"))
    assert (short_folder / "b/share/dated.txt").exists()


async def test_a_cancelled_link_writes_no_more_when_it_returns(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    packages = await linked(conda, short_folder / "a", "python=3.11", "numpy", "pandas")
    for number, delay in enumerate((0.05, 0.1, 0.2)):
        prefix = short_folder / f"p{number}"
        task = asyncio.ensure_future(conda.link(packages, str(prefix)))
        await asyncio.sleep(delay)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            before = sum(len(files) for _, _, files in os.walk(prefix))
            await asyncio.sleep(0.3)
            assert sum(len(files) for _, _, files in os.walk(prefix)) == before
    await conda.link(packages, str(short_folder / "b"))
    assert run(short_folder / "b", "python", "-c", "import pandas; print(pandas.__version__)") == "2.2.3"


async def test_dropping_waits_for_who_links() -> None:
    gate, order = CacheGate(), []

    async def link(name: str) -> None:
        async with gate.shared():
            order.append(f"{name} starts")
            await asyncio.sleep(0.1)
            order.append(f"{name} ends")

    async def drop() -> None:
        await asyncio.sleep(0.05)
        async with gate.exclusive():
            order.append("drop")

    await asyncio.gather(link("a"), link("b"), drop())
    assert order == ["a starts", "b starts", "a ends", "b ends", "drop"]


async def test_another_mirror_is_taken_when_one_fails(short_folder: Path, channels_folder: Path) -> None:
    async with http_channel(channels_folder) as served:
        mirrors = {"conda-forge": ["http://127.0.0.1:9/conda-forge", served.url + "/conda-forge"]}
        conda = engine(short_folder, channels_folder, mirrors=mirrors, retries=3)
        packages = await solve(conda, "dated")
        await conda.link(packages, str(short_folder / "a"))
    assert (short_folder / "a/share/dated.txt").read_text() == "3\n"


async def test_a_mirror_folder_that_is_gone_is_passed_over(short_folder: Path, channels_folder: Path) -> None:
    mirrors = {"conda-forge": ["file:///nowhere/at/all", (channels_folder / "conda-forge").as_uri()]}
    (package,) = await solve(engine(short_folder, channels_folder, mirrors=mirrors), "dated")
    assert package.url.startswith("https://conda.anaconda.org/conda-forge/")


async def test_this_machine_is_checked_without_regard_to_overrides(
    short_folder: Path, channels_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conda = engine(short_folder, channels_folder)
    await conda.check_machine(baseline_packages("linux-64", {}))
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "99.0")
    monkeypatch.setenv("CONDA_OVERRIDE_GLIBC", "99.0")
    with pytest.raises(MachineLacksError, match="__cuda 99"):
        await conda.check_machine(baseline_packages("linux-64", {"cuda": "99"}))
    with pytest.raises(MachineLacksError, match="__glibc 99"):
        await conda.check_machine(baseline_packages("linux-64", {"glibc": "99"}))


async def test_an_auth_file_is_sent_and_a_bad_one_named(short_folder: Path, channels_folder: Path) -> None:
    auth = short_folder / "auth.json"
    auth.write_text('{"127.0.0.1": {"BearerToken": "tok-en"}}')
    async with http_channel(channels_folder) as served:
        mirrors = {"conda-forge": [served.url + "/conda-forge"]}
        await solve(engine(short_folder / "a", channels_folder, mirrors=mirrors, auth_file=str(auth)), "dated")
        assert {request.headers.get("Authorization") for request in served.requests} == {"Bearer tok-en"}
    auth.write_text('{"127.0.0.1": "tok-en"}')
    for path in (auth, short_folder / "nothing"):
        with pytest.raises(AuthFileError) as caught:
            await solve(engine(short_folder / "b", channels_folder, auth_file=str(path)), "dated")
        assert str(path) in caught.value.message
        assert "tok-en" not in caught.value.message
