"""Conda environment files: lists with an item a line and in brackets, and their pip section."""

from __future__ import annotations

import pytest
from tests.support.editing import describe_items, edit, edit_text

from roost.model.edits.change import EditRefusedError

STYLES = {
    "sorted": ("- python\n  - numpy\n  - zlib\n", "scipy", "- python\n  - numpy\n  - scipy\n  - zlib\n"),
    "not sorted": ("- zlib\n  - numpy\n", "scipy", "- zlib\n  - numpy\n  - scipy\n"),
    "python first": ("- python=3.12\n", "numpy", "- python=3.12\n  - numpy\n"),
    "before the first": ("# numbers\n  - scipy\n", "numpy", "# numbers\n  - numpy\n  - scipy\n"),
    "before the pip section": (
        "- numpy\n  - pip\n  - pip:\n    - six\n",
        "scipy",
        "- numpy\n  - scipy\n  - pip\n  - pip:\n    - six\n",
    ),
    "without a last line end": ("- numpy", "scipy", "- numpy\n  - scipy"),
    "a comment behind": ("- numpy  # why\n", "scipy", "- numpy  # why\n  - scipy\n"),
    "a tab before a comment": ("- numpy\t# why\n", "scipy", "- numpy\t# why\n  - scipy\n"),
    "wide dashes": ("-   numpy\n", "scipy", "-   numpy\n  -   scipy\n"),
    "quotes": ('- "numpy"\n', "scipy", '- "numpy"\n  - "scipy"\n'),
    "single quotes": ("- 'numpy'\n", "scipy", "- 'numpy'\n  - 'scipy'\n"),
    "brackets": ("[numpy, zlib]\n", "scipy>=1,<2", "[numpy, 'scipy>=1,<2', zlib]\n"),
    "empty brackets": ("[]\n", "scipy", "[scipy]\n"),
    "brackets of several lines": ("[\n  numpy,\n  zlib,\n  ]\n", "scipy", "[\n  numpy,\n  scipy,\n  zlib,\n  ]\n"),
    "spaces around operators": ("- numpy >=2\n", "scipy>=1", "- numpy >=2\n  - scipy >=1\n"),
    "a channel": ("- numpy\n", "conda-forge::scipy", "- numpy\n  - conda-forge::scipy\n"),
    "blank lines between": ("- numpy\n\n  - zlib\n\nname: x\n", "scipy", "- numpy\n  - scipy\n\n  - zlib\n\nname: x\n"),
    "another installer": ("- zlib\n  - npm:\n    - x\n# end\n", "six", "- six\n  - zlib\n  - npm:\n    - x\n# end\n"),
    "characters of four bytes": ("- numpy # 🦜🦜\nx-🦜: 1\n", "scipy", "- numpy # 🦜🦜\n  - scipy\nx-🦜: 1\n"),
}
"""The list before, the package that is added, and the list after it; removing the package leads back."""
WHOLE = {
    "no value": ("name: x\ndependencies:\n", "name: x\ndependencies:\n  - scipy\n"),
    "no value, with a comment": ("dependencies:  # none\nname: x\n", "dependencies:  # none\n  - scipy\nname: x\n"),
    "no indentation": ("channels:\n- c\ndependencies:\n", "channels:\n- c\ndependencies:\n- scipy\n"),
    "all in brackets": ('{"dependencies": ["numpy"]}\n', '{"dependencies": ["numpy", "scipy"]}\n'),
    "an anchor elsewhere": (
        "channels: &c\n  - a\nx-more: *c\ndependencies:\n  - numpy\n",
        "channels: &c\n  - a\nx-more: *c\ndependencies:\n  - numpy\n  - scipy\n",
    ),
    "a byte-order mark": ("\ufeffdependencies:\n  - numpy\n", "\ufeffdependencies:\n  - numpy\n  - scipy\n"),
}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("style", STYLES)
def test_an_added_package_follows_the_style_and_goes_without_a_trace(style, line_end):
    before, package, after = STYLES[style]
    gap = " " if before.startswith("[") else "\n  "
    before, after = (f"dependencies:{gap}{text}".replace("\n", line_end) for text in (before, after))
    name = package.rpartition("::")[2].partition(">")[0]
    assert edit_text(before, "environment.yml", package) == after
    assert edit_text(after, "environment.yml", remove=name) == before


@pytest.mark.parametrize("style", WHOLE)
def test_the_whole_file_stays_but_for_the_package(style):
    before, after = WHOLE[style]
    assert edit_text(before, "environment.yml", "scipy") == after
    assert edit_text(after, "environment.yml", remove="scipy") == before


PIP_STYLES = {
    "a section": ("- pip\n- pip:\n    - six\nname: x\n", "- pip\n- pip:\n    - six\n    - zarr\nname: x\n"),
    "a new section": ("- pip\n", "- pip\n- pip:\n    - zarr\n"),
    "a new section before a key": ("- pip\nname: x", "- pip\n- pip:\n    - zarr\nname: x"),
    "an empty section in brackets": ("- pip\n- pip: []\n", "- pip\n- pip: [zarr]\n"),
    "options": (
        "- pip\n- pip:\n  - --extra-index-url https://h.example/simple\n",
        "- pip\n- pip:\n  - --extra-index-url https://h.example/simple\n  - zarr\n",
    ),
    "a new section behind another installer's": (
        "- pip\n- npm:\n    - x\n# end\n",
        "- pip\n- npm:\n    - x\n- pip:\n    - zarr\n# end\n",
    ),
}


@pytest.mark.parametrize("style", PIP_STYLES)
def test_the_pip_section_is_edited_and_created(style):
    before, after = (f"dependencies:\n{text}" for text in PIP_STYLES[style])
    assert edit_text(before, "environment.yml", "zarr", section="pip") == after
    assert edit_text(after, "environment.yml", remove="zarr") == before


def test_a_pip_section_is_created_in_brackets():
    text = "dependencies: [numpy, pip]\n"
    assert edit_text(text, "environment.yml", "pip:zarr[x]") == "dependencies: [numpy, pip, pip: ['zarr[x]']]\n"


def test_pip_itself_becomes_a_dependency_with_the_first_package_for_it():
    edited = edit("dependencies:\n  - python\n  - numpy\n", "environment.yml", "pip: six")
    assert edited.data.decode() == "dependencies:\n  - python\n  - numpy\n  - pip\n  - pip:\n      - six\n"
    assert [(item.action, item.section, item.name, item.line) for item in edited.items] == [
        ("added", "pip", "six", 6),
        ("added", "conda", "pip", 4),
    ]


def test_a_package_is_removed_from_both_sections_unless_one_is_named():
    text = "dependencies:\n  - six\n  - zlib\n  - pip:\n    - six\n    - zarr\n"
    expected = "dependencies:\n  - zlib\n  - pip:\n    - zarr\n"
    assert edit_text(text, "environment.yml", remove="six") == expected
    assert edit_text(text, "environment.yml", remove="pip:six") == text.replace("    - six\n", "")
    assert describe_items(edit(text, "environment.yml", remove="six")) == ["removed six", "removed six"]


def test_an_empty_file_becomes_an_environment():
    assert edit_text("# mine\n", "environment.yml", "numpy") == "# mine\ndependencies:\n  - numpy\n"


REFUSED = {
    "an anchor of the list": ("dependencies: &d\n  - numpy\nx: *d\n", "anchor", 1),
    "an alias of the list": ("x: &d\n  - numpy\ndependencies: *d\n", "anchor", 3),
    "an anchor in the list": ("dependencies:\n  - &n numpy\n", "anchor", 2),
    "a merged list": ("x: &d\n  dependencies: [a]\n<<: *d\n", "anchor", 2),
    "null": ("name: x\ndependencies: ~\n", "null", 2),
    "a text": ("dependencies:\n  - numpy\n  - pip: six\n", "not a list", 3),
    "two pip sections": ("dependencies:\n  - pip: [a]\n  - pip: [b]\n", "two pip sections", 3),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_edited_is_refused_with_its_place_and_the_line_to_add(case):
    text, message, line = REFUSED[case]
    with pytest.raises(EditRefusedError, match=message) as caught:
        edit(text, "environment.yml", "pip:zarr")
    assert caught.value.location is not None
    assert (caught.value.location.path, caught.value.location.line) == ("/nowhere/environment.yml", line)
    assert "zarr" in caught.value.hint
