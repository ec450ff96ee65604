"""What a source says of itself, and what uv is told of it."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.engines.uv.errors import WheelCorruptError
from roost.daemon.engines.uv.sources.metadata import (
    SourceMetadata,
    parse_metadata,
    parse_static,
    render_uv_metadata,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STATIC = "Metadata-Version: 2.2\nName: A_b\nVersion: 1.0\nRequires-Dist: leaf>=1\nProvides-Extra: x\n"


def test_names_and_versions_are_normalised() -> None:
    found = parse_metadata(STATIC + "Requires-Python: >=3.8\n", "a")
    assert (found.name, found.version, found.requires) == ("a-b", "1.0", ("leaf>=1",))
    assert (found.requires_python, found.extras) == (">=3.8", ("x",))


@pytest.mark.parametrize(
    ("text", "is_static"),
    [
        (STATIC, True),
        (STATIC.replace("2.2", "2.4"), True),
        (STATIC.replace("2.2", "2.1"), False),
        (STATIC + "Dynamic: License\n", True),
        (STATIC + "Dynamic: Requires-Dist\n", False),
        (STATIC + "Dynamic: provides-extra\n", False),
        ("nothing of the kind", False),
    ],
)
def test_metadata_is_static_from_its_version_on_unless_dependencies_are_dynamic(text: str, is_static: bool) -> None:
    assert (parse_static(text, "a") is not None) == is_static


@pytest.mark.parametrize("text", ["", "Name: a\n", "Name: a\nVersion: one\n", STATIC + "Requires-Dist: ???\n"])
def test_metadata_that_is_not_valid_is_refused(text: str) -> None:
    with pytest.raises(WheelCorruptError, match="of a is not valid"):
        parse_metadata(text, "a")


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@given(st.lists(st.builds(SourceMetadata, name=TEXTS, version=TEXTS, requires=st.tuples(TEXTS))), st.sets(TEXTS))
def test_uv_reads_what_was_known(known: list[SourceMetadata], placeholders: set[str]) -> None:
    tables = tomllib.loads(render_uv_metadata(placeholders, known)).get("dependency-metadata", [])
    assert {table["name"] for table in tables if "version" not in table} == placeholders
    versioned = [(table["name"], table["version"], *table["requires-dist"]) for table in tables if "version" in table]
    assert versioned == [(each.name, each.version, *each.requires) for each in known]
