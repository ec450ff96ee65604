"""The cost of reading grows with the size of what is read, and bounds are refused by name.

Cost is counted in lines of Python that run, which is the same on every machine. What happens inside one call of a
regular expression is not counted: ``test_hostile_texts_have_an_end`` reads texts for which a pattern that tries every
way to share out characters would need hours, and ``tests/bench/bench_read.py`` measures the time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.support.hostile import GROWING, HOSTILE, Text

from roost.model.documents.document import Document
from roost.model.errors import InvalidDefinitionError, Location
from roost.model.readers.read import read_source, read_tables
from roost.model.readers.source import DefinitionSource
from roost.model.syntax.dockerignore import parse_dockerignore
from roost.model.syntax.pip_lines import parse_pip_lines
from roost.store.sources.files import LocalFiles

HARMLESS = 2.5
"""Twice the size may cost so many times as much: some parts double their own tables now and then."""


class Given(LocalFiles):
    """Files that exist in memory only."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files
        self.reads = 0

    def read(self, path: str) -> bytes:
        self.reads += 1
        if path not in self.files:
            raise FileNotFoundError(2, "No such file or directory")
        return self.files[path].encode()

    def exists(self, path: str) -> bool:
        return path in self.files

    def is_folder(self, path: str) -> bool:
        return False


def read(name: str, text: str, files: Given | None = None) -> Document:
    parse_pip_lines.cache_clear()
    return read_source(DefinitionSource(path=f"/x/{name}", data=text.encode()), files or Given({}))


def count_lines(run: Callable[[], Any]) -> int:
    """Return how many lines of Python ``run`` executes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", GROWING)
def test_twice_the_size_costs_twice_the_steps(name: str):
    file, write, size = GROWING[name]
    small, large = (count_lines(lambda n=n: read(file, write(n))) for n in (size, 2 * size))
    assert large <= HARMLESS * small + 5_000


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_have_an_end(name: str):
    file, write = HOSTILE[name]
    document = read(file, write(200_000))
    assert document.errors or document.result is not None
    for problem in document.problems:
        assert len(problem.message) < 1_200
        assert problem.location is not None


@pytest.mark.parametrize(
    ("file", "text", "bound"),
    [
        ("requirements.txt", "six" + "a" * 9_000, "8,192"),
        ("requirements.txt", "six " + "--hash=sha256:0 " * 5_000, "65,536"),
        ("environment.yml", "dependencies: [" + "a" * 9_000 + "]", "8,192"),
        ("environment.yml", "channels: [" + "a" * 9_000 + "]", "8,192"),
        ("environment.yml", "a: " + "[" * 60 + "]" * 60, "50 levels"),
        ("environment.json", '{"a": ' + '{"a": ' * 60 + "1" + "}" * 61, "50 levels"),
        ("roost.toml", ".".join(["a"] * 60) + " = 1", "50 levels"),
        ("roost.toml", "a = " + "[" * 60 + "]" * 60, "50 levels"),
        ("roost.toml", "a = " + "{a=" * 60 + "1" + "}" * 60, "50 levels"),
        ("roost.toml", "a = " + "9" * 5_000, "1,000 of a number"),
        ("pyproject.toml", Text.chain_of_groups(60), "50 levels"),
        ("environment.yml", Text.laughs(12), "characters"),
    ],
)
def test_each_bound_is_named_with_its_place(file: str, text: str, bound: str):
    first = read(file, text).errors[0]
    assert bound in first.message
    assert first.location is not None
    assert first.location.line is not None


def test_tables_of_a_client_have_a_depth():
    tables: dict[str, Any] = {}
    for _ in range(200):
        tables = {"kept": tables}
    with pytest.raises(InvalidDefinitionError, match="50 levels"):
        read_tables(tables, Given({}), "/x/<document>")


def test_a_diamond_of_includes_is_read_once_a_file():
    """Two lines a level, as pip reads them: the lines of a file count at each line that includes it."""
    files = Given({f"/x/{level}.txt": f"-r {level + 1}.txt\n-c {level + 1}.txt\n" for level in range(10)})
    files.files["/x/10.txt"] = "six\n"
    document = read("requirements.txt", "-r 0.txt\n-r 0.txt\n", files)
    assert document.errors == ()
    assert files.reads == 11
    assert len([item for item in document.items if item.kind == "pip"]) == 2 + 2 * 10 + 1
    assert document.result is not None
    outer, again = document.result.definition.pip.requirements
    assert outer.items is again.items


def test_includes_that_multiply_are_refused_by_the_number_of_their_lines():
    files = Given({f"/x/{level}.txt": f"-r {level + 1}.txt\n" * 2 for level in range(39)})
    files.files["/x/39.txt"] = "six\n"
    document = read("requirements.txt", "-r 0.txt\n", files)
    assert "100,000 requirements" in document.errors[0].message
    assert files.reads == 40


def test_a_chain_of_includes_has_a_depth():
    files = Given({f"/x/{level}.txt": f"-r {level + 1}.txt\n" for level in range(2_000)})
    (error,) = read("requirements.txt", "-r 0.txt\n", files).errors
    assert "50 levels" in error.message
    assert error.location is not None
    assert error.location.path == "/x/49.txt"


def test_included_files_have_a_number():
    names = [f"{number}.txt" for number in range(1_100)]
    document = read(
        "requirements.txt", "".join(f"-r {name}\n" for name in names), Given({f"/x/{n}": "" for n in names})
    )
    assert "1,000 files" in document.errors[0].message
    assert document.errors[0].location is not None
    assert document.errors[0].location.line == 1_001


def test_included_files_have_a_sum_of_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("roost.model.readers.source.MAX_TOTAL_BYTES", 1_000)
    files = Given({f"/x/{n}.txt": "# " + "x" * 300 + "\n" for n in range(4)})
    document = read("requirements.txt", "".join(f"-r {n}.txt\n" for n in range(4)), files)
    (problem,) = document.problems
    assert "/x/3.txt, the files that are included here have 1,212 bytes; roost reads at most 1,000" in problem.message
    assert problem.location == Location(path="/x/requirements.txt", line=4, column=1)


def test_a_file_that_is_wrong_everywhere_ends_after_some_problems():
    errors = read("requirements.txt", "six six\n" * 5_000).errors
    assert len(errors) == 100
    warnings = read("environment.yml", "dependencies: []\n" + "".join(f"key{n}: 1\n" for n in range(3_000))).problems
    assert len(warnings) == 1_001
    assert "1,000 warnings" in warnings[-1].message


@pytest.mark.timeout(120)
def test_ignored_files_are_matched_without_trying_every_way():
    is_ignored = parse_dockerignore("**/" * 20 + "*a" * 30 + "b")
    assert not is_ignored("/".join(["a" * 200] * 15))
    with pytest.raises(InvalidDefinitionError, match="more than 50 stars") as caught:
        parse_dockerignore("x\n" + "*a" * 1_000, "/x/.dockerignore")
    assert caught.value.location == Location(path="/x/.dockerignore", line=2)


def test_many_files_are_named_by_path(tmp_path: Path):
    (tmp_path / "a.txt").write_text("six six\n")
    (tmp_path / "requirements.txt").write_text("-r a.txt\nrich rich\n")
    document = read_source(DefinitionSource(path=str(tmp_path / "requirements.txt")), LocalFiles())
    places = [(problem.location.path.rpartition("/")[2], problem.location.line) for problem in document.errors]
    assert places == [("requirements.txt", 2), ("a.txt", 1)]
