"""Whatever a file holds, reading it ends in a definition or in a ``InvalidDefinitionError`` with a place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.support.parsers import read
from tests.support.soaking import examples

from roost.model.documents.toml_text import TomlText
from roost.model.readers.read import READ_FORMATS
from roost.model.syntax.urls import strip_credentials

VECTORS = json.loads((Path(__file__).parents[1] / "golden" / "vectors.json").read_text(encoding="utf-8"))
FILES = sorted((name, text) for vector in VECTORS for name, text in vector.get("files", {}).items())
PIECES = [
    "\n",
    " ",
    "\t",
    "#",
    ":",
    "- ",
    "[",
    "]",
    "{",
    "}",
    '"',
    "'",
    "\\",
    "=",
    "&a ",
    "*a",
    "<<: ",
    "null",
    "~",
    "é",
]
PIECES += [
    "\0",
    "---\n",
    "pip:",
    "[[",
    "==",
    ";",
    "@",
    "${X}",
    "1",
    "true",
    "!!binary ",
    "\u2028",
    "\r",
    "-e ",
    "--",
    "//",
]


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, str]:
    name, text = draw(st.sampled_from(FILES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 8)))
        text = text[:start] + draw(st.sampled_from(PIECES)) * draw(st.integers(0, 2)) + text[end:]
    return name.rpartition("/")[2], text


@examples(400)
@given(damaged())
def test_damaged_files(file):
    name, text = file
    read(name, text.encode("utf-8", "surrogatepass"))


@examples(200)
@given(st.binary(max_size=60), st.sampled_from(["environment.yml", "requirements.txt", "roost.toml", "x.py", "x"]))
def test_any_bytes(data, name):
    read(name, data)


@pytest.mark.parametrize("format", [format for format in READ_FORMATS if format != "context"])
def test_every_file_read_as_every_format(format):
    for name, text in FILES:
        read(name.rpartition("/")[2], text.encode(), format)


@given(st.text(max_size=30), st.text(max_size=10), st.sampled_from(["https", "git+https", "ftp"]))
def test_stripping_is_done_once(before, user, scheme):
    text = f"{before} {scheme}://{user}:{user}@h.example/x"
    clean, _ = strip_credentials(text)
    assert strip_credentials(clean)[0] == clean


ODD = st.sampled_from(
    [None, 3, 1.5, True, "", "text", "a b", [], [3], [[]], {}, {"a": 1}, {"a": {}}, [{}], ["x", None]]
)


def _odd_within(draw: Any, value: Any) -> Any:
    """``value`` with something odd put in one place."""
    if isinstance(value, (dict, list)) and value and draw(st.integers(0, 4)):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = draw(st.sampled_from(keys))
        changed = dict(value) if isinstance(value, dict) else list(value)
        changed[key] = _odd_within(draw, value[key])
        return changed
    return draw(ODD)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    return json.dumps("null" if value is None else value)


def _structured() -> list[tuple[str, object]]:
    parsers = {".toml": TomlText, ".yml": yaml.safe_load, ".json": yaml.safe_load, ".lock": yaml.safe_load}
    found: list[tuple[str, object]] = []
    for name, text in FILES:
        parser = parsers.get("." + name.rpartition(".")[2])
        if parser is TomlText:
            found.append((name, TomlText(text, name).data))
        elif parser is not None:
            found.append((name, parser(text)))
    return found


PROJECT = {
    "project": {"name": "p", "dynamic": ["version"], "requires-python": ">=3.10", "dependencies": ["six"]},
    "dependency-groups": {"a": ["rich", {"include-group": "b"}], "b": ["six"]},
}
OWN = {"tool": {"roost": {"name": "x", "conda": {"dependencies": ["six"]}, "base": {"dockerfile": "FROM a\n"}}}}
STRUCTURED = [*_structured(), ("pyproject.toml", PROJECT), ("pyproject.toml", {**PROJECT, **OWN})] * 2


@examples(400)
@given(st.data())
def test_values_of_the_wrong_shape(data):
    name, content = data.draw(st.sampled_from(STRUCTURED))
    odd = _odd_within(data.draw, content)
    if name.endswith(".toml"):
        text = (
            "\n".join(f"{json.dumps(key)} = {_toml(value)}" for key, value in odd.items())
            if isinstance(odd, dict)
            else ""
        )
    else:
        text = json.dumps(odd)
    read(name.rpartition("/")[2], text.encode())
