"""Arrays in TOML: the style of each is kept, and what is missing is created where it belongs."""

from __future__ import annotations

import pytest
from tests.support.editing import edit_text

PROJECT = '[project]\nname = "mine"\nversion = "1"\n'
STYLES = {
    "an empty list": ("[]", "numpy", '[\n    "numpy",\n]'),
    "an empty list with a line end": ("[\n]", "numpy", '[\n    "numpy"\n]'),
    "an empty list with a space": ("[ ]", "numpy", '[ "numpy" ]'),
    "only a comment": ("[\n  # later\n]", "numpy", '[\n  # later\n  "numpy",\n]'),
    "a comment behind the bracket": ("[ # none\n]", "numpy", '[ # none\n    "numpy",\n]'),
    "one line": ('["scipy"]', "torch", '["scipy", "torch"]'),
    "one line, sorted": ('["scipy", "torch"]', "six", '["scipy", "six", "torch"]'),
    "one line, before the first": ('["scipy"]', "numpy", '["numpy", "scipy"]'),
    "one line with a last comma": ('["scipy",]', "torch", '["scipy", "torch",]'),
    "single quotes": ("['scipy']", "torch", "['scipy', 'torch']"),
    "a line each": ('[\n  "scipy",\n]', "torch", '[\n  "scipy",\n  "torch",\n]'),
    "a line each, before the first": ('[\n  "scipy",\n]', "numpy", '[\n  "numpy",\n  "scipy",\n]'),
    "without a last comma": ('[\n  "scipy"\n]', "torch", '[\n  "scipy",\n  "torch"\n]'),
    "with a comment for a last comma": ('[\n  "scipy"  # why\n]', "torch", '[\n  "scipy",  # why\n  "torch"\n]'),
    "with space behind the last": ('[\n  "scipy"  \n]', "torch", '[\n  "scipy",  \n  "torch"\n]'),
    "tabs": ('[\n\t"scipy",\n\t]', "torch", '[\n\t"scipy",\n\t"torch",\n\t]'),
    "the bracket behind the last": ('["b",\n "d"]', "e", '["b",\n "d",\n "e"]'),
    "the bracket behind a last comma": ('["b",\n "d",]', "e", '["b",\n "d",\n "e",]'),
    "several in a line": ('[\n  "b", "c",\n  "d", "f",\n]', "e", '[\n  "b", "c",\n  "d", "e", "f",\n]'),
    "the end of several in a line": ('[\n  "b", "c",\n  "e",\n]', "d", '[\n  "b", "c", "d",\n  "e",\n]'),
    "comments between": (
        '[\n  # numbers\n  "numpy",\n  # trees\n  "xgboost",\n]',
        "scipy",
        '[\n  # numbers\n  "numpy",\n  "scipy",\n  # trees\n  "xgboost",\n]',
    ),
    "a comment behind the only one": ('["a" # x\n]', "b", '["a", # x\n    "b"\n]'),
    "not sorted": ('["torch", "numpy"]', "scipy", '["torch", "numpy", "scipy"]'),
    "spaces around operators": ('["torch >= 2"]', "zarr>=3", '["torch >= 2", "zarr >= 3"]'),
    "a blank line at the end": ('[\n  "scipy",\n\n]', "torch", '[\n  "scipy",\n  "torch",\n\n]'),
    "a hash in a text": ('["a @ https://h.example/a.whl#x=0"]', "b", '["a @ https://h.example/a.whl#x=0", "b"]'),
    "a marker with quotes": ("['a; os_name == \"nt\"']", 'b; os_name == "nt"', None),
}
"""The array before, the package that is added, and the array after it; removing the package leads back."""


@pytest.mark.parametrize("style", STYLES)
def test_an_added_package_follows_the_style_and_goes_without_a_trace(style):
    before, package, after = STYLES[style]
    text = f"{PROJECT}dependencies = {before}\n[tool.x]\ny = 1\n"
    found = edit_text(text, "pyproject.toml", package)
    if after is not None:
        assert found == f"{PROJECT}dependencies = {after}\n[tool.x]\ny = 1\n"
    assert edit_text(found, "pyproject.toml", remove=package.partition(">")[0].partition(";")[0]) == text


REMOVALS = {
    "the last of one line": ('["a", "b"]', "b", '["a"]'),
    "the first of one line": ('["a", "b"]', "a", '["b"]'),
    "the only one": ('["a"]', "a", "[]"),
    "the only one with spaces": ('[ "a", ]', "a", "[ ]"),
    "its comment": ('[\n  "a",\n  "b", # of b\n  "c",\n]', "b", '[\n  "a",\n  "c",\n]'),
    "not the comment above": ('[\n  # of b\n  "b",\n  "c",\n]', "b", '[\n  # of b\n  "c",\n]'),
    "the last without a comma": ('[\n  "a",\n  "b"\n]', "b", '[\n  "a"\n]'),
    "every entry": ('[\n  "a; os_name == \'nt\'",\n  "a>2; os_name != \'nt\'",\n  "b",\n]', "a", '[\n  "b",\n]'),
    "one before a comment": ('["a", # x\n "b"]', "a", '[\n "b"]'),
    "the last behind a comment": ('["a", # x\n "b"]', "b", '["a" # x\n]'),
    "the only one of several lines": ('[\n  "a",\n]', "a", "[]"),
}


@pytest.mark.parametrize("case", REMOVALS)
def test_a_removed_package_leaves_a_tidy_list(case):
    before, package, after = REMOVALS[case]
    found = edit_text(f"{PROJECT}dependencies = {before}\n", "pyproject.toml", remove=package)
    assert found == f"{PROJECT}dependencies = {after}\n"


CREATED = {
    "behind the keys of the table": (
        f'{PROJECT}\n[project.scripts]\na = "a:b"\n',
        {},
        f'{PROJECT}dependencies = [\n    "numpy",\n]\n\n[project.scripts]\na = "a:b"\n',
    ),
    "a group": (
        f"{PROJECT}\n[tool.x]\ny = 1\n",
        {"group": "dev"},
        f'{PROJECT}\n[dependency-groups]\ndev = [\n    "numpy",\n]\n\n[tool.x]\ny = 1\n',
    ),
    "a group beside another": (
        f'{PROJECT}[dependency-groups]\ntest = ["pytest"]\n',
        {"group": "dev"},
        f'{PROJECT}[dependency-groups]\ntest = ["pytest"]\ndev = [\n    "numpy",\n]\n',
    ),
    "an extra": (
        f"{PROJECT}\n# tools\n[tool.x]\ny = 1\n",
        {"extra": "gpu"},
        f'{PROJECT}\n[project.optional-dependencies]\ngpu = [\n    "numpy",\n]\n\n# tools\n[tool.x]\ny = 1\n',
    ),
    "in an inline table": (
        f"{PROJECT}optional-dependencies = {{}}\n",
        {"extra": "gpu"},
        f'{PROJECT}optional-dependencies = {{ gpu = ["numpy"] }}\n',
    ),
    "beside a key of an inline table": (
        f"dependency-groups = {{ test = [] }}\n{PROJECT}",
        {"group": "dev"},
        f'dependency-groups = {{ test = [], dev = ["numpy"] }}\n{PROJECT}',
    ),
    "beside dotted keys": (
        'project.name = "a"\nproject.version = "1"\n',
        {},
        'project.name = "a"\nproject.version = "1"\nproject.dependencies = [\n    "numpy",\n]\n',
    ),
    "in a table without keys": (
        '[project]\n[project.urls]\na = "b"\n',
        {},
        '[project]\ndependencies = [\n    "numpy",\n]\n[project.urls]\na = "b"\n',
    ),
    "without a last line end": (PROJECT.rstrip(), {}, f'{PROJECT}dependencies = [\n    "numpy",\n]'),
    "the first group of a file": (
        "[tool.x]\ny = 1",
        {"group": "dev"},
        '[tool.x]\ny = 1\n\n[dependency-groups]\ndev = [\n    "numpy",\n]\n',
    ),
}


@pytest.mark.parametrize("case", CREATED)
def test_a_missing_list_is_created_where_it_belongs(case):
    before, options, after = CREATED[case]
    assert edit_text(before, "pyproject.toml", "numpy", **options) == after


def test_a_group_is_found_by_any_spelling_of_its_name():
    text = f'{PROJECT}[dependency-groups]\nMy_Group = ["a"]\n'
    assert edit_text(text, "pyproject.toml", "b", group="my-group") == text.replace('["a"]', '["a", "b"]')


@pytest.mark.parametrize(
    ("text", "package", "after"),
    [
        ("[conda]\ndependencies = []\n", "numpy", '[conda]\ndependencies = [\n    "numpy",\n]\n'),
        ('[pip]\nrequirements = ["a"]\n', "numpy", '[pip]\nrequirements = ["a", "numpy"]\n'),
        ('[conda]\nchannels = ["c"]\n', "pip:six", '[conda]\nchannels = ["c"]\n\n[pip]\nrequirements = ["six"]\n'),
        ('name = "x"\n', "conda:r-base", 'name = "x"\n\n[conda]\ndependencies = ["r-base"]\n'),
    ],
)
def test_the_lists_of_roosts_own_file_are_edited(text, package, after):
    found = edit_text(text, "roost.toml", package)
    assert found.replace("[\n    ", "[").replace(",\n]", "]") == after.replace("[\n    ", "[").replace(",\n]", "]")


def test_tool_roost_is_edited_before_project():
    text = f"{PROJECT}dependencies = []\n[tool.roost.conda]\ndependencies = []\n[tool.x]\n"
    expected = text.replace("conda]\ndependencies = []", 'conda]\ndependencies = [\n    "numpy",\n]')
    assert edit_text(text, "pyproject.toml", "numpy") == expected


def test_a_table_of_tool_roost_is_created_beside_the_others():
    text = f"{PROJECT}[tool.roost.conda]\nchannels = ['c']\n\n[tool.x]\ny = 1\n"
    table = '\n[tool.roost.pip]\nrequirements = [\n    "six",\n]\n'
    assert edit_text(text, "pyproject.toml", "pip:six") == text.replace("['c']\n", f"['c']\n{table}")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('["a", {include-group = "u"}]', '["a", "z", {include-group = "u"}]'),
        ('[\n  {include-group = "u"},\n  "a",\n]', '[\n  {include-group = "u"},\n  "a",\n  "z",\n]'),
        ('[{include-group = "u"}]', '["z", {include-group = "u"}]'),
    ],
)
def test_a_group_that_includes_another_keeps_it(before, after):
    text = f'{PROJECT}[dependency-groups]\nu = ["b"]\ndev = {before}\n'
    found = edit_text(text, "pyproject.toml", "z", group="dev")
    assert found == f'{PROJECT}[dependency-groups]\nu = ["b"]\ndev = {after}\n'
    assert edit_text(found, "pyproject.toml", remove="z", group="dev") == text
