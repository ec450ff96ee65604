"""Of which files it is known that their content is still the one that was read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from roost.daemon.engines.uv.unpacked import content
from roost.daemon.engines.uv.unpacked.content import digest_regular, read_state


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that was written long ago."""
    path = tmp_path / "file"
    path.write_bytes(b"some content")
    os.utime(path, (1e9, 1e9))
    return path


def test_the_state_has_the_content_until_the_file_is_written(file: Path) -> None:
    digest, state = digest_regular(str(file), "sha256")
    assert digest == hashlib.sha256(b"some content").digest()
    os.link(file, file.with_name("other name"))
    assert state == read_state(file.with_name("other name").stat())
    file.write_bytes(b"same length!")
    assert state != read_state(file.stat())


def test_a_file_that_was_just_written_has_no_lasting_state(file: Path) -> None:
    os.utime(file)
    assert digest_regular(str(file), "sha256") == (hashlib.sha256(b"some content").digest(), None)


def test_a_file_that_is_written_while_it_is_read_has_no_lasting_state(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.read

    def read(descriptor: int, count: int) -> bytes:
        found = real(descriptor, count)
        if not found:
            os.utime(file, (1e9, 1e9 + 1))
        return found

    monkeypatch.setattr(content.os, "read", read)
    assert digest_regular(str(file), "sha256")[1] is None


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="regular"):
        digest_regular(str(tmp_path), "sha256")
