"""What an archive names outside of itself is refused before anything is looked at there."""

from __future__ import annotations

from pathlib import Path

import pytest

from roost.daemon.definitions.files import FilesWithin, PathOutsideError
from roost.model.definition import ReadResult
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles


def seen(path: Path, folder: Path) -> ReadResult:
    return read_definition(DefinitionSource(path=str(path)), FilesWithin(str(folder)))


@pytest.mark.parametrize(
    "line", ["/", "../outside", "{}/outside", "-e ../outside", "-f ../outside", "-c ../outside/c.txt"]
)
def test_nothing_outside_is_read(tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/c.txt").write_text("six\n")
    stage = tmp_path / "stage"
    stage.mkdir()
    (stage / "requirements.txt").write_text(line.format(tmp_path) + "\n")
    looked: list[str] = []
    for name in ("tree_digest", "file_digest", "is_folder", "exists"):
        monkeypatch.setattr(LocalFiles, name, lambda files, path: looked.append(path))
    with pytest.raises(PathOutsideError):
        seen(stage / "requirements.txt", stage)
    assert all(Path(path).is_relative_to(stage) for path in looked)


def test_what_lies_within_is_read_through_links_too(tmp_path: Path) -> None:
    (tmp_path / "real/wheels").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "link/requirements.txt").write_text("-f wheels\n-r ../real/more.txt\n")
    (tmp_path / "real/more.txt").write_text("six\n")
    assert len(seen(tmp_path / "link/requirements.txt", tmp_path / "link").definition.pip.requirements) == 2
