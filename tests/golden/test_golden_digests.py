"""Digests that must never change: ``vectors.json`` holds files, their canonical forms and their digests, spelled out.

A vector that fails here is not to be mended by writing the new digest into it. A change of the canonical form needs a
new format number, and the old one must stay readable (``roost.model.canonical.form``).
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import msgspec
import pytest

from roost.model.canonical.form import (
    canonicalise_definition,
    canonicalise_settings,
    digest_definition,
    digest_settings,
    parse_canonical,
)
from roost.model.definition import Choices, Defaults, Definition, Pip, PipItem, Settings
from roost.model.readers.read import read_definition
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text(encoding="utf-8"))


def parsed(vector: dict, folder: Path) -> tuple[Definition, Settings]:
    if "definition" in vector:
        return msgspec.convert(vector["definition"], Definition), Settings()
    for name, content in vector["files"].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content.encode())
    source = DefinitionSource(path=os.path.normpath(folder / vector["read"]))
    choices = msgspec.convert(vector.get("choices", {}), Choices)  # older versions read all groups
    read_one = read_definition(source, LocalFiles(), choices)
    return with_refused_line(read_one.definition, vector.get("refused_now")), read_one.settings


def with_refused_line(definition: Definition, line: dict | None) -> Definition:
    """Add a requirement that older versions read: readers refuse it now, stored definitions keep it."""
    if line is None:
        return definition
    items = list(definition.pip.requirements)
    items.insert(line["at"], PipItem(kind=line["kind"], text=line["text"]))
    return msgspec.structs.replace(definition, pip=Pip(requirements=tuple(items)))


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_the_digest_is_what_it_always_was(vector, tmp_path):
    definition, settings = parsed(vector, tmp_path)
    defaults = msgspec.convert(vector.get("defaults", {}), Defaults)
    form = canonicalise_definition(definition, defaults)
    assert parse_canonical(form) == vector["canonical"]
    assert digest_definition(definition, defaults) == vector["digest"]
    assert json.loads(canonicalise_settings(settings)) == vector["settings"]
    assert digest_settings(settings) == vector["settings_digest"]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_the_form_is_plain_json_that_any_program_can_write(vector):
    """Sorted keys, no white space, UTF-8, only what must be escaped: Python's own encoder gives the same bytes."""
    for form, digest in (("canonical", "digest"), ("settings", "settings_digest")):
        written = json.dumps(vector[form], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        assert "sha256:" + hashlib.sha256(written).hexdigest() == vector[digest]


def test_every_section_and_format_has_a_vector():
    sections = {section for vector in VECTORS for section in vector["canonical"]}
    assert sections == {"format", "base", "conda", "pip", "python", "system", "spark", "r", "inference"}
    assert {vector["canonical"]["format"] for vector in VECTORS} == {1}
    assert len({vector["digest"] for vector in VECTORS}) == len(VECTORS) - 1  # one is another in a different style
