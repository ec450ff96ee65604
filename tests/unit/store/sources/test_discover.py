from __future__ import annotations

from pathlib import Path

import pytest

from roost.store.sources.discover import AmbiguousDefinitionError, NoDefinitionError, discover, discover_in, find_script

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
        ("pyproject.toml", PROJECT, "pyproject"),
        ("requirements.txt", "", "requirements"),
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
    assert sorted(names(here)) == sorted(
        [
            "pyproject.toml",
            "roost.toml",
            "environment.yml",
            "environment.yaml",
            "conda.yaml",
            "conda.yml",
            "requirements.txt",
        ]
    )
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


def test_folders_and_dockerfiles_are_no_candidates(tmp_path):
    (tmp_path / "environment.yml").mkdir()
    (tmp_path / "Dockerfile").write_text("FROM a\n")
    with pytest.raises(NoDefinitionError) as caught:
        discover(str(tmp_path), [])
    assert str(tmp_path) in caught.value.message
    assert "-f" in caught.value.hint


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


def test_one_folder_alone(tmp_path):
    put(tmp_path, requirements_DOT_txt="", below__note_DOT_md="")
    found = discover_in(f"{tmp_path}/")
    assert found is not None
    assert (found.path, found.format) == (f"{tmp_path}/requirements.txt", "requirements")
    assert discover_in(f"{tmp_path}/below") is None
