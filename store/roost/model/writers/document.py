"""A definition and its settings as one document in the shape of ``roost.toml``: what ``env show --json`` prints, the
Python API sends and ``env edit`` opens.

No information is lost: what ``roost.model.readers.read.read_tables`` makes of a document has the digests of the
definition and settings that it was written from. Most values are texts that people would write. What no text can
express is a table: a local wheel with its content's digest, a Dockerfile of one line, a build context that is stored
elsewhere.
"""

from __future__ import annotations

from typing import Any

import msgspec

from roost.model.definition import Base, DefaultOverrides, Definition, PipItem, Python, Settings
from roost.model.errors import InvalidDefinitionError
from roost.model.syntax.pip_lines import parse_pip_line
from roost.model.syntax.wheel_references import format_wheel_reference, is_stored_wheel

Document = dict[str, Any]


def to_document(
    definition: Definition, settings: Settings, name: str | None = None, defaults: DefaultOverrides | None = None
) -> Document:
    """Return ``definition`` and ``settings`` in the shape of ``roost.toml``, without empty sections.

    ``defaults`` apply wherever the document is read, whatever the configuration there.
    """
    content = {"name": name, **definition_to_document(definition, defaults), **settings_to_document(settings)}
    return {key: value for key, value in content.items() if value is not None}


def definition_to_document(definition: Definition, defaults: DefaultOverrides | None = None) -> Document:
    """Return the sections that affect a build."""
    python = definition.python
    python_section = _drop_empty({"user_managed": python.user_managed or None, "requires": python.requires})
    if python.interpreter != Python().interpreter:
        python_section["interpreter"] = python.interpreter
    sections: Document = {
        "base": _base_to_document(definition.base),
        "conda": _drop_empty(msgspec.to_builtins(definition.conda)),
        "pip": _drop_empty({"requirements": [to_pip_entry(item) for item in definition.pip.requirements]}),
        "python": python_section,
        "system": dict(definition.system),
        "spark": _drop_empty(msgspec.to_builtins(definition.spark)),
        "r": None if definition.r is None else _drop_empty(msgspec.to_builtins(definition.r)),
        "inference": _drop_empty({"stack": definition.inference_stack}),
        "defaults": _drop_empty(msgspec.to_builtins(defaults or DefaultOverrides())),
    }
    nullable = ("base", "r")  # an empty section differs from an absent one
    return {key: value for key, value in sections.items() if value or (key in nullable and value is not None)}


def settings_to_document(settings: Settings) -> Document:
    """Return the sections that affect a run; the interpreter stands in ``python``."""
    container = _drop_empty(msgspec.to_builtins(settings.container))
    return _drop_empty(
        {"variables": dict(settings.variables), "container": container, "kept": dict(settings.passthrough)}
    )


def to_pip_entry(item: PipItem) -> str | Document:
    """Return the item's line if reading it gives the same item, else a table of its fields."""
    if is_stored_wheel(item) and not item.items:
        text = format_wheel_reference(item.digest or "", item.text)
        return text if _reads_back(text, item) else _pip_item_to_table(item)
    if item.digest is None and item.path is None and not item.items:
        text = item.text if item.kind != "constraints" else f"-c {item.text}"
        if item.kind == "requirements":
            return f"-r {item.text}"
        if _reads_back(text, item):
            return text
    return _pip_item_to_table(item)


def _base_to_document(base: Base | None) -> Document | None:
    if base is None:
        return None
    section = _drop_empty(
        {
            "image": base.image,
            "steps": list(base.steps),
            "platform": base.platform,
            "dockerfile": base.dockerfile if "\n" in (base.dockerfile or "") else None,
        }
    )
    if base.dockerfile is not None and "dockerfile" not in section:  # a text of one line would be read as a path
        section["dockerfile"] = {"text": base.dockerfile}
    if base.context is not None:
        stored = {"digest": base.context, "path": base.context_path, "dockerfile": base.dockerfile_path}
        section["context"] = _drop_empty(stored)
    return section


def _reads_back(text: str, item: PipItem) -> bool:
    try:
        line = parse_pip_line(text)
    except InvalidDefinitionError:
        return False
    return (line.kind, line.text) == (item.kind, item.text)


def _pip_item_to_table(item: PipItem) -> Document:
    bare = msgspec.structs.replace(item, location=None, items=())
    table: Document = _drop_empty(msgspec.to_builtins(bare))
    return {**table, "items": [_pip_item_to_table(inner) for inner in item.items]} if item.items else table


def _drop_empty(table: Document) -> Document:
    return {key: value for key, value in table.items() if value not in (None, "", [], (), {})}
