"""Which file of an unpacked archive is read, and how names and errors refer to the archive."""

from __future__ import annotations

from pathlib import Path

import pytest

from roost.daemon.exchange.archive_contents import find_definition, find_only_file, translate_stage_error
from roost.daemon.exchange.archives import is_archive, strip_archive_suffixes
from roost.model.errors import InvalidDefinitionError, Location


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["environment.yml", "readme.md"], "."),
        (["any.name"], "any.name"),
        (["project/inner/any.name"], "project/inner/any.name"),
        (["project/environment.yml", "project/readme.md"], "project"),
        (["project/any.name", "__MACOSX/x", ".DS_Store"], "project/any.name"),
        (["project/Dockerfile"], "project"),
    ],
)
def test_folders_that_hold_one_thing_stand_for_it(tmp_path: Path, files: list[str], expected: str):
    for file in files:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert Path(find_definition(str(tmp_path))) == tmp_path / expected


def test_an_empty_folder_is_read_as_it_is(tmp_path: Path):
    assert find_definition(str(tmp_path)) == find_only_file(str(tmp_path)) == str(tmp_path)


def test_a_file_stands_for_itself(tmp_path: Path):
    path = tmp_path / "x.yml"
    path.touch()
    assert find_only_file(str(path)) == str(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.tar.gz", "a"), ("a.TGZ", "a"), ("a.b.zip", "a.b"), ("a.tar.zip", "a"), ("a.yml", "a.yml")],
)
def test_suffixes_of_archives_are_stripped(name: str, expected: str):
    assert strip_archive_suffixes(name) == expected
    assert is_archive(name) == (name != expected)


def test_errors_name_the_archive_and_not_the_stage():
    error = InvalidDefinitionError(
        "/stage/x/a.yml is empty",
        hint="Look at /stage/x.",
        location=Location(path="/stage/x/a.yml", line=3),
        fields={"path": "/stage/x/a.yml", "count": 1},
    )
    found = translate_stage_error(error, "/home/me/a.zip", "/stage/x")
    assert (found.message, str(found)) == ("/home/me/a.zip/a.yml is empty",) * 2
    assert found.hint == "Look at /home/me/a.zip."
    assert found.location == Location(path="/home/me/a.zip/a.yml", line=3)
    assert found.fields == {"path": "/home/me/a.zip/a.yml", "count": 1}
