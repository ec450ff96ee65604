"""Whoever decodes what somebody else has written expects everything that malformed input can raise."""

from __future__ import annotations

import ast

from tests import house

DECODED = {"MsgspecError", "DecodeError", "TOMLDecodeError", "JSONDecodeError", "YAMLError"}
NARROW = {
    "roost.daemon.config.config": "it has the line of one, and takes the others after it",
    "roost.model.documents.toml_places": "a single quoted key",
    "roost.model.documents.toml_text": "deep values and long numbers are refused before",
    "roost.model.documents.yaml_nodes": "composed from events, whose depth is bounded; with ValueError",
    "roost.store.index.database": "rows that roost wrote; a ValueError of a query is a fault of the query",
    "roost.store.sources.conda_environments": "with ValueError and RecursionError",
}
"""Modules that name an error of one library, and why that is enough there."""


def named_errors(name: str) -> set[str]:
    """The errors of libraries for malformed input that the ``except`` clauses of a module name."""
    found: set[str] = set()
    for node in ast.walk(house.tree(name)):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            found |= {each.attr for each in ast.walk(node.type) if isinstance(each, ast.Attribute)} & DECODED
    return found


def test_nobody_expects_only_some_of_what_malformed_input_raises() -> None:
    names = [name for name in house.modules() if name.startswith(("roost.daemon", "roost.store", "roost.model"))]
    assert {name for name in names if named_errors(name)} == set(NARROW), (
        "catch MALFORMED_JSON or MALFORMED_TOML of roost.model.errors, or add the module here with the reason"
    )
