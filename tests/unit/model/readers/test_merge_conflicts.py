"""Files with the marks of a merge: one error that says so, with the line, whatever the format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from roost.model.definition import ReadResult
from roost.model.documents.conflicts import MergeConflictError, find_conflict
from roost.model.errors import InvalidDefinitionError

Refused = Callable[..., InvalidDefinitionError]
MARKS = "<<<<<<< HEAD\n{0}\n||||||| base\n{0}\n=======\n{0}\n>>>>>>> topic\n"
PYPROJECT = '[project]\nname = "x"\nversion = "1"\ndependencies = [\n'


@pytest.mark.parametrize(
    ("name", "before", "line", "after"),
    [
        ("requirements.txt", "a\n", "b", ""),
        ("list", "", "b", ""),
        ("environment.yml", "dependencies:\n- a\n", "- b", "- c\n"),
        ("environment.yml", "dependencies:\n  - pip:\n", "    - b", ""),
        ("environment.yml", "", "name: x", "dependencies: [a]\n"),
        ("conda.json", '{"dependencies": [\n', '"a",', '"b"]}'),
        ("pyproject.toml", PYPROJECT, ' "b",', "]\n"),
        ("roost.toml", "[conda]\n", 'dependencies = ["a"]', ""),
        ("uv.lock", "version = 1\n", 'requires-python = ">=3.10"', ""),
        ("explicit.txt", "@EXPLICIT\n", "https://h/noarch/a-1-0.conda", ""),
        ("conda.txt", "# platform: linux-64\n", "a=1=0", ""),
        ("Dockerfile", "FROM scratch\n", "RUN true", ""),
        ("train.py", "# /// script\n# dependencies = [\n", '#  "b",', "# ]\n# ///\n"),
    ],
)
def test_a_conflict_is_one_error_with_its_line(refused: Refused, name: str, before: str, line: str, after: str) -> None:
    error = refused(before + MARKS.format(line) + after, name)
    assert isinstance(error, MergeConflictError), error
    assert error.location is not None
    assert error.location.path.endswith(name)
    assert error.location.line == before.count("\n") + 1
    assert len(error.fields.get("problems", [None])) == 1  # type: ignore[arg-type]  # a list


def test_a_conflict_in_a_file_that_is_included_names_that_file(
    parse: Callable[..., ReadResult], write: Callable[[str, str], Path]
) -> None:
    write("more.txt", "a\n" + MARKS.format("b"))
    with pytest.raises(MergeConflictError) as caught:
        parse("-r more.txt\n", "requirements.txt")
    assert str(caught.value.location).endswith("/more.txt:2")


def test_what_only_looks_like_marks_is_content() -> None:
    assert find_conflict("a\n======\n<<<<<<<< b\n <<<<<<< c\n# <<<<<<< d\n") is None
    assert find_conflict("RUN <<EOF\n=======\n>>>>>>> x\n<<<<<<< y\nEOF\n", is_whole=True) is None
    assert find_conflict("=======\n<<<<<<< y\n||||||| b\n=======\n>>>>>>>\n", is_whole=True) == 2
