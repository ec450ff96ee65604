"""The version of Python that is chosen for a definition, and what a ``.python-version`` is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from roost.model.definition import Base, Conda, Definition, Python, ReadResult, RegisteredEnvironment
from roost.model.errors import Location
from roost.model.readers.choices.pythons import (
    PythonConflictError,
    allows,
    apply_version_file,
    choose_python,
    format_specifier,
    leaves_python_open,
)
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

PLACE = Location(path="/p/pyproject.toml", line=4, column=1)


def pip_only(requires: str | None = None) -> ReadResult:
    return ReadResult(definition=Definition(python=Python(requires=requires)), path=PLACE.path, python_location=PLACE)


def conda(*specs: str, requires: str | None = None) -> ReadResult:
    definition = Definition(conda=Conda(dependencies=specs), python=Python(requires=requires))
    return ReadResult(definition=definition, path="/p/environment.yml")


@pytest.mark.parametrize(
    ("requires", "version", "expected"),
    [
        (None, "3.12", "==3.12.*"),
        (None, "3.12.4", "==3.12.4"),
        (">=3.10", "3.12", ">=3.10,==3.12.*"),
        (">=3.12.3,<4", "3.12", ">=3.12.3,<4,==3.12.*"),
        ("==3.12.*", "3.12", "==3.12.*"),
    ],
)
def test_a_version_is_a_bound_beside_that_of_the_file(requires: str | None, version: str, expected: str) -> None:
    assert choose_python(pip_only(requires), version).definition.python.requires == expected


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        (("numpy", "python=3.11", "pip"), ("numpy", "python=3.12", "pip")),
        (("numpy",), ("numpy", "python=3.12")),
        (("python>=3.9", "python<3.12", "six"), ("python=3.12", "six")),
        (("conda-forge::python=3.11", "python_abi"), ("conda-forge::python=3.12", "python_abi")),
        (("python=3.11=*_cpython",), ("python=3.12",)),
    ],
)
def test_a_version_takes_the_place_of_the_spec_of_conda(specs: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert choose_python(conda(*specs), "3.12").definition.conda.dependencies == expected


@pytest.mark.parametrize(
    ("requires", "version"), [(">=3.10", "3.9"), ("<3.12.4", "3.12.4"), (">=3.9,!=3.12.*", "3.12")]
)
@pytest.mark.parametrize("make", [pip_only, lambda requires: conda("six", requires=requires)])
def test_a_version_outside_the_bound_of_the_file_is_refused_with_its_place(
    make: Callable[[str], ReadResult], requires: str, version: str
) -> None:
    with pytest.raises(PythonConflictError) as caught:
        choose_python(make(requires), version)
    assert f"--python {version} is outside requires-python '{requires}'" in caught.value.message
    assert caught.value.location is not None


@pytest.mark.parametrize(
    "definition",
    [
        Definition(python=Python(user_managed=True, interpreter="/opt/python")),
        Definition(python=Python(user_managed=True), base=Base(image="debian")),
        Definition(conda=Conda(explicit={"linux-64": ("https://c.example/python.conda",)})),
    ],
)
def test_a_definition_that_names_its_python_leaves_no_choice(definition: Definition) -> None:
    with pytest.raises(PythonConflictError, match="can't be chosen"):
        choose_python(ReadResult(definition=definition), "3.12")
    assert not leaves_python_open(ReadResult(definition=definition))


def test_a_version_file_is_for_definitions_without_a_python_of_their_own() -> None:
    assert leaves_python_open(pip_only(">=3.10"))
    assert not leaves_python_open(conda("six"))
    assert not leaves_python_open(ReadResult(definition=Definition(base=Base(image="debian"))))
    reference = RegisteredEnvironment(reference="train", location=PLACE)
    assert not leaves_python_open(ReadResult(definition=Definition(), registered=reference))


@pytest.mark.parametrize(
    ("data", "requires"),
    [
        (b"3.12\n", "==3.12.*"),
        (b"3.12.4", "==3.12.4"),
        (b"\xef\xbb\xbf 3.12 \r\n3.11\r\n", "==3.12.*"),
        (b"# ours\n\n3.12  # why\n", "==3.12.*"),
    ],
)
def test_the_first_version_of_a_file_counts(data: bytes, requires: str) -> None:
    result = apply_version_file(pip_only(), "/p/.python-version", data)
    assert (result.definition.python.requires, result.warnings) == (requires, ())


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"pypy3.10\n", 1, "'pypy3.10' is not a version"),
        (b"cpython@3.12\n", 1, "is not a version"),
        (b"# x\nmy-virtualenv\n", 2, "'my-virtualenv'"),
        (b"3\n", 1, "'3' is not"),
        (b"3.12t\n", 1, "'3.12t'"),
        (b">=3.12\n", 1, "'>=3.12'"),
        (b"", 1, "no version here"),
        (b"\xff\xfe3", None, "can't be read as text"),
        (b"3.12\0", None, "can't be read as text"),
        (None, None, "can't be read as text"),
        (b"x" * 4000, 1, "x…'"),
        (b"3.9\n", 1, "outside requires-python '>=3.10' in /p/pyproject.toml:4"),
    ],
)
def test_anything_else_is_reported_with_its_place_and_not_used(
    data: bytes | None, line: int | None, words: str
) -> None:
    result = apply_version_file(pip_only(">=3.10"), "/p/.python-version", data)
    assert result.definition.python.requires == ">=3.10"
    [notice] = result.warnings
    assert notice.code == "python-version-unused"
    assert words in notice.message
    assert notice.location is not None
    assert (notice.location.path, notice.location.line) == ("/p/.python-version", line)


OPERATORS = st.sampled_from([">=", "<=", ">", "<", "==", "!=", "~="])
MINORS = st.integers(8, 13)
VERSIONS = st.builds("3.{}.{}".format, MINORS, st.integers(0, 20)) | st.builds("3.{}".format, MINORS)
SERIES = st.builds("{}3.{}.*".format, st.sampled_from(["==", "!="]), MINORS)
CLAUSES = st.builds("{}{}".format, OPERATORS, VERSIONS) | SERIES


@given(st.lists(CLAUSES, max_size=3), MINORS)
def test_a_minor_version_is_allowed_if_a_release_of_it_is(clauses: list[str], minor: int) -> None:
    requires = ",".join(clauses)
    both = SpecifierSet(",".join([*clauses, format_specifier(f"3.{minor}")]))
    possible = any(both.contains(f"3.{minor}.{patch}") for patch in range(200))
    assert allows(requires, f"3.{minor}") == possible


def test_readers_say_where_the_bound_is_written(tmp_path: Path) -> None:
    texts = {
        "pyproject.toml": ('[project]\nname = "p"\nrequires-python = ">=3.10"\n', 3),
        "roost.toml": ("[pip]\nrequirements = []\n[python]\nrequires = '>=3.10'\n", 4),
        "x.py": ('# /// script\n# requires-python = ">=3.10"\n# ///\n', 2),
        "uv.lock": ('version = 1\nrequires-python = ">=3.10"\n', 2),
    }
    for name, (text, line) in texts.items():
        path = tmp_path / name
        path.write_text(text)
        result = read_definition(DefinitionSource(path=str(path)), LocalFiles())
        assert result.python_location is not None
        assert result.python_location.line == line, name
