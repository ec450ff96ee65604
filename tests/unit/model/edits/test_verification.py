"""A change that does more than it should is refused, wherever the fault is."""

from __future__ import annotations

import pytest
from tests.support.editing import edit

from roost.model.edits import item_lists, requirement_lines, scripts, toml_arrays, yaml_lists
from roost.model.edits.change import EditRefusedError
from roost.model.edits.source_text import Splice
from roost.model.edits.verification import TouchedNames, verify_reading
from roost.model.readers.read import read_definition, read_source
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

PROJECT = '[project]\nname = "mine"\ndependencies = ["a"]\n[tool.x]\ny = 1\n'
CONDA = "name: x\ndependencies:\n  - a\n  - pip:\n    - b\n"
REQUIREMENTS = "a\n-c https://h.example/c.txt\n"
FAULTS = {
    "another key": (toml_arrays.TomlArray, "pyproject.toml", PROJECT, "y = 1", "z = 1"),
    "another type": (toml_arrays.TomlArray, "pyproject.toml", PROJECT, "= 1", "= 1.0"),
    "another requirement": (toml_arrays.TomlArray, "pyproject.toml", PROJECT, '"a"', '"q"'),
    "no TOML": (toml_arrays.TomlArray, "pyproject.toml", PROJECT, "[project]", "project]"),
    "another name": (yaml_lists.YamlList, "environment.yml", CONDA, "name: x", "name: y"),
    "another section": (yaml_lists.YamlList, "environment.yml", CONDA, "- b", "- q"),
    "another match spec": (yaml_lists.YamlList, "environment.yml", CONDA, "- a", "- q"),
    "no YAML": (yaml_lists.YamlList, "environment.yml", CONDA, "name", "{name"),
    "another option": (requirement_lines.RequirementLines, "requirements.txt", REQUIREMENTS, "-c", "-r"),
}
"""What inserts, the file, and what it changes beside."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_change_of_anything_else_is_refused(fault, monkeypatch):
    kind, name, text, old, new = FAULTS[fault]
    insert, start = kind.insert, text.index(old)
    edit(text, name, "numpy")  # nothing else is wrong with it

    def insert_more(self: item_lists.EditableList, index: int, text: str) -> list[Splice]:
        return [*insert(self, index, text), Splice(start, start + len(old), new)]

    monkeypatch.setattr(kind, "insert", insert_more)
    with pytest.raises(EditRefusedError, match=r"form that can't be edited|not be valid any more"):
        edit(text, name, "numpy")


@pytest.mark.parametrize(
    "splice", [Splice(9, 9, "# /// script\n# dependencies = ['b']\n# ///\n\n"), Splice(9, 17, "import y")]
)
def test_a_change_of_the_rest_of_a_script_is_refused(splice, monkeypatch):
    text = "#!/bin/x\nimport x\n# /// script\n# dependencies = ['a']\n# ///\n"
    convert = scripts.BlockPlaces.convert
    edit(text, "train.py", "numpy")

    def convert_elsewhere(self: scripts.BlockPlaces, own: Splice) -> Splice:
        moved = convert(self, own)
        return Splice(splice.start, moved.end, splice.text + text[splice.end : moved.start] + moved.text)

    monkeypatch.setattr(scripts.BlockPlaces, "convert", convert_elsewhere)
    with pytest.raises(Exception, match=r"form that can't be edited|blocks; expected one"):
        edit(text, "train.py", "numpy")


def read(text: str, name: str):
    return read_source(DefinitionSource(path=f"/nowhere/{name}", data=text.encode()), LocalFiles())


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ("a\nb==2\n", "effect on other parts"),
        ("a\nb==1\nc\n", "effect on other parts"),
        ("a\n", "effect on other parts"),
        ("b==1\n", None),
        ("a==3\nb==1\n", None),
        ("a ==\nb==1\n", "not be valid any more"),
    ],
)
def test_readings_are_compared(after, message):
    before = read_definition(DefinitionSource(path="/nowhere/r.txt", data=b"a\nb==1\n"), LocalFiles())
    touched = TouchedNames(pip=frozenset({"a"}))
    if message is None:
        verify_reading(before, read(after, "r.txt"), touched)
        return
    with pytest.raises(EditRefusedError, match=message):
        verify_reading(before, read(after, "r.txt"), touched)


def test_settings_and_order_are_compared():
    text = "name: x\nvariables: {A: b}\ndependencies: [b, c]\n"
    before = read_definition(DefinitionSource(path="/nowhere/e.yml", data=text.encode()), LocalFiles())
    for other in (text.replace("b}", "c}"), text.replace("name: x\n", ""), text.replace("b, c", "c, b")):
        with pytest.raises(EditRefusedError, match="effect on other parts"):
            verify_reading(before, read(other, "e.yml"), TouchedNames(conda=frozenset({"a"})))
