"""A NUL character that is written as an escape: it is refused where it is, before anything is made of the text."""

from __future__ import annotations

import json

import pytest

from roost.model.errors import InvalidDefinitionError
from roost.model.readers.read import read_definition, read_tables
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

TEXTS = {
    "environment.yml": ('dependencies:\n  - pip:\n    - "git+file:///a\\0b"\n', 3, 7),
    "environment.json": ('{"dependencies": ["a"],\n "channels": ["\\u0000"]}', 2, 15),
    "roost.toml": ('[base]\ndockerfile = "a\\u0000b"\n', 2, 1),
    "pyproject.toml": ('[tool.roost.variables]\n"A\\U00000000" = "1"\n', 2, 1),
    "azureml_environment.json": ('{"docker": {\n"baseImage": "a\\u0000"}}', 2, 14),
}


@pytest.mark.parametrize("name", TEXTS)
def test_it_is_refused_with_its_place(name: str) -> None:
    text, line, column = TEXTS[name]
    with pytest.raises(InvalidDefinitionError, match="NUL character") as caught:
        read_definition(DefinitionSource(path="/x/" + name, data=text.encode()), LocalFiles())
    place = caught.value.location
    assert place is not None
    assert (place.line, place.column) == (line, column)


def test_it_is_refused_in_tables_that_a_client_sends() -> None:
    for tables in ({"base": {"context": "a\0"}}, {"variables": {"A\0": "1"}}, {"pip": {"requirements": ["./a\0"]}}):
        assert "\0" not in json.dumps(tables)
        with pytest.raises(InvalidDefinitionError, match="NUL character"):
            read_tables(tables, LocalFiles(), "/x/roost.toml")
