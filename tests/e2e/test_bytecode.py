"""Byte-code is compiled once for a package, valid wherever it is linked, and never stands in a build's way."""

from __future__ import annotations

import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.bytecode_prefix import complete_prefix
from tests.support.conda_tools import close_workers, engine, lock_of, run, solve

from roost.daemon.jobs.progress import Silent
from roost.daemon.prefixes.bytecode import link_or_copy, link_stored, python_tag
from roost.model.locks.lock import HostPython, Lock, Wheel

SITE = "lib/python3.11/site-packages"
# What an import has to compile it asks this for; the files' own byte-code is loaded without it.
COUNT = (
    "import sys, importlib._bootstrap_external as e; compiled = []; real = e.SourceLoader.source_to_code;"
    "note = lambda self, data, path, **kw: (compiled.append(path), real(self, data, path, **kw))[1];"
    "e.SourceLoader.source_to_code = note;"
    "import joblib, six, greeting; print([p for p in compiled if 'site-packages' in p], joblib.__version__)"
)


@pytest.fixture(autouse=True)
async def workers_end() -> AsyncIterator[None]:
    yield
    await close_workers()


async def linked(short_folder: Path, channels_folder: Path, *names: str) -> tuple[Lock, list[Path], str]:
    conda = engine(short_folder, channels_folder)
    packages = await solve(conda, "python=3.11", "joblib", "six=1.16", "greeting")
    prefixes = [short_folder / name for name in names]
    for prefix in prefixes:
        await conda.link(packages, str(prefix))
    return lock_of(packages), prefixes, str(short_folder / "bytecode")


async def compiled(prefix: Path, lock: Lock, store: str) -> int:
    """Link what is stored, as before a prefix is ready, and compile the rest, as after it."""
    _, is_due = await link_stored(str(prefix), str(prefix / "bin/python"), lock, store, Silent())
    count = await complete_prefix(prefix, lock, store)
    assert is_due == (count > 0)
    return count


async def test_compiled_once_and_valid_in_every_prefix(short_folder: Path, channels_folder: Path) -> None:
    lock, (first, second), store = await linked(short_folder, channels_folder, "a", "b")
    assert await compiled(first, lock, store) > 70
    assert await compiled(second, lock, store) == 0
    name = f"{SITE}/__pycache__/six.cpython-311.pyc"
    assert os.path.samefile(first / name, second / name)
    for prefix in (first, second):
        before = set(prefix.rglob("*.pyc"))
        assert run(prefix, "python", "-c", COUNT) == "[] 1.4.2"
        assert set(prefix.rglob("*.pyc")) == before


async def test_an_edit_in_place_is_noticed(short_folder: Path, channels_folder: Path) -> None:
    lock, (prefix,), store = await linked(short_folder, channels_folder, "a")
    await compiled(prefix, lock, store)
    six = prefix / SITE / "six.py"
    six.write_text(six.read_text() + "\nEDITED = True\n")
    assert run(prefix, "python", "-c", "import six; print(six.EDITED)") == "True"


async def test_what_does_not_compile_is_left_and_remembered(short_folder: Path, channels_folder: Path) -> None:
    lock, (first, second), store = await linked(short_folder, channels_folder, "a", "b")
    await compiled(first, lock, store)
    assert (first / SITE / "greeting/template.py").read_text() == "this is {no} Python\n"
    assert not (first / SITE / "greeting/__pycache__/template.cpython-311.pyc").exists()
    assert (first / SITE / "greeting/__pycache__/__init__.cpython-311.pyc").exists()
    assert await compiled(second, lock, store) == 0
    assert not list(Path(store).glob("late-*"))


async def test_a_source_with_another_time_is_compiled_again(short_folder: Path, channels_folder: Path) -> None:
    lock, (first, second), store = await linked(short_folder, channels_folder, "a", "b")
    await compiled(first, lock, store)
    six = second / SITE / "six.py"
    text = six.read_text()
    six.unlink()  # a copy, as on another file system
    six.write_text(text)
    assert await compiled(second, lock, store) == 1
    assert run(second, "python", "-c", COUNT) == "[] 1.4.2"
    assert run(first, "python", "-c", COUNT) == "[] 1.4.2"


async def test_a_torn_file_in_the_store_is_not_used(short_folder: Path, channels_folder: Path) -> None:
    lock, (first, second), store = await linked(short_folder, channels_folder, "a", "b")
    await compiled(first, lock, store)
    (kept,) = Path(store).glob("*/__pycache__/six.cpython-311.pyc")
    kept.unlink()
    kept.write_bytes(b"\0" * 5)
    assert await compiled(second, lock, store) == 1
    assert run(second, "python", "-c", COUNT) == "[] 1.4.2"


async def test_a_python_that_does_not_run_fails_nothing(short_folder: Path, channels_folder: Path) -> None:
    lock, (prefix,), store = await linked(short_folder, channels_folder, "a")
    broken = short_folder / "broken"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert await link_stored(str(prefix), str(broken), lock, store, Silent()) == ("", False)
    assert await python_tag(str(prefix / "bin/python")) == "cpython-311-a70d0d0a"


async def test_wheels_too(short_folder: Path, channels_folder: Path) -> None:
    conda = engine(short_folder, channels_folder)
    packages = await solve(conda, "python=3.11")
    (wheel,) = (channels_folder.parent / "wheels").glob("joblib-*.whl")
    item = Wheel(name="joblib", version="1.4.2", file_name=wheel.name, sha256="1" * 64)
    counts = []
    for name in "ab":
        prefix = short_folder / name
        await conda.link(packages, str(prefix))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(prefix / SITE)
        for path in (prefix / SITE / "joblib").rglob("*.py"):
            os.utime(path, (1_700_000_000, 1_700_000_000))
        lock = Lock(platform="linux-64", provider=HostPython(version="3.11.7", executable="/x"), wheels=(item,))
        counts.append(await compiled(prefix, lock, str(short_folder / "bytecode")))
    assert counts[0] > 50
    assert counts[1] == 0


def test_links_fall_back_to_copies(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may have as many names as its file system allows (65,000 on ext4)."""
    (short_folder / "a").write_text("content")

    def refuse(*_: object) -> None:
        raise OSError(31, "Too many links")

    monkeypatch.setattr(os, "link", refuse)
    link_or_copy(str(short_folder / "a"), str(short_folder / "b"))
    assert (short_folder / "b").read_text() == "content"
