from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.model.definition import ReadResult
from roost.model.documents.document import Document
from roost.model.readers.mistakes.near_keys import find_near_key
from roost.model.readers.mistakes.other_files import CONDA_KEYS, CONDA_TOOL_KEYS
from roost.model.readers.read import read_source
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles


def read(text: str, name: str = "environment.yml") -> Document:
    return read_source(DefinitionSource(path=f"/x/{name}", data=text.encode()), LocalFiles())


@st.composite
def misspellings(draw: st.DrawFn) -> tuple[str, str]:
    """A known key, and the same with one letter more, less, other, or two swapped."""
    key = draw(st.sampled_from(CONDA_KEYS))
    at = draw(st.integers(1, len(key) - 1))
    letter = draw(st.sampled_from(string.ascii_lowercase))
    wrong = draw(
        st.sampled_from(
            [
                key[:at] + letter + key[at:],
                key[:at] + key[at + 1 :],
                key[:at] + letter + key[at + 1 :],
                key[: at - 1] + key[at] + key[at - 1] + key[at + 1 :],
            ]
        )
    )
    return key, wrong


@given(misspellings())
def test_one_wrong_letter_is_a_near_miss(pair):
    key, wrong = pair
    if wrong not in (*CONDA_KEYS, "game", "same"):
        assert find_near_key(wrong, CONDA_KEYS) == key


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        *(("dependancies", "dependencies"), ("Dependencies", "dependencies"), ("dependency", "dependencies")),
        *(("dependecies", "dependencies"), ("dependence", "dependencies")),
        *(("channel", "channels"), ("chanels", "channels"), ("CHANNELS", "channels"), ("channles", "channels")),
        *(("variable", "variables"), ("varaibles", "variables"), ("Name", "name"), ("nmae", "name"), ("names", "name")),
        *(("conda-file", "conda_file"), ("condafile", "conda_file"), ("Image", "image"), ("dockerfile-path", None)),
    ],
)
def test_what_people_write_is_a_near_miss(wrong, key):
    assert find_near_key(wrong, (*CONDA_KEYS, "conda_file", "image")) == key


@pytest.mark.parametrize(
    "key",
    [
        *CONDA_KEYS,
        *CONDA_TOOL_KEYS,
        *("optional_dependencies", "dev_dependencies", "build_dependencies", "npm", "python", "pip", "changes", ""),
        *("services", "version", "type", "x", "imports", "extra", "metadata", "prefixes_of_things", "d" * 200),
    ],
)
def test_other_words_are_not(key):
    assert find_near_key(key, CONDA_KEYS) is None


@pytest.mark.parametrize("wrong", ["dependancies", "chanels", "varaibles", "Name"])
def test_a_near_miss_in_an_environment_is_an_error_at_the_key(wrong):
    document = read(f"channels: [conda-forge]\n{wrong}: []\ndependencies: [python]\n")
    (error,) = document.errors
    assert error.code == "key-misspelled"
    assert error.location is not None
    assert (error.location.line, error.location.column) == (2, 1)
    assert "did you mean" in error.message
    assert isinstance(document.result, ReadResult)
    assert document.result.definition.conda.dependencies == ("python",), "the rest is read: an editor shows it"


def test_every_near_miss_is_reported_at_once():
    document = read("naem: a\nchanels: [b]\ndependancies:\n- python\n")
    assert [(error.fields["key"], error.fields["near"]) for error in document.errors] == [
        *(("naem", "name"), ("chanels", "channels"), ("dependancies", "dependencies")),
    ]


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("pyproject.toml", '[project]\nname = "x"\ndependancies = ["six"]\n', (3, "dependencies")),
        ("pyproject.toml", '[project]\nname = "x"\noptional_dependencies = {}\n', (3, "optional-dependencies")),
        ("pyproject.toml", '[project]\nname = "x"\n[dependency_groups]\na = ["six"]\n', (3, "dependency-groups")),
        ("pyproject.toml", '[project]\nname = "x"\nrequires_python = ">=3.11"\n', (3, "requires-python")),
        ("pyproject.toml", '[project]\nnmae = "x"\nversion = "1"\n', (2, "name")),
        ("pyproject.toml", '[project]\nname = "x"\nentry_points = {}\n', (3, "entry-points")),
        ("pyproject.toml", '[project]\nname = "x"\n[project.script]\nx = "x:main"\n', (3, "scripts")),
        ("a.py", '# /// script\n# dependancies = ["six"]\n# ///\n', (2, "dependencies")),
        ("azureml_environment.json", '{"name": "a",\n "Python": {}, "docker": {"baseImage": "a"}}', (2, "python")),
        ("e.json", '{"docker": {"baseImage": "a"}, "python": {\n"condaDependancies": {}}}', (2, "condaDependencies")),
        ("e.json", '{"docker": {\n"base_image": "a", "shmSize": "1g"}, "python": {}}', (2, "baseImage")),
    ],
)
def test_near_misses_of_other_formats_are_errors_too(name, text, place):
    errors = read(text, name).errors
    assert [(error.location and error.location.line, error.fields["near"]) for error in errors] == [place]


@pytest.mark.parametrize("key", ["urls", "scripts", "license-files", "entry-points", "readme", "import-names"])
def test_other_keys_of_a_project_stay(key):
    assert read(f'[project]\nname = "x"\nversion = "1"\n{key} = {{}}\n[tool.x]\na = 1\n', "pyproject.toml").errors == ()


def test_a_key_of_another_tool_stays_a_warning():
    document = read("platforms: [linux-64]\ncategory: dev\npip: [six]\ndependencies: [python]\n")
    assert [problem.code for problem in document.problems] == ["key-unknown"] * 3
    assert "under '- pip:'" in document.problems[2].message
