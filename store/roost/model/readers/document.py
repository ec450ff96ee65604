"""A definition and its settings as one document in the shape of ``roost.toml``: what ``env show --json`` prints, the
Python API sends and ``env edit`` opens. Pure.

Nothing is lost on the way: what ``read_document`` makes of a document has the digests of what it was written from. Most
of it are texts that people would write. What no text can say is a table: a local wheel with its content's digest, a
Dockerfile of one line, a build context that is kept elsewhere.
"""

from __future__ import annotations

from typing import Any

import msgspec

from roost.model.definition import Base, Definition, OwnDefaults, Parsed, PipItem, Python, Settings
from roost.model.errors import InvalidDefinitionError
from roost.model.readers.roost_file import read_roost
from roost.model.readers.source import Files, Reading
from roost.model.readers.toml_places import TomlText
from roost.model.syntax.pip_lines import read_line
from roost.model.syntax.wheel_references import is_kept, wheel_reference

Document = dict[str, Any]


def to_document(
    definition: Definition, settings: Settings, name: str | None = None, defaults: OwnDefaults | None = None
) -> Document:
    """``definition`` and ``settings`` in the shape of ``roost.toml``; sections that say nothing are left out.
    ``defaults``: what is to count where it is read, whatever the config there says."""
    said = {"name": name, **definition_document(definition, defaults), **settings_document(settings)}
    return {key: value for key, value in said.items() if value is not None}


def definition_document(definition: Definition, defaults: OwnDefaults | None = None) -> Document:
    """The sections that affect a build."""
    sections: Document = {
        "base": _base(definition.base),
        "conda": _said(msgspec.to_builtins(definition.conda)),
        "pip": _said({"requirements": [pip_entry(item) for item in definition.pip.requirements]}),
        "python": _python(definition.python),
        "system": dict(definition.system),
        "spark": _said(msgspec.to_builtins(definition.spark)),
        "r": None if definition.r is None else _said(msgspec.to_builtins(definition.r)),
        "inference": _said({"stack": definition.inference_stack}),
        "defaults": _said(msgspec.to_builtins(defaults or OwnDefaults())),
    }
    kept = ("base", "r")  # to name no base at all is not the same as an empty section
    return {key: value for key, value in sections.items() if value or (key in kept and value is not None)}


def settings_document(settings: Settings) -> Document:
    """The sections that shape a run. The interpreter stands in ``python``."""
    container = _said(msgspec.to_builtins(settings.container))
    return _said({"variables": dict(settings.variables), "container": container, "kept": dict(settings.kept)})


def read_document(document: Document, files: Files, path: str) -> Parsed:
    """What a document says. ``path``: what errors call it; local things are looked for beside it. Raises
    ``InvalidDefinitionError``."""
    return read_roost(Reading(files, path), TomlText.of(document, path))


def _base(base: Base | None) -> Document | None:
    if base is None:
        return None
    said = _said(
        {
            "image": base.image,
            "steps": list(base.steps),
            "platform": base.platform,
            "dockerfile": base.dockerfile if "\n" in (base.dockerfile or "") else None,
        }
    )
    if base.dockerfile is not None and "dockerfile" not in said:
        said["dockerfile"] = {"text": base.dockerfile}
    if base.context is not None:
        said["context"] = _said({"digest": base.context, "path": base.context_path})
    return said


def _python(python: Python) -> Document:
    said = _said({"user_managed": python.user_managed or None, "requires": python.requires})
    return {**said, "interpreter": python.interpreter} if python.interpreter != Python().interpreter else said


def pip_entry(item: PipItem) -> str | Document:
    """The line, if reading it again gives the same; else all that is known of it."""
    if is_kept(item) and not item.items:
        text = wheel_reference(item.digest or "", item.text)
        return text if _reads_as(text, item) else _table(item)
    if item.digest is None and item.path is None and not item.items:
        text = item.text if item.kind != "constraints" else f"-c {item.text}"
        if item.kind == "requirements":
            return f"-r {item.text}"
        if _reads_as(text, item):
            return text
    return _table(item)


def _reads_as(text: str, item: PipItem) -> bool:
    try:
        read = read_line(text)
    except InvalidDefinitionError:
        return False
    return (read.kind, read.text) == (item.kind, item.text)


def _table(item: PipItem) -> Document:
    bare = msgspec.structs.replace(item, location=None, items=())
    table: Document = _said(msgspec.to_builtins(bare))
    return {**table, "items": [_table(inner) for inner in item.items]} if item.items else table


def _said(table: Document) -> Document:
    return {key: value for key, value in table.items() if value not in (None, "", [], (), {})}
