"""Extras and dependency groups: which are read, what they stand for, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from roost.model.definition import Choices, ReadResult, Selection
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

Write = Callable[[str, str], Path]
HEAD = '[project]\nname = "Own_p"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["base"]\n'
EXTRAS = (
    '[project.optional-dependencies]\ncpu = ["leaf<2"]\nGPU = ["leaf>=2"]\n'
    'all = ["own-p[cpu]", "own.p[more] ; os_name == \'posix\'", "end"]\n'
    'more = ["own_p[all]", "late ; python_version > \'3\'"]\n'
)
GROUPS = (
    '[dependency-groups]\ndocs = ["sphinx", {include-group = "Base_x"}]\ndev = ["pytest"]\nbase-x = ["rich"]\n'
    'self = ["own-p[cpu]"]\n'
)


def read(path: Path, extras: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> ReadResult:
    return read_definition(DefinitionSource(path=str(path)), LocalFiles(), Choices(extras=extras, groups=groups))


def texts(result: ReadResult) -> list[str]:
    return [item.text for item in result.definition.pip.requirements]


def refusal(path: Path, extras: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> InvalidDefinitionError:
    with pytest.raises(InvalidDefinitionError) as caught:
        read(path, extras, groups)
    return caught.value


@pytest.mark.parametrize(
    ("settings", "groups", "expected"),
    [
        ("", (), ["pytest"]),
        ("", ("docs",), ["sphinx", "rich", "pytest"]),
        ("", ("DOCS", "base.x"), ["sphinx", "rich", "pytest"]),
        ('default-groups = "all"', (), ["sphinx", "rich", "pytest", "leaf<2"]),
        ("default-groups = []", (), []),
        ("default-groups = []", ("dev",), ["pytest"]),
        ('default-groups = ["Base_X"]', (), ["rich"]),
        ('default-groups = ["docs"]', ("self",), ["sphinx", "rich", "leaf<2"]),
    ],
)
def test_groups_are_the_default_ones_and_those_chosen(
    write: Write, settings: str, groups: tuple[str, ...], expected: list[str]
) -> None:
    path = write("pyproject.toml", f"{HEAD}{EXTRAS}{GROUPS}[tool.uv]\n{settings}\n")
    assert texts(read(path, groups=groups)) == ["base", *expected]


@pytest.mark.parametrize(
    ("extras", "expected"),
    [
        (("cpu",), ["leaf<2"]),
        (("gpu",), ["leaf>=2"]),
        (("all",), ["leaf<2", 'late ; (python_version > "3") and (os_name == "posix")', "end"]),
        (("more",), ["leaf<2", "end", 'late ; python_version > "3"']),
    ],
)
def test_an_extra_stands_for_what_it_lists_and_never_for_the_name_of_the_project(
    write: Write, extras: tuple[str, ...], expected: list[str]
) -> None:
    found = texts(read(write("pyproject.toml", HEAD + EXTRAS), extras=extras))
    assert found == ["base", *expected]


def test_the_result_says_what_was_read_and_what_was_left_out(write: Write) -> None:
    path = write("pyproject.toml", HEAD + EXTRAS + GROUPS)
    assert read(path, ("all",), ("docs",)).selection == Selection(
        extras=("cpu", "all", "more"), other_extras=("GPU",), groups=("docs", "dev", "base-x"), other_groups=("self",)
    )
    assert read(write("pyproject.toml", HEAD)).selection is None


def test_a_chosen_extra_has_the_sources_that_are_for_it(write: Write) -> None:
    sources = (
        '[tool.uv.sources]\nleaf = [{ index = "c", extra = "cpu" }, { url = "https://h/l.whl", extra = "gpu" }]\n'
        '[[tool.uv.index]]\nname = "c"\nurl = "https://c.example/simple"\nexplicit = true\n'
    )
    path = write("pyproject.toml", HEAD.replace('"base"', '"base", "leaf"') + EXTRAS + sources)
    assert texts(read(path)) == ["base", "leaf"]
    assert texts(read(path, ("cpu",)))[2:] == ["leaf<2 --index=https://c.example/simple"]
    assert texts(read(path, ("gpu",)))[2:] == ["leaf @ https://h/l.whl"]


@pytest.mark.parametrize(
    ("extras", "groups", "words", "hint", "line"),
    [
        (("cpuu",), (), "no extra 'cpuu'", "cpu, GPU, all, more", 6),
        ((), ("doc",), "no dependency group 'doc'", "docs, dev, base-x, self", 11),
        ((), ("cpu",), "no dependency group 'cpu'", "docs, dev", 11),
    ],
)
def test_an_unknown_choice_is_refused_with_what_there_is(
    write: Write, extras: tuple[str, ...], groups: tuple[str, ...], words: str, hint: str, line: int
) -> None:
    error = refusal(write("pyproject.toml", HEAD + EXTRAS + GROUPS), extras, groups)
    assert error.code == "choice-unknown"
    assert words in error.message
    assert hint in error.hint
    assert error.location is not None
    assert error.location.line == line


def test_a_near_name_is_proposed(write: Write) -> None:
    assert "did you mean 'docs'" in refusal(write("pyproject.toml", HEAD + GROUPS), (), ("doc",)).message
    assert "leave out --extra" in refusal(write("pyproject.toml", HEAD + GROUPS), ("x",)).hint
    one = write("pyproject.toml", HEAD + "[dependency-groups]\ndev = []\n")
    assert refusal(one, (), ("x",)).hint == "It has the dependency group dev."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train.py", '# /// script\n# dependencies = ["six"]\n# ///\n'),
        ("requirements.txt", "six\n"),
        ("environment.yml", "dependencies: [python]\n"),
        ("roost.toml", '[pip]\nrequirements = ["six"]\n'),
        ("pyproject.toml", '[tool.roost.pip]\nrequirements = ["six"]\n[dependency-groups]\ndocs = ["six"]\n'),
    ],
)
def test_other_formats_have_no_such_choice(write: Write, name: str, text: str) -> None:
    for choice in (("docs",), ()), ((), ("docs",)):
        error = refusal(write(name, text), *choice)
        assert error.code == "choice-unavailable"
        assert ("--extra docs" if choice[0] else "--group docs") in error.message


@pytest.mark.parametrize(
    ("conflicts", "extras", "groups", "conflicting"),
    [
        ('[{ extra = "cpu" }, { extra = "gpu" }]', ("cpu", "gpu"), (), True),
        ('[{ extra = "cpu" }, { extra = "gpu" }]', ("cpu",), (), False),
        ('[{ extra = "cpu" }, { group = "docs" }]', ("all",), ("docs",), True),
        ('[{ group = "base-x" }, { group = "dev" }]', (), ("docs",), True),
        ('[{ group = "docs" }, { group = "dev" }]', (), (), False),
        ('[{ package = "other", extra = "cpu" }, { extra = "gpu" }]', ("cpu", "gpu"), (), False),
        ('[{ package = "own-p", extra = "cpu" }, { extra = "gpu" }]', ("cpu", "gpu"), (), True),
    ],
)
def test_what_excludes_each_other_is_not_read_together(
    write: Write, conflicts: str, extras: tuple[str, ...], groups: tuple[str, ...], conflicting: bool
) -> None:
    path = write("pyproject.toml", f"{HEAD}{EXTRAS}{GROUPS}[tool.uv]\nconflicts = [{conflicts}]\n")
    if not conflicting:
        assert read(path, extras, groups)
        return
    error = refusal(path, extras, groups)
    assert error.code == "choices-conflict"
    assert len(error.fields["conflict"]) == 2
    assert error.location is not None
    assert error.location.line == 17


def test_a_group_may_require_more_of_python(write: Write) -> None:
    settings = (
        '[tool.uv.dependency-groups]\ndocs = { requires-python = ">= 3.12" }\nbase-x = { requires-python = "<4" }\n'
    )
    path = write("pyproject.toml", HEAD + GROUPS + settings)
    assert read(path).definition.python.requires == ">=3.9"
    assert read(path, groups=("docs",)).definition.python.requires == ">=3.9,>=3.12,<4"


@pytest.mark.parametrize(
    ("settings", "words", "line"),
    [
        ('default-groups = "some"\n', "is 'some'", 12),
        ('default-groups = ["dev", "nope"]\n', "no dependency group 'nope'", 12),
        ("default-groups = [1]\n", "expected", 12),
        ('dependency-groups = { dev = { requires-python = "x" } }\n', "'x'", 12),
        ("dependency-groups = { dev = { other = 1 } }\n", "'other' is unknown", 12),
        ("dependency-groups = { nope = {} }\n", "no dependency group 'nope'", 12),
        ("dependency-groups = { dev = 1 }\n", "expected a table", 12),
    ],
)
def test_settings_of_groups_that_are_wrong_are_refused(write: Write, settings: str, words: str, line: int) -> None:
    error = refusal(write("pyproject.toml", f"{HEAD}{GROUPS}[tool.uv]\n{settings}"))
    assert words in error.message
    assert error.location is not None
    assert error.location.line == line


@pytest.mark.parametrize(
    "line", ['docs = ["a b"]', "docs = 3", 'docs = [{include-group = "docs"}]', 'docs = ["x==${V}"]']
)
def test_a_group_that_nobody_chose_has_to_be_valid(write: Write, line: str) -> None:
    assert refusal(write("pyproject.toml", f"{HEAD}[dependency-groups]\n{line}\n")).location.line == 7  # type: ignore[union-attr]


def test_files_that_a_group_names_are_looked_at_if_it_is_chosen(write: Write) -> None:
    path = write(
        "pyproject.toml", HEAD + '[dependency-groups]\ndocs = ["lib @ file:///absent/lib-1.0-py3-none-any.whl"]\n'
    )
    assert texts(read(path)) == ["base"]
    assert "can't be read" in refusal(path, groups=("docs",)).message


def test_extras_that_multiply_are_bounded(write: Write) -> None:
    rows = [
        f"e{n} = [\"own-p[e{n + 1}] ; os_name == 'a{n}'\", \"own-p[e{n + 1}] ; os_name == 'b{n}'\"]" for n in range(12)
    ]
    path = write("pyproject.toml", f"{HEAD}[project.optional-dependencies]\n" + "\n".join(rows) + '\ne12 = ["leaf"]\n')
    assert refusal(path, ("e0",)).code == "definition-too-large"


def test_old_lists_of_development_packages_belong_to_the_group_dev(write: Write) -> None:
    settings = '[tool.uv]\ndev-dependencies = ["ruff"]\n[tool.pdm.dev-dependencies]\ntest = ["tox"]\n'
    path = write("pyproject.toml", HEAD + settings)
    assert texts(read(path)) == ["base", "ruff"]
    assert texts(read(path, groups=("test",))) == ["base", "ruff", "tox"]
    assert texts(read(write("pyproject.toml", HEAD + settings.replace("\n", "\ndefault-groups = []\n", 1)))) == ["base"]


def test_a_requirement_for_the_project_itself_is_never_that_for_a_package_of_its_name(write: Write) -> None:
    error = refusal(write("pyproject.toml", '[project]\nname = "six"\ndependencies = ["idna", "Six>=1"]\n'))
    assert "The project six depends on itself" in error.message
    assert "Rename the project" in error.hint
    assert error.location is not None
    assert (error.location.line, error.location.column) == (3, 26)
    result = read(write("pyproject.toml", '[project]\nname = "six"\n[dependency-groups]\ndev = ["six"]\n'))
    assert texts(result) == []
    assert [(each.code, each.location and each.location.line) for each in result.warnings] == [("self-requirement", 4)]
