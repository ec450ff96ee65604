"""A package that is added to a file and removed again leaves it byte for byte as it was, however the file is written.

Where the list did not exist, what was created for it stays, and an empty ``pip`` section goes: the properties say so.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.support.corpus import CORPUS, needs_corpus
from tests.support.editing import edit
from tests.support.soaking import examples

from roost.model.errors import CodedError
from roost.model.readers.read import detect_format, read_source
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

names = st.sampled_from(["a", "b", "numpy", "Scipy", "x-y", "z.z", "zz_top"])
bounds = st.sampled_from(["", ">=1", " >= 1", "==2.*", "[x]>1", " ; os_name == 'nt'", ">=1,<2"])
listed = st.lists(st.tuples(names, bounds), max_size=4, unique_by=lambda pair: pair[0])
added = st.tuples(st.sampled_from(["aa", "m", "zzz", "Foo_Bar"]), st.sampled_from(["", ">=1", "[x]", ">=1,<2"]))
line_ends = st.sampled_from(["\n", "\r\n"])
blanks = st.sampled_from(["", " ", "\n", "\n    ", "\n\t", "  # c\n  ", '\n# c, "d" ]\n  ', "\n\n", " \n "])


@st.composite
def arrays(draw: st.DrawFn) -> str:
    """An array of TOML in any style."""
    quote = draw(st.sampled_from(['"', '"', "'"]))
    pieces = ["["]
    members = draw(listed)
    for index, (name, bound) in enumerate(members):
        mark = '"' if "'" in bound else quote
        pieces += [draw(blanks), f"{mark}{name}{bound}{mark}"]
        if index < len(members) - 1 or draw(st.booleans()):
            pieces += [draw(st.sampled_from(["", "", " "])), ","]
    return "".join([*pieces, draw(blanks), "]"])


tables = st.sampled_from(["", "\n", "# end", "[tool.x]\ny = 1\n", "\n# about x\n[[tool.x]]\ny = '''\n[project]\n'''"])
projects = st.builds(
    lambda array, below: f'[project]\nname = "mine"\nversion = "1"\ndependencies = {array}\n{below}', arrays(), tables
)


def add_and_remove(text: str, file: str, package: tuple[str, str], section: str | None = None) -> tuple[bytes, bytes]:
    """Return the file after the addition and after the removal."""
    between = edit(text, file, "".join(package), section=section)  # type: ignore[arg-type]
    assert between.data != text.encode()
    return between.data, edit(between.data, file, remove=package[0], section=section).data  # type: ignore[arg-type]


@examples(40)
@given(projects, added, line_ends)
def test_projects(text: str, package: tuple[str, str], end: str):
    text = text.replace("\n", end)
    between, after = add_and_remove(text, "pyproject.toml", package)
    assert after == text.encode()
    old, new = (tomllib.loads(each.decode()) for each in (text.encode(), between))
    found = new["project"]["dependencies"]
    assert len(found) == len(old["project"]["dependencies"]) + 1
    assert [each for each in found if each in old["project"]["dependencies"]] == old["project"].pop("dependencies")
    assert new["project"].pop("dependencies") == found
    assert new == old


@examples(40)
@given(arrays(), st.sampled_from(["#\n", "# \n", ""]), tables.filter(lambda text: "'''" not in text), added, line_ends)
def test_scripts(array: str, gap: str, below: str, package: tuple[str, str], end: str):
    content = f"dependencies = {array}\n{below}".rstrip("\n")
    lines = [f"# {line}" if line else gap.rstrip("\n") or "#" for line in content.split("\n")]
    text = "\n".join(["#!/bin/x", "", "# /// script", *lines, "# ///", "", "import x", ""]).replace("\n", end)
    assert add_and_remove(text, "train.py", package)[1] == text.encode()


requirement_lines = st.one_of(
    st.builds(
        lambda pair, tail: f"{''.join(pair)}{tail}", st.tuples(names, bounds), st.sampled_from(["", "  # c", " "])
    ),
    st.sampled_from(["", "# c", "  # d", "--pre", "-c https://h.example/c.txt", "q \\\n  ==1", "r \\\n  # c", "\t"]),
)


@examples(40)
@given(st.lists(requirement_lines, max_size=7, unique_by=lambda line: line[:1]), st.booleans(), added, line_ends)
def test_requirements_files(lines: list[str], has_end: bool, package: tuple[str, str], end: str):
    text = ("\n".join(lines) + ("\n" if has_end else "")).replace("\n", end)
    assert add_and_remove(text, "requirements.txt", package)[1] == text.encode()


@st.composite
def yaml_lists(draw: st.DrawFn, indent: str, *, bounds: st.SearchStrategy[str] = bounds) -> str:
    """A list with an item a line, or in brackets, as the value of a key; with line ends before and after."""
    members = draw(st.lists(st.tuples(names, bounds), max_size=4, unique_by=lambda pair: pair[0]))
    mark = draw(st.sampled_from(["", "", '"']))
    if draw(st.integers(0, 4)) == 0:
        comma = draw(st.sampled_from([", ", ",", f",\n{indent}   "]))
        quoted = [f'"{name}{bound}"' for name, bound in members]
        return f" [{comma.join(quoted)}]\n"
    dash = draw(st.sampled_from(["- ", "-   "]))
    lines = []
    for name, bound in members:
        quote = '"' if mark or "'" in bound else ""
        lines.append(f"{indent}{dash}{quote}{name}{bound}{quote}{draw(st.sampled_from(['', '  # c', ' ']))}")
        lines += draw(st.sampled_from([[], [], [""], [f"{indent}# d"], ["# e"]]))
    return "".join(f"{line}\n" for line in ["", *lines])


conda_bounds = st.sampled_from(["", ">=1", " >=1", "=2.*", "=1=py*_0", ">=1,<2"])
keys = st.sampled_from(["", "name: x\n", "# c\n", "channels:\n- a\n", "channels: [a]\n", "variables: {A: b}\n", "\n"])


conda_lists = st.sampled_from(["", "  ", "    "]).flatmap(lambda indent: yaml_lists(indent, bounds=conda_bounds))
conda_added = added.filter(lambda pair: "[" not in pair[1])
keys_below = keys.filter(lambda key: "a" not in key)


@examples(40)
@given(st.tuples(keys, conda_lists, keys_below), st.booleans(), conda_added, line_ends)
def test_conda_environments(parts: tuple[str, str, str], has_end: bool, package: tuple[str, str], end: str):
    above, members, below = parts
    assume(not (above and above == below))
    text = f"{above}dependencies:{members}{below}"
    text = (text if has_end else text.rstrip("\n")).replace("\n", end)
    between, after = add_and_remove(text, "environment.yml", package)
    assert after == text.encode()
    old, new = (yaml.safe_load(each) for each in (text.encode(), between))
    found, before = new.pop("dependencies"), old.pop("dependencies") or []
    assert [each for each in found if each in before] == before
    assert len(found) == len(before) + 1
    assert new == old


@examples(40)
@given(st.sampled_from(["", "  "]), st.booleans(), st.data(), keys_below, added, line_ends)
def test_pip_sections(
    indent: str, has_section: bool, data: st.DataObject, below: str, package: tuple[str, str], end: str
):
    section = ""
    if has_section:
        inner = indent + data.draw(st.sampled_from(["  ", "    "]))
        members = data.draw(yaml_lists(inner))
        assume(members != "\n")  # an empty one goes
        section = f"{indent}- pip:{members}"
    text = f"dependencies:\n{indent}- python\n{indent}- pip\n{section}{below}".replace("\n", end)
    assert add_and_remove(text, "environment.yml", package, "pip")[1] == text.encode()


def real_files() -> list[Path]:
    return sorted(path for path in (CORPUS / "files").iterdir() if path.is_file()) if CORPUS.exists() else []


EDITED = ("conda", "requirements", "pyproject", "roost", "pep723")


@needs_corpus
def test_real_files():
    refused, edited = [], 0
    for path in real_files():
        source = DefinitionSource(path=str(path))
        if read_source(source, LocalFiles()).errors or detect_format(source, LocalFiles()) not in EDITED:
            continue
        data = path.read_bytes()
        for section in ("conda", "pip"):
            try:
                between = edit(data, str(path), "zz-top>=1", section=section)  # type: ignore[arg-type]
            except CodedError as error:
                refused.append((path.name, section, error.message))
                continue
            after = edit(between.data, str(path), remove="zz-top", section=section).data  # type: ignore[arg-type]
            edited += 1
            created = [item.name for item in between.items if item.name == "pip"]
            if after != data and not created:
                assert yaml.safe_load(after) == {**(yaml.safe_load(data) or {}), "dependencies": None}
    assert edited > 250
    assert [message for _, _, message in refused if "pip only" not in message] == [
        *("The file is not in UTF-8", "The file is not in UTF-8"),
        "The file is generated by another tool",
        "the pip section is not a list",
    ]
