"""Writers: from a definition, its settings and, where a format is made of one, its lock to other tools' files. Pure.

What is written, ``roost.model.readers`` reads back; ``tests/property`` says of which formats nothing is lost.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import msgspec
import tomli_w

from roost.model.definition import PipItem
from roost.model.errors import InvalidRequestError
from roost.model.forms.azure import CONDA_FILE, DOCKER_FILE, JSON_FILE
from roost.model.forms.canonical import counting_defaults
from roost.model.readers.document import pip_entry, to_document
from roost.model.writers.azure import write_azure, write_azure_v2
from roost.model.writers.conda import write_conda, write_conda_builds
from roost.model.writers.locks import LOCK_WRITERS, write_requirements
from roost.model.writers.parts import CONTEXT, Copy, Draft, ExportImpossibleError, ExportSource, Writer, Written

__all__ = [
    "FORMATS",
    "Copy",
    "ExportFormat",
    "ExportImpossibleError",
    "ExportSource",
    "Written",
    "export_format",
    "write",
]


class ExportFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What a format is like."""

    file: str
    """The file to name when importing it, as it is called where nobody calls it otherwise."""
    writer: Writer
    folder: bool = False
    """Always several files."""
    locked: bool = False
    """Made of a lock."""
    parts: tuple[str, ...] = ()
    """Files that may stand beside it, and that are read with it though it does not name them."""


def write_roost(draft: Draft) -> None:
    """roost's own file, which can say everything. Wheels, projects and build contexts go along; what can't (an editable
    install, a folder of links) stays named by its folder. The lines of nested files stand where those were named."""
    exported = draft.exported
    defaults = counting_defaults(exported.definition, exported.defaults)
    document = to_document(exported.definition, exported.settings, exported.name, defaults)
    if exported.definition.pip.requirements:
        document["pip"]["requirements"] = _entries(draft, exported.definition.pip.requirements)
    base = exported.definition.base
    if base is not None and base.context is not None and base.context_path is not None:
        draft.copies[CONTEXT] = Copy(digest=base.context, path=base.context_path, folder=True, context=True)
        document["base"]["context"] = CONTEXT
    draft.main(tomli_w.dumps(document, multiline_strings=True))


def _entries(draft: Draft, items: Iterable[PipItem]) -> list[Any]:
    return [entry for item in items for entry in _entry(draft, item)]


def _entry(draft: Draft, item: PipItem) -> list[Any]:
    if item.path is None:
        return [pip_entry(item)]
    if item.kind == "requirements":
        return _entries(draft, item.items)
    if item.kind == "constraints":
        return draft.pip_lines((item,)) if _holds_local(item.items) else [pip_entry(_placeless(item)[0])]
    if item.kind in ("wheel", "source"):
        return draft.pip_lines((item,))
    draft.warn_local(item)
    return [pip_entry(item)]


def _holds_local(items: Iterable[PipItem]) -> bool:
    return any(item.digest is not None or _holds_local(item.items) for item in items)


def _placeless(item: PipItem) -> list[PipItem]:
    """Without the places where nested files lay: their lines are what counts."""
    inner = tuple(bare for each in item.items for bare in _placeless(each))
    if item.kind == "requirements" and item.path is not None:
        return list(inner)
    return [msgspec.structs.replace(item, path=item.path and item.text, items=inner)]


FORMATS: dict[str, ExportFormat] = {
    "azure": ExportFormat(file=JSON_FILE, writer=write_azure, folder=True, parts=(CONDA_FILE, DOCKER_FILE)),
    "azure-v2": ExportFormat(file="environment.yml", writer=write_azure_v2, folder=True),
    "conda": ExportFormat(file="environment.yml", writer=write_conda),
    "conda-builds": ExportFormat(file="environment.yml", writer=write_conda_builds, locked=True),
    **{name: ExportFormat(file=file, writer=writer, locked=True) for name, (file, writer) in LOCK_WRITERS.items()},
    "requirements": ExportFormat(file="requirements.txt", writer=write_requirements, locked=True),
    "roost": ExportFormat(file="roost.toml", writer=write_roost),
}


def export_format(name: str) -> ExportFormat:
    """The format of that name. Raises InvalidRequestError."""
    if name not in FORMATS:
        near = difflib.get_close_matches(name, FORMATS, n=1)
        known = f"Name one of {', '.join(FORMATS)}."
        hint = f"Did you mean {near[0]!r}? {known}" if near else known
        raise InvalidRequestError(f"There is no export format {name!r}", hint=hint)
    return FORMATS[name]


def write(format: str, exported: ExportSource) -> Written:
    """``exported`` in ``format``. Raises InvalidRequestError, ExportImpossibleError, LockNotPortableError."""
    chosen = export_format(format)
    if chosen.locked and exported.lock is None:
        raise InvalidRequestError(
            f"The format {format!r} is made of a lock, and a user-managed environment has none",
            hint="Roost installs nothing for it: name azure, azure-v2, conda or roost.",
        )
    draft = Draft(exported, format, chosen.file)
    chosen.writer(draft)
    return draft.written()
