"""The tables of keys are the test: each key of each tool is followed, refused, reported or irrelevant, as they say."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.golden.tool_tables import FILE, format_tables
from uv import find_uv_bin

from roost.model.canonical.form import digest_definition
from roost.model.definition import Defaults
from roost.model.documents.document import Problem
from roost.model.readers.read import read_source
from roost.model.readers.source import DefinitionSource
from roost.model.readers.tools.other_keys import HATCH_ENVIRONMENT_KEYS, PDM_KEYS, PIXI_KEYS, POETRY_KEYS
from roost.model.readers.tools.rules import KeyRules
from roost.model.readers.tools.uv_keys import (
    INDEX_KEYS,
    PIP_KEYS_THAT_CHOOSE,
    PROJECT_KEYS,
    SETTING_KEYS,
    SOURCE_KEYS,
)
from roost.store.sources.files import LocalFiles

PROJECT = """[project]
name = "own"
dependencies = ["leaf>=1", "torch"]
[dependency-groups]
dev = ["pytest"]
docs = ["sphinx"]
"""
PLACES: dict[str, tuple[KeyRules, str]] = {
    "uv": ({**PROJECT_KEYS, **SETTING_KEYS}, "tool.uv"),
    "pixi": (PIXI_KEYS, "tool.pixi"),
    "poetry": (POETRY_KEYS, "tool.poetry"),
    "pdm": (PDM_KEYS, "tool.pdm"),
    "hatch": (HATCH_ENVIRONMENT_KEYS, "tool.hatch.envs.default"),
}
INDEX = 'index = [{ name = "own", url = "https://own.example/simple" }]\n'
EXPLICIT = 'index = [{ name = "own", url = "https://own.example/simple", explicit = true }]\n'
FOLLOWED = {
    "uv.build-constraint-dependencies": '["setuptools<80"]',
    "uv.constraint-dependencies": '["leaf<2"]',
    "uv.default-groups": '["docs"]',
    "uv.dev-dependencies": '["ruff"]',
    "uv.dependency-groups": '{ dev = { requires-python = ">=3.10" } }',
    "uv.exclude-dependencies": '["leaf"]',
    "uv.override-dependencies": '["leaf==1"]',
    "uv.sources": '{ torch = { git = "https://example.org/torch", tag = "v2" } }',
    "uv.allow-insecure-host": '["example.org"]',
    "uv.dependency-metadata": '[{ name = "leaf", version = "1", requires-dist = [] }]',
    "uv.exclude-newer": '"2025-06-30"',
    "uv.exclude-newer-package": '{ leaf = "2025-06-30T12:00:00Z" }',
    "uv.extra-index-url": '["https://own.example/simple"]',
    "uv.find-links": '["https://own.example/links"]',
    "uv.index": '[{ url = "https://own.example/simple" }]',
    "uv.index-url": '"https://own.example/simple"',
    "uv.no-binary": "true",
    "uv.no-binary-package": '["leaf"]',
    "uv.no-build": "true",
    "uv.no-build-package": '["leaf"]',
    "uv.no-index": "true",
    "uv.prerelease": '"allow"',
    "uv.prerelease-package": '{ leaf = "allow" }',
    "uv.resolution": '"lowest"',
    "pdm.dev-dependencies": '{ dev = ["ruff"] }',
}
"""A value for each key that is followed, with which the definition is another one."""
OF_THE_PROJECT = ("uv.cache-keys", "uv.package")
"""Keys of the project itself, which is not part of the definition: see ``test_projects``."""
TOGETHER = {
    "uv.conflicts": (
        'default-groups = "all"\nconflicts = [[{ group = "dev" }, { group = "docs" }]]\n',
        "refused",
    ),
    "uv.workspace": ('workspace = { members = ["libs/*"] }\nsources = { torch = { workspace = true } }\n', "refused"),
    "uv.pip": ('pip = { index-url = "https://own.example/simple" }\n', "refused"),
    "uv.index-strategy": (INDEX + 'index-strategy = "unsafe-best-match"\n', "other"),
    "uv.no-sources": (EXPLICIT + 'sources = { torch = { index = "own" } }\nno-sources = true\n', "same"),
    "uv.no-sources-package": (
        EXPLICIT + 'sources = { torch = { index = "own" } }\nno-sources-package = ["torch"]\n',
        "same",
    ),
}
"""Keys that act with others only, and what becomes of the definition."""


def read(tmp_path: Path, text: str) -> tuple[str, list[Problem]]:
    """The digest of a pyproject.toml, and its problems."""
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    document = read_source(DefinitionSource(path=str(path)), LocalFiles())
    assert document.result is not None
    return digest_definition(document.result.definition, Defaults()), list(document.problems)


def keys(*verdicts: str) -> Iterator[str]:
    for tool, (rules, _) in PLACES.items():
        yield from (f"{tool}.{key}" for key, rule in rules.items() if rule.verdict in verdicts)


def written(name: str, value: str = '["something"]') -> str:
    tool, _, key = name.partition(".")
    return f'{PROJECT}[{PLACES[tool][1]}]\n"{key}" = {value}\n'


@pytest.mark.parametrize("name", list(keys("irrelevant")))
def test_an_irrelevant_key_changes_no_digest(tmp_path: Path, name: str) -> None:
    before, _ = read(tmp_path, PROJECT)
    assert read(tmp_path, written(name)) == (before, [])


@pytest.mark.parametrize("name", list(keys("reported")))
def test_a_reported_key_is_a_warning_and_changes_no_digest(tmp_path: Path, name: str) -> None:
    before, _ = read(tmp_path, PROJECT)
    after, [problem] = read(tmp_path, written(name))
    assert after == before
    assert (problem.severity, problem.code) == ("warning", "tool-key-unused")
    assert problem.location is not None
    assert problem.location.line == 8
    assert f"{PLACES[name.partition('.')[0]][1]}.{name.partition('.')[2]}" in problem.message


@pytest.mark.parametrize("name", [name for name in keys("refused") if name != "poetry.dependencies"])
def test_a_refused_key_is_an_error_with_its_place_and_what_to_do(tmp_path: Path, name: str) -> None:
    _, [problem] = read(tmp_path, written(name))
    assert (problem.severity, problem.code) == ("error", "tool-key-refused")
    assert problem.location is not None
    assert problem.location.line == 8
    assert problem.hint
    assert name.partition(".")[2] in problem.message


@pytest.mark.parametrize("tool", PLACES)
def test_an_unknown_key_is_refused(tmp_path: Path, tool: str) -> None:
    _, [problem] = read(tmp_path, written(f"{tool}.nonsense"))
    assert (problem.severity, problem.code) == ("error", "tool-key-refused")
    assert "nonsense is unknown" in problem.message


def test_every_followed_key_has_an_example() -> None:
    assert set(keys("followed")) == set(FOLLOWED) | set(TOGETHER) | set(OF_THE_PROJECT)


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_followed_key_acts(tmp_path: Path, name: str) -> None:
    before, _ = read(tmp_path, PROJECT)
    after, problems = read(tmp_path, written(name, FOLLOWED[name]))
    assert problems == []
    assert after != before


@pytest.mark.parametrize("name", TOGETHER)
def test_a_key_acts_with_others(tmp_path: Path, name: str) -> None:
    text, expected = TOGETHER[name]
    key = name.partition(".")[2]
    table = f"{PROJECT}[tool.uv]\n"
    other, _ = read(tmp_path, table + "".join(line for line in text.splitlines(True) if not line.startswith(key)))
    digest, problems = read(tmp_path, table + text)
    found = "refused" if problems else "other" if digest != other else "same"
    plain, _ = read(tmp_path, PROJECT)
    assert found == ("other" if expected == "same" else expected)
    assert expected != "same" or digest == plain, "as if there were no sources"


def test_values_that_say_nothing_are_no_problem(tmp_path: Path) -> None:
    text = PROJECT + "[tool.uv]\nno-build-isolation = false\nconfig-settings = {}\nextra-build-dependencies = {}\n"
    assert read(tmp_path, text) == read(tmp_path, PROJECT)


def list_fields(tmp_path: Path, text: str) -> set[str]:
    """The keys that the installed uv has, from its refusal of one that it does not have."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\ndependencies = ["six"]\n' + text)
    command = [os.fsdecode(find_uv_bin()), "lock", "--offline", "--no-python-downloads"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"HOME": str(tmp_path)})
    found = re.search(r"unknown field `nonsense`, expected one of (.*)", run.stderr)
    assert found, run.stderr
    return set(re.findall(r"`([^`]+)`", found[1]))


def test_the_tables_have_every_key_of_the_installed_uv(tmp_path: Path) -> None:
    assert list_fields(tmp_path, "[tool.uv]\nnonsense = 1\n") - {*PROJECT_KEYS, *SETTING_KEYS} == set()
    assert list_fields(tmp_path, "[tool.uv.sources]\nsix = { nonsense = 1 }\n") - set(SOURCE_KEYS) == set()
    assert set(PIP_KEYS_THAT_CHOOSE) <= list_fields(tmp_path, "[tool.uv.pip]\nnonsense = 1\n")


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        (INDEX_KEYS, '[[tool.uv.index]]\nname = "a"\nurl = "https://own.example/simple"\n{key} = {value}\n'),
        (SOURCE_KEYS, '[tool.uv.sources]\ntorch = {{ url = "https://own.example/t.whl", {key} = {value} }}\n'),
    ],
)
def test_keys_of_indexes_and_sources_are_refused_as_the_tables_say(tmp_path: Path, rules: KeyRules, text: str) -> None:
    for key, rule in rules.items():
        if rule.verdict == "refused":
            value = "false" if key == "package" else '"flat"' if key == "format" else "true"
            _, [problem] = read(tmp_path, PROJECT + text.format(key=key, value=value))
            assert (problem.code, problem.severity) == ("tool-key-refused", "error"), key
    _, [problem] = read(tmp_path, PROJECT + text.format(key="nonsense", value="1"))
    assert "nonsense is unknown" in problem.message


def test_poetry_beside_project_is_refused_only_where_it_says_something_else(tmp_path: Path) -> None:
    before = read(tmp_path, PROJECT)
    harmless = '[tool.poetry.dependencies]\npython = "^3.10"\nleaf = { version = "*", optional = true }\n'
    assert read(tmp_path, PROJECT + harmless) == before
    for place in (
        'source = "own"',
        'git = "https://example.org/leaf"',
        'path = "../leaf"',
        'url = "https://x.org/l.whl"',
    ):
        _, [problem] = read(tmp_path, f"{PROJECT}[tool.poetry.dependencies]\nleaf = {{ {place} }}\n")
        assert (problem.code, problem.severity) == ("tool-key-refused", "error")
    bare = '[project]\nname = "own"\n[tool.poetry.dependencies]\nleaf = "^1"\n'
    assert [problem.code for problem in read(tmp_path, bare)[1]] == ["tool-key-refused"]
    explicit = '[[tool.poetry.source]]\nname = "own"\nurl = "https://own.example/simple"\npriority = "explicit"\n'
    assert read(tmp_path, PROJECT + explicit) == before, "no package comes from it"
    assert [p.code for p in read(tmp_path, PROJECT + explicit.replace("explicit", "primary"))[1]] == [
        "tool-key-refused"
    ]


def test_pixi_that_only_names_the_project_itself_is_no_problem(tmp_path: Path) -> None:
    text = '[tool.pixi.workspace]\nchannels = ["conda-forge"]\n[tool.pixi.pypi-dependencies]\nown = { path = "." }\n'
    assert read(tmp_path, PROJECT + text) == read(tmp_path, PROJECT)


def test_the_page_has_every_table() -> None:
    assert FILE.read_text(encoding="utf-8") == format_tables(), (
        "python -m tests.golden.tool_tables > docs/tool-tables.md"
    )
