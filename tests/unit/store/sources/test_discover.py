from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from roost.model.errors import InvalidDefinitionError
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.discover import AmbiguousDefinitionError, NoDefinitionError, discover, discover_in, find_script
from roost.store.sources.files import LocalFiles
from roost.store.sources.stops import DefinitionUnusableError

PROJECT = "[project]\nname = 'p'\n"
ROOST = "[tool.roost]\n"
METADATA = "# /// script\n# dependencies = []\n# ///\n"


def put(folder: Path, **files: str) -> None:
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def names(paths) -> list[str]:
    return [path.rpartition("/")[2] for path in paths]


def test_the_order_within_one_folder(tmp_path):
    order = [
        ("Pipfile.lock", "{}", None),
        ("pixi.toml", "", None),
        ("pyproject.toml", PROJECT, "pyproject"),
        ("requirements.txt", "", None),
        ("conda.yml", "", None),
        ("environment.yaml", "", None),
        ("roost.toml", "", "roost"),
    ]
    for name, content, format in order:
        (tmp_path / name).write_text(content)
        found = discover(str(tmp_path), [])
        assert (found.path, found.format) == (str(tmp_path / name), format)


def test_tool_roost_ranks_first(tmp_path):
    put(tmp_path, environment_DOT_yml="", pyproject_DOT_toml=PROJECT + ROOST)
    assert discover(str(tmp_path), []).format == "roost"


def test_a_pyproject_that_says_nothing_of_an_environment_is_passed_over(tmp_path):
    put(tmp_path, sub__pyproject_DOT_toml="[tool.black]\n", environment_DOT_yml="")
    found = discover(str(tmp_path / "sub"), [])
    assert found.path == str(tmp_path / "environment.yml")
    assert found.consulted == (str(tmp_path / "sub" / "pyproject.toml"),)
    assert str(tmp_path / "sub" / "pyproject.toml") not in found.absent


def test_what_would_have_been_chosen_instead_is_named(tmp_path):
    put(tmp_path, conda_DOT_yaml="", sub__x="", requirements_DOT_txt="")
    found = discover(str(tmp_path / "sub"), [])
    here = [path for path in found.absent if path.startswith(str(tmp_path / "sub"))]
    above = [path for path in found.absent if not path.startswith(str(tmp_path / "sub"))]
    searched = "pyproject.toml roost.toml environment.yml environment.yaml conda.yaml conda.yml requirements.txt"
    other = "pixi.toml Pipfile poetry.lock pdm.lock Pipfile.lock"
    named = "pylock.toml uv.lock pixi.lock conda-lock.yml azureml_environment.json .git"
    assert sorted(names(here)) == sorted([*searched.split(), *other.split(), *named.split()])
    assert sorted(names(above)) == ["conda.yml", "environment.yaml", "environment.yml", "pyproject.toml", "roost.toml"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("environment.yml", "environment.yaml"), ("conda.yaml", "conda.yml"), ("roost.toml", "pyproject.toml")],
)
def test_two_of_one_rank_are_an_error_that_names_both(tmp_path, first, second):
    for name in (first, second):
        (tmp_path / name).write_text(ROOST if name == "pyproject.toml" else "")
    with pytest.raises(AmbiguousDefinitionError) as caught:
        discover(str(tmp_path), [])
    assert first in caught.value.message
    assert second in caught.value.message
    assert "-f" in caught.value.hint


def test_a_script_with_metadata_comes_before_any_file(tmp_path):
    put(tmp_path, environment_DOT_yml="", train_DOT_py=METADATA, plain_DOT_py="import os\n")
    for command in (["train.py"], ["python", "train.py", "--x"], ["/usr/bin/python3.11", "-u", "train.py"]):
        found = discover(str(tmp_path), command)
        assert (found.path, found.format, found.absent) == (str(tmp_path / "train.py"), "pep723", ())
    passed = discover(str(tmp_path), ["plain.py"])
    assert passed.path == str(tmp_path / "environment.yml")
    assert passed.consulted == (str(tmp_path / "plain.py"),)
    assert discover(str(tmp_path), ["python", "-m", "train"]).path == str(tmp_path / "environment.yml")


def test_a_broken_pyproject_is_chosen_by_its_look(tmp_path):
    put(tmp_path, pyproject_DOT_toml="[project]\nname = \n")
    assert discover(str(tmp_path), []).format == "pyproject"


def put_folder(path: Path) -> None:
    path.mkdir()


def put_dead_link(path: Path) -> None:
    path.symlink_to("nowhere.yml")


def put_circle(path: Path) -> None:
    path.symlink_to(path.name)


def put_pipe(path: Path) -> None:
    os.mkfifo(path)


def put_link_to_folder(path: Path) -> None:
    path.symlink_to("..")


@pytest.mark.parametrize("put_odd", [put_folder, put_dead_link, put_circle, put_pipe, put_link_to_folder])
@pytest.mark.parametrize("name", ["roost.toml", "pyproject.toml", "environment.yaml", "conda.yml", "requirements.txt"])
def test_what_can_not_be_read_stops_the_search(tmp_path, put_odd, name):
    put(tmp_path, environment_DOT_yml="", sub__x="")
    put_odd(tmp_path / "sub" / name)
    with pytest.raises(DefinitionUnusableError) as caught:
        discover(str(tmp_path / "sub"), [])
    assert caught.value.location.path == str(tmp_path / "sub" / name)
    assert str(tmp_path / "sub" / name) in caught.value.message
    assert "-f" in caught.value.hint
    if put_odd is put_dead_link:
        assert "nowhere.yml" in caught.value.message


def test_a_pyproject_that_may_not_be_read_stops_the_search(tmp_path):
    put(tmp_path, environment_DOT_yml="", sub__pyproject_DOT_toml="")

    def refuse(path: str) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    for find in (lambda: discover(str(tmp_path / "sub"), [], refuse), lambda: discover_in(f"{tmp_path}/sub", refuse)):
        with pytest.raises(DefinitionUnusableError, match=f"{tmp_path}/sub/pyproject.toml can't be read: Permission"):
            find()


def test_what_has_a_lower_rank_is_not_looked_at(tmp_path):
    put(tmp_path, environment_DOT_yml="")
    put_dead_link(tmp_path / "requirements.txt")
    assert discover(str(tmp_path), []).path == str(tmp_path / "environment.yml")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pixi.toml", "[workspace]\nchannels = []\n"),
        ("Pipfile", "[[source]]\nurl = 'https://h'\n[packages]\nsix = '*'\n"),
        ("poetry.lock", "[[package]]\nname = 'six'\n[metadata]\nlock-version = '2.1'\ncontent-hash = ''\n"),
        ("pdm.lock", "[metadata]\nlock_version = '4.5'\ncontent_hash = ''\n"),
        ("Pipfile.lock", '{"_meta": {}, "default": {}}'),
        ("pyproject.toml", "[tool.poetry.dependencies]\nsix = '*'\n"),
        ("pyproject.toml", "[tool.poetry]\nname = 'x'\n[tool.poetry.dependencies]\npython = '^3.11'\n"),
        ("pyproject.toml", "[tool.pixi.workspace]\nchannels = []\n"),
        ("pyproject.toml", "[tool.flit.metadata]\nrequires = ['six']\n"),
        ("pyproject.toml", "[tool.uv.workspace]\nmembers = ['a']\n"),
        ("pyproject.toml", "[tool.hatch.envs.default]\ndependencies = ['six']\n"),
        ("pyproject.toml", "[tool.pdm.dev-dependencies]\nx = ['six']\n"),
        ("pyproject.toml", "project.name = 'x'\nbroken\n"),
        ("pyproject.toml", b"\xff\xfe\x00"),
    ],
)
def test_a_file_of_another_tool_is_chosen_for_its_reader_to_refuse(tmp_path, name, content):
    put(tmp_path, environment_DOT_yml="", sub__x="")
    (tmp_path / "sub" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    found = discover(str(tmp_path / "sub"), [])
    assert found.path == str(tmp_path / "sub" / name)
    with pytest.raises(InvalidDefinitionError) as caught:
        read_definition(DefinitionSource(path=found.path, format=found.format), LocalFiles())
    assert caught.value.location.path == found.path
    assert caught.value.code in ("definition-format-unread", "toml-invalid", "definition-encoding")
    put(tmp_path, sub__requirements_DOT_txt="")
    assert discover(str(tmp_path / "sub"), []).path == str(tmp_path / "sub" / "requirements.txt")


@pytest.mark.parametrize("name", ["pylock.toml", "uv.lock", "pixi.lock", "conda-lock.yml", "azureml_environment.json"])
def test_a_file_that_must_be_named_stops_the_search(tmp_path, name):
    put(tmp_path, environment_DOT_yml="", sub__x="")
    (tmp_path / "sub" / name).write_text("")
    with pytest.raises(DefinitionUnusableError) as caught:
        discover(str(tmp_path / "sub"), [])
    assert f"-f {tmp_path / 'sub' / name}" in caught.value.hint
    put(tmp_path, sub__pyproject_DOT_toml=PROJECT)
    assert discover(str(tmp_path / "sub"), []).format == "pyproject"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("Dockerfile", "FROM a\n", "dockerfile-passed"),
        ("Containerfile", "FROM a\n", "dockerfile-passed"),
        ("setup.py", "", "setup-passed"),
        ("setup.cfg", "[options]\ninstall_requires = six\n", "setup-passed"),
        ("setup.cfg", "[flake8]\n", None),
    ],
)
def test_what_is_passed_by_is_reported(tmp_path, name, content, code):
    put(tmp_path, environment_DOT_yml="", sub__x="")
    (tmp_path / "sub" / name).write_text(content)
    found = discover(str(tmp_path / "sub"), [])
    assert found.path == str(tmp_path / "environment.yml")
    assert [notice.code for notice in found.notices] == ([code] if code else [])
    put(tmp_path, sub__requirements_DOT_txt="")
    assert discover(str(tmp_path / "sub"), []).notices == ()


def test_a_dockerfile_is_never_chosen_and_named_without_another_file(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "Dockerfile").write_text("FROM a\n")
    with pytest.raises(NoDefinitionError) as caught:
        discover(str(tmp_path), [])
    assert str(tmp_path) in caught.value.message
    assert f"-f {tmp_path}/Dockerfile" in caught.value.hint


def test_a_script_that_is_missing_too_is_named(tmp_path):
    (tmp_path / ".git").mkdir()
    for command in (["nofile.py"], ["python", "nofile.py"]):
        with pytest.raises(NoDefinitionError, match=r"There is no nofile\.py, and no environment file in"):
            discover(str(tmp_path), command)
    (tmp_path / "file.py").write_text("")
    with pytest.raises(NoDefinitionError, match="There is no environment file in"):
        discover(str(tmp_path), ["file.py"])


@pytest.mark.parametrize("is_worktree", [False, True])
def test_the_search_ends_at_a_repository(tmp_path, is_worktree):
    put(tmp_path, environment_DOT_yml="", repo__sub__x="")
    git = tmp_path / "repo" / ".git"
    if is_worktree:
        git.write_text("gitdir: elsewhere\n")
    else:
        git.mkdir()
    with pytest.raises(NoDefinitionError, match=f"up to {tmp_path}/repo"):
        discover(str(tmp_path / "repo" / "sub"), [])
    put(tmp_path, repo__requirements_DOT_txt="")
    found = discover(str(tmp_path / "repo" / "sub"), [])
    assert found.path == str(tmp_path / "repo" / "requirements.txt")
    assert str(tmp_path / "repo" / "sub" / ".git") in found.absent
    assert str(git) not in found.absent


def test_the_search_ends_at_the_home_folder(tmp_path, monkeypatch):
    put(tmp_path, environment_DOT_yml="", home__me__sub__x="")
    (tmp_path / "link").symlink_to(tmp_path / "home" / "me")
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    with pytest.raises(NoDefinitionError):
        discover(str(tmp_path / "home" / "me" / "sub"), [])
    put(tmp_path, home__me__conda_DOT_yml="")
    assert discover(str(tmp_path / "home" / "me" / "sub"), []).path == str(tmp_path / "home" / "me" / "conda.yml")
    assert discover(str(tmp_path / "home"), []).path == str(tmp_path / "environment.yml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# /// script\n# dependencies = []\n", "no end"),
        ("# /// script\n# dependencies = []\n\n# ///\n", "line 3 is empty"),
        ("# /// script\n#dependencies = []\n# ///\n", "line 2 does not begin with '# '"),
        ("# /// script\n# ///\n", "empty"),
        ("#/// script\n# dependencies = []\n# ///\n", "is not the mark"),
        ("# ///script\n# dependencies = []\n#///\n", "is not the mark"),
        ("import os\n# /// Script\n# dependencies = []\n# ///\n", "is not the mark"),
        ("# /// script \n# dependencies = []\n# ///\n", "is not the mark"),
        ("# /// skript\n# dependencies = []\n# ///\n", "'# /// skript' is not the mark"),
        ("# /// scripts\n# dependencies = []\n# ///\n", "is not the mark"),
        ("# // script\n# dependencies = []\n# //\n", "is not the mark"),
        ("## /// script\n## dependencies = []\n## ///\n", "is not the mark"),
        ("# //// script\n# requires-python = '>=3.9'\n# ///\n", "is not the mark"),
        ("# coding: latin-1\n# /// script\n# dependencies = []\n# ///\nx = '\xe9'\n", "is not valid UTF-8"),
    ],
)
def test_a_script_whose_metadata_can_not_be_read_stops_the_search(tmp_path, text, words):
    put(tmp_path, environment_DOT_yml="")
    path = tmp_path / "train.py"
    path.write_bytes(text.encode("latin-1"))

    def read() -> None:
        read_definition(DefinitionSource(path=str(path)), LocalFiles())

    for find in (lambda: discover(str(tmp_path), ["python", "train.py"]), read):
        with pytest.raises(InvalidDefinitionError) as caught:
            find()
        assert words in caught.value.message
        assert caught.value.location.path == str(path)
        assert caught.value.location.line is not None
        assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "import os\n",
        "# coding: latin-1\nx = '\xe9'\n",
        'x = """\n  # /// script\n"""\n',
        "# a block begins with /// script\n",
        "# ///script\n# begins a block\n",
        "# /// other\n# x = 1\n# ///\n",
        "# // scripts are run by a runner\n# x = 1\n# ///\n",
        "# // script\n# The part that is run.\n# //\n",
        "# // script\n# /// other\n# x = 1\n# ///\n",
        "# /// skript\n\n# x = 1\n# ///\n",
    ],
)
def test_a_script_without_metadata_is_passed_over(tmp_path, text):
    put(tmp_path, environment_DOT_yml="")
    (tmp_path / "train.py").write_bytes(text.encode("latin-1"))
    assert discover(str(tmp_path), ["python", "train.py"]).path == str(tmp_path / "environment.yml")


@pytest.mark.parametrize(
    ("command", "script"),
    [
        ([], None),
        (["train.py", "x"], "train.py"),
        (["python", "train.py"], "train.py"),
        (["python3", "-X", "dev", "-W", "error", "-B", "a/train.py"], "a/train.py"),
        (["python", "-c", "x.py"], None),
        (["python", "-mx", "x.py"], None),
        (["python", "tool"], None),
        (["python"], None),
        (["bash", "x.py"], None),
        (["python3.13t", "x.py"], "x.py"),
    ],
)
def test_the_script_of_a_command(command, script):
    assert find_script(command) == script


def test_a_script_elsewhere_is_looked_up_from_its_own_folder(tmp_path):
    put(tmp_path, here___DOT_git="", there__sub__x_DOT_py="", there__requirements_DOT_txt="", there___DOT_git="")
    here, there = tmp_path / "here", tmp_path / "there"
    for command in (
        ["python", "../there/sub/x.py"],
        [str(there / "sub" / "x.py")],
        ["python3", str(there / "sub/x.py")],
    ):
        found = discover(str(here), command)
        assert found.path == str(there / "requirements.txt")
        would_win = {here / "roost.toml", here / "Pipfile", there / "sub" / "requirements.txt", there / "roost.toml"}
        assert {str(path) for path in would_win} <= set(found.absent)
        assert str(there / "sub" / "x.py") in found.consulted
    put(tmp_path, here__environment_DOT_yml="")
    assert discover(str(here), ["../there/sub/x.py"]).path == str(here / "environment.yml")


def test_both_chains_are_named_if_neither_has_a_file(tmp_path):
    put(tmp_path, here___DOT_git="", there__sub__x_DOT_py="", there___DOT_git="")
    script = tmp_path / "there" / "sub" / "x.py"
    with pytest.raises(NoDefinitionError) as caught:
        discover(str(tmp_path / "here"), [str(script)])
    nor = f"in {tmp_path}/here, nor in {tmp_path}/there/sub or above it, up to {tmp_path}/there"
    assert caught.value.message == f"There is no environment file {nor}"
    put(tmp_path, here__sub__y_DOT_py="")
    with pytest.raises(NoDefinitionError) as caught:
        discover(str(tmp_path / "here"), ["sub/y.py"])
    assert caught.value.message.endswith(f"in {tmp_path}/here, nor in {tmp_path}/here/sub")
    with pytest.raises(NoDefinitionError) as caught:
        discover(str(tmp_path / "here"), ["../there/nosuch.py"])
    assert "nor" not in caught.value.message


def test_one_folder_alone(tmp_path):
    put(tmp_path, requirements_DOT_txt="", below__note_DOT_md="")
    found = discover_in(f"{tmp_path}/")
    assert found is not None
    assert (found.path, found.format) == (f"{tmp_path}/requirements.txt", None)
    assert discover_in(f"{tmp_path}/below") is None
