"""Byte-code in layers: what is missing is made, what is stale is replaced or left out, what is right is kept."""

from __future__ import annotations

import importlib.util
import marshal
import os
import platform
import py_compile
import sys
from pathlib import Path
from types import CodeType

import pytest

from roost.daemon.layers.bytecode import Compiler, add_bytecode, find_compiler
from roost.daemon.layers.tar import FIXED_TIME, LayerEntry

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
TAG = f"cpython-{sys.version_info[0]}{sys.version_info[1]}"
SITE = f"opt/roost/env/lib/python{MINOR}/site-packages"
COMPILER = Compiler(executable=sys.executable, version=platform.python_version())
ARCHIVED = 1_600_000_000
MODES = py_compile.PycInvalidationMode


def source(folder: Path, name: str, text: str, time: int = ARCHIVED) -> LayerEntry:
    path = folder / name
    path.write_text(text)
    os.utime(path, (time, time))
    return LayerEntry(name=f"{SITE}/{name}", source=str(path), time=time)


def shipped(folder: Path, entry: LayerEntry, mode: py_compile.PycInvalidationMode = MODES.TIMESTAMP) -> LayerEntry:
    stem = entry.name.rpartition("/")[2].removesuffix(".py")
    path = folder / f"{stem}.shipped"
    py_compile.compile(entry.source, str(path), invalidation_mode=mode)
    return LayerEntry(name=f"{SITE}/__pycache__/{stem}.{TAG}.pyc", source=str(path), time=entry.time)


def by_name(entries: list[LayerEntry]) -> dict[str, LayerEntry]:
    return {entry.name.rpartition("/")[2]: entry for entry in entries}


async def test_missing_byte_code_is_made_valid_by_its_source(tmp_path: Path) -> None:
    entries = [source(tmp_path, "a.py", "x = 1\n"), source(tmp_path, "broken.py", "this is {no} Python\n")]
    found = by_name(await add_bytecode(entries, COMPILER, str(tmp_path / "b")))
    assert found.keys() == {"a.py", "broken.py", f"a.{TAG}.pyc"}
    data = Path(found[f"a.{TAG}.pyc"].source).read_bytes()
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert data[4:8] == b"\x01\0\0\0"
    assert data[8:16] == importlib.util.source_hash(b"x = 1\n")
    code = marshal.loads(data[16:])
    assert isinstance(code, CodeType)
    assert code.co_filename == f"/{SITE}/a.py"
    assert found[f"a.{TAG}.pyc"].time == FIXED_TIME


async def test_bytes_are_equal_from_two_places_whatever_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "NAMES = frozenset({'a', 'b', 'c', 'd'})\ndef f(x):\n    return x in {'q', 'r', 's'} or x.encode()\n"
    made = []
    for number, seed in enumerate(("1", "77")):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        monkeypatch.setenv("LC_ALL", "C.UTF-8" if number else "C")
        folder = tmp_path / ("x" * (number * 40 + 1))
        folder.mkdir()
        found = by_name(await add_bytecode([source(folder, "a.py", text)], COMPILER, str(folder / "b")))
        made.append(Path(found[f"a.{TAG}.pyc"].source).read_bytes())
    assert made[0] == made[1]


async def test_what_is_shipped_and_right_is_kept(tmp_path: Path) -> None:
    entry = source(tmp_path, "a.py", "x = 1\n")
    right = shipped(tmp_path, entry)
    assert await add_bytecode([entry, right], COMPILER, str(tmp_path / "b")) == [entry, right]
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("mode", list(MODES))
async def test_what_linking_made_stale_is_replaced(tmp_path: Path, mode: py_compile.PycInvalidationMode) -> None:
    stale = shipped(tmp_path, source(tmp_path, "a.py", "home = 'placeholder'\n"), mode)
    patched = source(tmp_path, "a.py", "home = '/opt/roost/env'\n", FIXED_TIME)
    found = by_name(await add_bytecode([patched, stale], COMPILER, str(tmp_path / "b")))
    data = Path(found[f"a.{TAG}.pyc"].source).read_bytes()
    assert data[8:16] == importlib.util.source_hash(b"home = '/opt/roost/env'\n")
    alone = await add_bytecode([patched, stale], None, str(tmp_path / "c"))
    assert alone == [patched]  # without a Python it goes: an import would believe it


async def test_sources_elsewhere_are_no_modules(tmp_path: Path) -> None:
    entry = source(tmp_path, "a.py", "x = 1\n")
    entry.name = "opt/roost/env/share/doc/a.py"
    assert await add_bytecode([entry], COMPILER, str(tmp_path / "b")) == [entry]


def test_a_python_of_the_very_version_is_preferred(tmp_path: Path) -> None:
    version = platform.python_version()
    found = find_compiler(version, str(tmp_path))
    assert found is not None
    assert found.version == version
    assert find_compiler("2.7.18", str(tmp_path)) is None
    folder = tmp_path / f"python-{version}-0_cpython" / "bin"
    folder.mkdir(parents=True)
    (folder / f"python{MINOR}").write_text("#!/bin/sh\nexit 1\n")  # another platform's: does not run here
    assert find_compiler(version, str(tmp_path)) == found
