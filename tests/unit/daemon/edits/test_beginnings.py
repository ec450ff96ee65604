"""New files: of which kind, where, and what they hide."""

from __future__ import annotations

from pathlib import Path

import pytest

from roost.daemon.edits.beginnings import begin_environment, describe_order
from roost.daemon.edits.replacement import FileNotWritableError, FilePresentError
from roost.model.errors import InvalidRequestError
from roost.wire.edits import BeginRequest, BeginResponse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    return tmp_path


async def begin(folder: Path, path: str | None = None, **fields: object) -> BeginResponse:
    return await begin_environment(BeginRequest(cwd=str(folder), path=path, umask=0o027, **fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        (None, "conda", "environment.yml"),
        (None, "pip", "requirements.txt"),
        (None, "pyproject", "pyproject.toml"),
        ("sub/folder", "pip", "sub/folder/requirements.txt"),
        ("tools.yml", None, "tools.yml"),
        ("dev.txt", None, "dev.txt"),
        ("new/train.py", None, "new/train.py"),
        ("train", "script", "train"),
    ],
)
async def test_the_file_is_where_it_was_asked_for(
    folder: Path, path: str | None, kind: str | None, expected: str
) -> None:
    answer = await begin(folder, path, kind=kind)
    file = folder / expected
    assert (answer.file, answer.text) == (str(file), file.read_text())
    assert file.stat().st_mode & 0o777 == 0o640
    assert answer.is_searched == (file.name in ("environment.yml", "requirements.txt", "pyproject.toml"))
    assert sorted(each.name for each in file.parent.iterdir() if each.name != ".git") == [file.name]


@pytest.mark.parametrize("name", ["environment.yml", "environment.yaml"])
async def test_two_files_of_one_rank_are_never_made(folder: Path, name: str) -> None:
    (folder / name).write_text("dependencies: []\n")
    with pytest.raises(FilePresentError, match=name):
        await begin(folder, kind="conda")
    with pytest.raises(FilePresentError, match=name):
        await begin(folder)
    assert (folder / name).read_text() == "dependencies: []\n"


async def test_a_file_that_cannot_be_read_is_no_empty_folder(folder: Path) -> None:
    (folder / "requirements.txt").mkdir()
    with pytest.raises(FilePresentError):
        await begin(folder)


async def test_a_script_that_exists_stays_and_add_is_named(folder: Path) -> None:
    (folder / "train.py").write_text("print(1)\n")
    with pytest.raises(FilePresentError) as error:
        await begin(folder, "train.py", kind="script")
    assert "roost add" in error.value.hint
    assert (folder / "train.py").read_text() == "print(1)\n"


@pytest.mark.parametrize("python", ["3", "3.12.1", 'x"', "3.12\n", ""])
async def test_python_is_named_by_two_numbers(folder: Path, python: str) -> None:
    with pytest.raises(InvalidRequestError):
        await begin(folder, kind="pyproject", python=python)
    assert "3.12" in (await begin(folder, kind="pyproject", python="3.12")).text


@pytest.mark.parametrize(
    ("path", "kind"), [("tools.yml", "pip"), ("dev.txt", "conda"), ("roost.toml", None), ("x.yml", "script")]
)
async def test_a_name_and_a_kind_that_do_not_go_together(folder: Path, path: str, kind: str | None) -> None:
    with pytest.raises(InvalidRequestError):
        await begin(folder, path, kind=kind)
    assert [each.name for each in folder.iterdir()] == [".git"]


async def test_what_cannot_be_written_is_said(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(FileNotWritableError):
        await begin(folder, "file/below", kind="pip")
    with pytest.raises(FileNotWritableError):
        await begin(folder, "x" * 300 + ".txt")
    with pytest.raises(InvalidRequestError):
        await begin(folder, kind="script")
    with pytest.raises(InvalidRequestError):
        await begin_environment(BeginRequest(cwd="relative"))


def test_the_order_of_the_search_is_said() -> None:
    assert describe_order("/p/environment.yml", None, "/p/environment.yml") == []
    (hides,) = describe_order("/p/environment.yml", "/p/requirements.txt", "/p/environment.yml")
    assert (hides.code, "/p/requirements.txt until now" in hides.message) == ("file-hides", True)
    (hidden,) = describe_order("/p/requirements.txt", "/p/environment.yml", "/p/environment.yml")
    assert (hidden.code, "environment.yml, which comes before" in hidden.message) == ("file-hidden", True)


async def test_what_exists_and_is_not_edited_says_what_to_do(folder: Path) -> None:
    (folder / "pixi.toml").write_text(
        '[project]\nname = "x"\nchannels = []\nplatforms = []\n[dependencies]\nsix = "*"\n'
    )
    with pytest.raises(FilePresentError) as error:
        await begin(folder)
    assert "`pixi add PKG`" in error.value.hint
    (folder / "environment.yml").symlink_to("nowhere")
    with pytest.raises(FilePresentError) as error:
        await begin(folder, kind="conda")
    assert "remove the link" in error.value.hint


async def test_a_file_that_commands_failed_at_was_not_used(folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[tool.poetry]\nname = "x"\n[tool.poetry.dependencies]\nsix = "*"\n')
    assert (await begin(folder, kind="pip")).warnings == []
    (folder / "requirements.txt").write_text("six\n")
    assert [each.code for each in (await begin(folder, kind="conda")).warnings] == ["file-hides"]


async def test_nothing_is_begun_in_a_read_only_folder(folder: Path) -> None:
    folder.chmod(0o555)
    try:
        for path in (None, "below/sub"):
            with pytest.raises(FileNotWritableError, match="read-only") as error:
                await begin(folder, path, kind="pip")
            assert "replaced" not in error.value.hint
    finally:
        folder.chmod(0o755)
    assert [each.name for each in folder.iterdir()] == [".git"]
