"""Prefixes linked from real packages: they run where they lie, and share their files with the cache."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from tests.support.conda_tools import FORGE, close_workers, engine, named, run, solve, wait_until

from roost.daemon.engines.conda.errors import PostLinkError


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


class Recorder:
    """A ``Progress`` that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []
        self.lines: list[str] = []

    def start(self, step: str, total: int | None = None) -> None:
        self.heard.append(("start", step, total))

    def advance(self, step: str, done: int, total: int | None = None) -> None:
        self.heard.append(("advance", step, done, total))

    def finish(self, step: str) -> None:
        self.heard.append(("finish", step))

    def log(self, line: str) -> None:
        self.lines.append(line)

    def note(self, line: str) -> None:
        self.lines.append(f"note: {line}")


@pytest.mark.parametrize(("python", "numpy"), [("3.11", "1.26.4"), ("3.12", "2.1.3")])
async def test_python_and_numpy_run_where_they_lie(
    short_folder: Path, channels_folder: Path, python: str, numpy: str
) -> None:
    conda = engine(short_folder, channels_folder)
    packages = await solve(conda, f"python={python}", f"numpy={numpy}", "placed", "greeting")
    prefix = short_folder / "p"
    await conda.link(packages, str(prefix))
    code = (
        "import sys, numpy, ssl, sqlite3, ctypes, lzma, bz2, zlib, readline, hashlib, json;"
        "maps = {line.split()[-1] for line in open('/proc/self/maps') if '.so' in line};"
        "print(json.dumps([sys.version.split()[0], sys.prefix, numpy.__version__, float(numpy.ones((9, 9)).dot("
        "numpy.ones(9)).sum()), sorted(maps)]))"
    )
    version, where, numpy_version, total, libraries = json.loads(run(prefix, "python", "-c", code))
    assert version.startswith(python)
    assert (where, numpy_version, total) == (str(prefix), numpy, 81.0)
    ours = [path for path in libraries if "python" in path or "ssl" in path or "sqlite" in path]
    assert ours
    assert all(path.startswith(str(prefix)) for path in ours), ours
    assert run(prefix, "placed") == str(prefix)
    assert run(prefix, "greet") == run(prefix, "greeting-script") == "hello from greeting"
    assert (prefix / "share/placed/config.ini").read_text() == f"[placed]\nhome = {prefix}/share/placed\n"
    binary = (prefix / "share/placed/blob.bin").read_bytes()
    assert binary.startswith(b"BIN\0" + f"{prefix}/share/placed\0".encode())
    assert binary.endswith(bytes(range(256)))
    assert len(binary) == len(b"BIN\0") + 252 + len(b"/share/placed\0tail\0") + 256


async def test_files_are_hard_links_and_records_are_canonical(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    packages = await solve(conda, "python=3.11", "six")
    prefix = short_folder / "p"
    await conda.link(packages, str(prefix))
    (six,) = prefix.glob("lib/python3.11/site-packages/six.py")
    (cached,) = Path(conda.packages_dir).glob("six-*/site-packages/six.py")
    assert os.path.samefile(six, cached)
    for package in packages:
        meta = json.loads((prefix / f"conda-meta/{package.name}-{package.version}-{package.build}.json").read_text())
        assert meta["url"] == package.url
        assert meta["channel"] == FORGE + "/"
        assert meta["sha256"] == package.sha256
    history = (prefix / "conda-meta/history").read_text()
    assert all(f"+{FORGE}/{p.subdir}::{p.name}-{p.version}-{p.build}\n" in history for p in packages)


async def test_pip_and_conda_are_kept_out_with_a_word(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    prefix = short_folder / "p"
    await conda.link(await solve(conda, "python=3.11", "pip"), str(prefix))
    with pytest.raises(AssertionError, match="roost build"):
        run(prefix, "pip", "install", "--no-index", "six")
    assert "roost build" in json.loads((prefix / "conda-meta/frozen").read_text())["message"]


async def test_post_link_scripts_run_in_the_activated_prefix(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    prefix, progress = short_folder / "p", Recorder()
    await conda.link(await solve(conda, "post-linked", "activated"), str(prefix), progress=progress)  # type: ignore[arg-type]
    assert (prefix / "share/post-linked.txt").read_text() == f"{prefix}|post-linked|1.2|0\n"
    assert "note: post-linked: post-linked says hello" in progress.lines
    assert not (prefix / ".messages.txt").exists()


async def test_a_failing_post_link_script_fails_the_link(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    with pytest.raises(PostLinkError, match="no luck") as caught:
        await conda.link(await solve(conda, "post-link-fails"), str(short_folder / "p"))
    assert caught.value.fields == {"package": "post-link-fails", "status": 3}


async def test_a_cancelled_post_link_script_is_killed(short_folder: Path, channels_folder: Path) -> None:
    from roost.daemon.engines.conda.scripts import run_captured

    child = short_folder / "child"
    script = f"sleep 600 & echo $! >{child}; wait"
    task = asyncio.ensure_future(run_captured(["sh", "-c", script], "/", {"PATH": "/usr/bin:/bin"}))
    await wait_until(lambda: child.exists() and child.read_text().endswith("\n"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    status = Path(f"/proc/{int(child.read_text())}/stat")
    await wait_until(lambda: not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z")


async def test_progress_counts_packages(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    packages = await solve(conda, "python=3.11")
    first, second = Recorder(), Recorder()
    await conda.link(packages, str(short_folder / "a"), progress=first)  # type: ignore[arg-type]
    await conda.link(packages, str(short_folder / "b"), progress=second)  # type: ignore[arg-type]
    size = sum(package.size for package in packages)
    assert ("start", "download", size) in first.heard
    assert ("advance", "link", len(packages), len(packages)) in first.heard
    assert not [item for item in second.heard if item[1] == "download"]
    assert second.heard[-1] == ("finish", "link")


async def test_two_links_at_once_share_the_cache(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    packages = await solve(conda, "python=3.11", "six", "pytz")
    prefixes = [short_folder / name for name in "abc"]
    await asyncio.gather(*(conda.link(packages, str(prefix)) for prefix in prefixes))
    for prefix in prefixes:
        assert run(prefix, "python", "-c", "import six, pytz; print(pytz.__version__)") == "2024.2"


async def test_a_package_of_the_same_name_and_other_content_is_not_mistaken(
    short_folder: Path, channels_folder: Path
) -> None:
    """rattler's cache has one folder for a name, version and build, whatever channel it came from."""
    (short_folder / "other/noarch").mkdir(parents=True)
    url = f"file://{short_folder}/other/noarch/dated-1.0-0.conda"
    source = channels_folder / "conda-forge/noarch/dated-1.0-0.conda"
    (short_folder / "other/noarch/dated-1.0-0.conda").write_bytes(source.read_bytes() + b"\0")
    conda = engine(short_folder, channels_folder)
    (ours,) = await conda.resolve_explicit([f"{FORGE}/noarch/dated-1.0-0.conda"], "linux-64")
    (theirs,) = await conda.resolve_explicit([url], "linux-64")
    assert ours.sha256 != theirs.sha256
    for number, package in enumerate([ours, theirs, ours]):
        prefix = short_folder / str(number)
        await conda.link([package], str(prefix))
        meta = json.loads((prefix / "conda-meta/dated-1.0-0.json").read_text())
        assert (meta["sha256"], meta["url"]) == (package.sha256, package.url)
        assert (prefix / "share/dated.txt").read_text() == "1\n"


async def test_another_platforms_packages_can_be_linked(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    packages = await solve(conda, "python", platform="linux-aarch64")
    await conda.link(packages, str(short_folder / "p"))
    assert named(packages) == {"python": "3.11.0"}
    assert (short_folder / "p/lib/readme.txt").read_text() == "no Python for linux-aarch64\n"
