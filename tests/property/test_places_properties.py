"""Each item's place points at its own text, however it is written; whatever a file holds, no place is outside it."""

from __future__ import annotations

import codecs
import json
from typing import Any

import msgspec
import tomllib
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.test_reader_properties import damaged
from tests.support.places import check_document

from roost.model.documents.document import Document
from roost.model.documents.places import TextPlaces
from roost.model.documents.toml_places import TomlPlaces
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.read import read_source
from roost.model.readers.source import DefinitionSource, decode_text
from roost.store.sources.files import LocalFiles

WORDS = st.sampled_from(["six", "numpy", "a-b", "x_y", "z1"])
SPECS = st.builds(lambda name, rest: name + rest, WORDS, st.sampled_from(["", "=1.2", ">=1,<2", " 1.8*", "=1=py*_0"]))
LINES = st.builds(
    lambda name, rest: name + rest,
    WORDS,
    st.sampled_from(["", "==1.0", "[a,b]>=2", ' ; os_name == "posix"', " @ https://h.example/x.whl", "~=1.2é"[:5]]),
)
CHANNELS = st.sampled_from(["conda-forge", "bioconda", "https://h.example/c", "https://h.example/t/${TOKEN}/é"])
VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufeff"), max_size=8)
NOTES = st.sampled_from(["", "  # a note", " #"])


@st.composite
def encodings(draw: st.DrawFn, text: str) -> bytes:
    """The text with any line ends, in any encoding that is read."""
    text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
    mark, encoding = draw(
        st.sampled_from(
            [
                (b"", "utf-8"),
                (codecs.BOM_UTF8, "utf-8"),
                (codecs.BOM_UTF16_LE, "utf-16-le"),
                (codecs.BOM_UTF16_BE, "utf-16-be"),
            ]
        )
    )
    return mark + text.encode(encoding)


@st.composite
def yaml_scalars(draw: st.DrawFn, value: str) -> str:
    styles = ["single", "double", "escaped"]
    if value and value[0].isalnum() and not set(value) & set(":#{}[],&*?|<>=!%@`'\"") and value == value.strip():
        styles += ["plain", "anchor"]
    style = draw(st.sampled_from(styles))
    if style in ("plain", "anchor"):
        return value if style == "plain" else f"&a{draw(st.integers(0, 10**9))} {value}"
    if style == "single":
        return "'" + value.replace("'", "''") + "'"
    return json.dumps(value, ensure_ascii=style == "escaped" and all(ord(each) < 0x10000 for each in value))


@st.composite
def yaml_lists(draw: st.DrawFn, values: list[str], indent: str) -> str:
    scalars = [draw(yaml_scalars(value)) for value in values]
    if draw(st.booleans()) and not any("\n" in scalar for scalar in scalars):
        return " [" + draw(st.sampled_from([", ", ",\n" + indent + "   "])).join(scalars) + "]\n"
    return "\n" + "".join(f"{indent}- {scalar}{draw(NOTES)}\n" for scalar in scalars)


@st.composite
def conda_files(draw: st.DrawFn) -> tuple[str, str]:
    lists = [draw(st.lists(each, min_size=1, max_size=4)) for each in (CHANNELS, SPECS, LINES)]
    channels, specs, lines = lists
    pip = "\n" + "".join(f"    - {draw(yaml_scalars(line))}\n" for line in lines)
    if draw(st.booleans()):
        mark = draw(st.sampled_from(["|", "|-", ">"] if len(lines) == 1 else ["|", "|-"]))
        pip = f" {mark}\n" + "".join(f"      {line}{draw(NOTES)}\n" for line in lines)
    variables = "".join(
        f"  {draw(yaml_scalars(f'K{number}'))}: {draw(yaml_scalars(value))}\n"
        for number, value in enumerate(draw(st.lists(VALUES, max_size=3)))
    )
    text = (
        f"name: x\nchannels:{draw(yaml_lists(channels, '  '))}"
        f"dependencies:\n" + "".join(f"  - {draw(yaml_scalars(spec))}{draw(NOTES)}\n" for spec in specs)
        + f"  - pip:{pip}" + (f"variables:\n{variables}" if variables else "")
    )  # fmt: skip
    return "environment.yml", text


@st.composite
def toml_texts(draw: st.DrawFn, value: str) -> str:
    styles = ["basic", "escaped", "basic lines"]
    if not set(value) & set("'\n\t"):
        styles += ["literal", "literal lines"]
    style = draw(st.sampled_from(styles))
    if style.startswith("literal"):
        return f"'{value}'" if style == "literal" else f"'''\n{value}'''"
    quoted = json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if style == "escaped" and all(ord(character) < 0x10000 for character in value):
        return json.dumps(value)
    return quoted if style != "basic lines" else '""' + quoted + '""'


@st.composite
def toml_arrays(draw: st.DrawFn, values: list[str]) -> str:
    texts = [draw(toml_texts(value)) for value in values]
    if draw(st.booleans()):
        return "[" + ", ".join(texts) + "]\n"
    return "[ # all\n" + "".join(f"  {text},{draw(NOTES)}\n" for text in texts) + "]\n"


@st.composite
def roost_files(draw: st.DrawFn) -> tuple[str, str]:
    channels, specs, lines = (draw(st.lists(each, min_size=1, max_size=4)) for each in (CHANNELS, SPECS, LINES))
    prefix = draw(st.sampled_from(["", "tool.roost."]))
    header = draw(st.sampled_from([f"[{prefix}conda]\n", f"[ {prefix} 'conda' ] # note\n"]))
    text = (
        f"{header}channels = {draw(toml_arrays(channels))}"
        f"{draw(st.sampled_from(['dependencies', chr(34) + 'dependencies' + chr(34)]))} = {draw(toml_arrays(specs))}"
        f"[{prefix}pip]\nrequirements={draw(toml_arrays(lines))}"
        f"[{prefix}variables]\n"
        + "".join(f"K{n} = {draw(toml_texts(value))}\n" for n, value in enumerate(draw(st.lists(VALUES, max_size=3))))
    )
    return "pyproject.toml" if prefix else "roost.toml", text


@st.composite
def projects(draw: st.DrawFn) -> tuple[str, str]:
    lines, more = (draw(st.lists(LINES, min_size=1, max_size=4)) for _ in range(2))
    if draw(st.booleans()):
        content = f"dependencies = {draw(toml_arrays(lines))}requires-python = '>=3.10'\n"
        marked = "".join(f"# {line}\n" if line else "#\n" for line in content.split("\n")[:-1])
        return "train.py", f"#!/usr/bin/env python\n# /// script\n{marked}# ///\nprint()\n"
    groups = draw(st.sampled_from(["[dependency-groups]\na = ", "dependency-groups.a = "]))
    project = f"[project]\nname = 'p'\ndependencies = {draw(toml_arrays(lines))}"
    group = groups + draw(toml_arrays(more))
    return "pyproject.toml", project + group if groups.startswith("[") else group + project


@st.composite
def requirement_files(draw: st.DrawFn) -> tuple[str, str]:
    text = ""
    for line in draw(st.lists(LINES, min_size=1, max_size=6)):
        indent, note = draw(st.sampled_from(["", "  ", "\t"])), draw(NOTES)
        cut = draw(st.integers(0, len(line)))
        continued = line[:cut] + "\\\n" + line[cut:] if draw(st.booleans()) else line
        text += indent + continued + note + "\n" * draw(st.integers(1, 2))
    return "requirements.txt", text


FILES = st.one_of(conda_files(), roost_files(), projects(), requirement_files())


def read(name: str, data: bytes, format: str | None = None) -> Document:
    return read_source(DefinitionSource(path="/nowhere/" + name, data=data, format=format), LocalFiles())


@settings(max_examples=400)
@given(st.data())
def test_each_place_points_at_its_own_text(data):
    name, text = data.draw(FILES)
    document = read(name, data.draw(encodings(text)))
    assert document.errors == (), text
    kinds = {item.kind for item in document.items}
    assert kinds & {"pip", "spec"}
    check_document(document, {"/nowhere/" + name: text})
    counted = [item for item in document.items if item.kind in ("channel", "spec", "pip")]
    assert all(item.location.line is not None for item in counted)


@settings(max_examples=200)
@given(damaged())
def test_no_place_is_outside_of_a_damaged_file(file):
    name, text = file
    data = text.encode("utf-8", "surrogatepass")
    document = read(name, data)
    try:
        check_document(document, {"/nowhere/" + name: decode_text(data, name)})
    except InvalidDefinitionError:  # not a text at all
        assert document.errors
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(document), type=Document) == document


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Any]:
    found: dict[tuple[str | int, ...], Any] = {}
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        found |= {(*path, key): inner} if not isinstance(inner, (dict, list)) else leaves(inner, (*path, key))
    return found


SCALARS = st.sampled_from(
    ["1", "1.5", "true", "1979-05-27 07:32:00", "'a'", '"b\\n"', '"""\nc"""', "'''d'''", '"""e""""']
)
KEYS = st.sampled_from(["a", "b", "'c.d'", '"e\\u00e9"', "a.b", "a . 'x'", "1.2"])
TOML = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: "[" + ", # note\n".join(each) + "\n]"),
        st.dictionaries(KEYS, inner, max_size=3).map(
            lambda each: "{" + ", ".join(f"{key} = {value}" for key, value in each.items()) + "}"
        ),
    ),
    max_leaves=6,
)
HEADERS = st.sampled_from(["[t]", "[[u]]", "[u.v]", "[ t . w ]", "[['x y']]", "[t.a.b]"])


@settings(max_examples=500)
@given(st.lists(st.one_of(HEADERS, st.builds(lambda key, value: f"{key} = {value}", KEYS, TOML)), max_size=8))
def test_the_places_of_toml_are_those_of_its_values(lines):
    text = "\n".join(lines)
    places = TomlPlaces(TextPlaces(text, "/x"))
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    found = leaves(data)
    scalars = {path for path in places.values if text[places.values[path].start] not in "[{"}
    assert scalars == set(found)
    for path, value in found.items():
        span = places.values[path]
        assert tomllib.loads(f"value = {text[span.start : span.end]}")["value"] == value


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(['"', "'", '"""', "'''", "\\", "[", "]", "{", "}", "=", ",", ".", "a", "\n", "#", " ", "1"]),
        max_size=30,
    )
)
def test_no_text_breaks_the_search_for_places(pieces):
    TomlPlaces(TextPlaces("".join(pieces), "/x"))
