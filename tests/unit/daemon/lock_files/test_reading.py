"""Lock files on disk: what can't be one is named, without waiting and without reading all of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from roost.daemon.definitions.resolved import LockFilePlace
from roost.daemon.lock_files.reading import LockFileMissingError, LockFileReader
from roost.model.lock_files.lock_file import LockFile
from roost.model.lock_files.parsing import LockFileInvalidError
from roost.model.lock_files.writing import write_lock_file

MAKERS: dict[str, Callable[[Path], object]] = {
    "folder": lambda path: path.mkdir(),
    "pipe": lambda path: os.mkfifo(path),
    "loop": lambda path: path.symlink_to(path),
    "nothing": lambda path: path.symlink_to("nowhere"),
    "huge": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
    "device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", sorted(MAKERS))
async def test_what_is_no_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "roost.lock"
    MAKERS[kind](path)
    with pytest.raises(LockFileInvalidError) as caught:
        await LockFileReader().read(LockFilePlace(path=str(path), exists=True))
    assert caught.value.location is not None
    assert caught.value.location.path == str(path)
    assert caught.value.hint


async def test_a_file_that_went_meanwhile_is_missing(tmp_path: Path) -> None:
    with pytest.raises(LockFileMissingError):
        await LockFileReader().read(LockFilePlace(path=str(tmp_path / "roost.lock"), exists=True))


async def test_what_was_read_is_kept_by_its_content(tmp_path: Path) -> None:
    path, reader = tmp_path / "roost.lock", LockFileReader()
    place = LockFilePlace(path=str(path), exists=True)
    for number in range(40):
        path.write_text(write_lock_file(LockFile(canonical=b'{"n":%d}' % number)))
        first = await reader.read(place)
        assert first.canonical == b'{"n":%d}' % number
        assert await reader.read(place) is first


@pytest.mark.unprivileged
@pytest.mark.skipif(os.geteuid() == 0, reason="root passes all modes")
async def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "roost.lock"
    path.write_text("format 1\n")
    path.chmod(0)
    with pytest.raises(LockFileInvalidError, match="Permission denied"):
        await LockFileReader().read(LockFilePlace(path=str(path), exists=True))
