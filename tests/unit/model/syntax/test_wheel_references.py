"""A wheel of the store in every format that has requirements: what it means is the wheel that its path would be."""

from __future__ import annotations

from pathlib import Path

import pytest

from roost.model.canonical.form import digest_definition
from roost.model.definition import Defaults, PipItem, ReadResult
from roost.model.readers.read import read_definition, read_tables
from roost.model.readers.source import DefinitionSource
from roost.model.syntax.wheel_references import (
    format_wheel_reference,
    is_stored_wheel,
    is_wheel_reference,
    parse_wheel_reference,
)
from roost.model.writers.document import to_document
from roost.store.sources.files import LocalFiles

NAME = "given-1.0-py3-none-any.whl"
FORMATS = {
    "requirements.txt": "{line}\n",
    "pyproject.toml": '[project]\nname = "x"\nversion = "1"\ndependencies = ["given @ {line}"]\n',
    "script.py": '# /// script\n# dependencies = ["given @ {line}"]\n# ///\n',
    "roost.toml": '[pip]\nrequirements = ["{line}"]\n',
    "environment.yml": "dependencies:\n- pip:\n  - {line}\n",
}


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(b"content")
    return path


def parsed(wheel: Path, name: str, line: str) -> ReadResult:
    text = FORMATS[name].format(line=line)
    return read_definition(DefinitionSource(path=str(wheel.parent / name), data=text.encode()), LocalFiles())


def digest(parsed: ReadResult) -> str:
    return digest_definition(parsed.definition, Defaults())


@pytest.mark.parametrize("name", FORMATS)
def test_it_has_the_digest_of_its_path(wheel: Path, name: str) -> None:
    content = LocalFiles().file_digest(str(wheel))
    by_content = parsed(wheel, name, format_wheel_reference(content, NAME))
    assert digest(by_content) == digest(parsed(wheel, name, f"file://{wheel}"))
    [item] = by_content.definition.pip.requirements
    assert (item.kind, item.text, item.digest, item.path) == ("wheel", NAME, content, None)
    assert item.location is not None
    assert item.location.line is not None


@pytest.mark.parametrize("rest", ["", "[a,b]", ' ; python_version < "4"', '[a] ; os_name == "posix"'])
def test_the_document_of_one_is_the_line_again(wheel: Path, rest: str) -> None:
    line = format_wheel_reference(LocalFiles().file_digest(str(wheel)), NAME) + rest
    before = parsed(wheel, "requirements.txt", line)
    document = to_document(before.definition, before.settings)
    assert document["pip"] == {"requirements": [line]}
    assert digest(read_tables(document, LocalFiles(), "/x/document")) == digest(before)


def test_what_is_a_reference(wheel: Path) -> None:
    content = "sha256:" + "0" * 64
    item = PipItem(kind="wheel", text=NAME, digest=content)
    kept = PipItem(kind="wheel", text=NAME, digest=content, path=f"/root/wheels/given/{'0' * 64}/{NAME}")
    other = PipItem(kind="wheel", text=NAME, digest=content, path=f"/home/wheels/given/{NAME}")
    assert [is_wheel_reference(each) for each in (item, kept, other)] == [True, False, False]
    assert [is_stored_wheel(each) for each in (item, kept, other)] == [True, True, False]
    assert parse_wheel_reference(format_wheel_reference(content, NAME)) == (content, NAME)
    assert parse_wheel_reference(f"roost-wheel:{content}/../{NAME}") is None
