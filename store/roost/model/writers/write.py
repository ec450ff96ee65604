"""The door of the writers: write a definition, its settings and, if the format is made from one, its lock in another
tool's format.

``roost.model.readers`` reads every written format back; ``tests/property`` states which formats lose nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import msgspec
import tomli_w

from roost.model.canonical.form import select_effective_defaults
from roost.model.definition import PipItem
from roost.model.errors import InvalidRequestError
from roost.model.syntax.azure import CONDA_FILE, DOCKER_FILE, JSON_FILE
from roost.model.writers.azure import write_azure, write_azure_v2
from roost.model.writers.conda import write_conda
from roost.model.writers.document import to_document, to_pip_entry
from roost.model.writers.draft import (
    CONTEXT,
    Draft,
    ExportedFiles,
    ExportImpossibleError,
    ExportSource,
    FileCopy,
    Writer,
    copy_context,
)
from roost.model.writers.locks import LOCK_WRITERS

__all__ = [
    "EXPORT_FORMATS",
    "ExportImpossibleError",
    "ExportSource",
    "ExportedFiles",
    "FileCopy",
    "FormatDescription",
    "find_export_format",
    "write_export",
]


class FormatDescription(msgspec.Struct, frozen=True, kw_only=True):
    """An export format: its files and its writer."""

    file: str
    """Default name of the file to name when importing an export."""
    writer: Writer
    folder: bool = False
    """Whether an export always has several files."""
    locked: bool = False
    """Whether the format is made from a lock."""
    parts: tuple[str, ...] = ()
    """Optional files beside ``file`` that are read with it, although ``file`` does not name them."""


def find_export_format(name: str) -> FormatDescription:
    """Return the format called ``name``. Raises: InvalidRequestError if there is none."""
    if name not in EXPORT_FORMATS:
        near = difflib.get_close_matches(name, EXPORT_FORMATS, n=1)
        known = f"Name one of {', '.join(EXPORT_FORMATS)}."
        hint = f"Did you mean {near[0]!r}? {known}" if near else known
        raise InvalidRequestError(f"There is no export format {name!r}", hint=hint)
    return EXPORT_FORMATS[name]


def write_export(format: str, source: ExportSource) -> ExportedFiles:
    """Write ``source`` in ``format``.

    Raises: InvalidRequestError if the format does not exist or needs a lock that is missing; ExportImpossibleError if
    the format cannot express the environment; LockNotPortableError if the lock holds packages that only this machine
    has.
    """
    chosen = find_export_format(format)
    if chosen.locked and source.lock is None:
        raise InvalidRequestError(
            f"The format {format!r} needs a lock, and a user-managed environment has none",
            hint="Roost installs nothing for it: use azure, azure-v2, conda or roost.",
        )
    draft = Draft(source, format, chosen.file)
    chosen.writer(draft)
    return draft.finish()


def write_roost(draft: Draft) -> None:
    """Write roost's own file, which can express everything.

    Wheels, projects and build contexts are copied; an editable install or a folder of links cannot be, and is named by
    its path. The lines of nested files stand in place of their includes.
    """
    source = draft.source
    defaults = select_effective_defaults(source.definition, source.defaults)
    document = to_document(source.definition, source.settings, source.name, defaults)
    if source.definition.pip.requirements:
        document["pip"]["requirements"] = _format_pip_entries(draft, source.definition.pip.requirements)
    base = source.definition.base
    if base is not None and base.context is not None and base.context_path is not None:
        draft.copies[CONTEXT] = copy_context(base.context, base)
        named = {"path": CONTEXT, "dockerfile": base.dockerfile_path}
        document["base"]["context"] = named if base.dockerfile_path else CONTEXT
    draft.write_main(tomli_w.dumps(document, multiline_strings=True))


def _format_pip_entries(draft: Draft, items: Iterable[PipItem]) -> list[Any]:
    """Return the entries of ``[pip] requirements``: texts, and tables for what no text can express."""
    entries: list[Any] = []
    for item in items:
        if item.path is None:
            entries.append(to_pip_entry(item))
        elif item.kind == "requirements":
            entries += _format_pip_entries(draft, item.items)
        elif item.kind in ("wheel", "source") or (item.kind == "constraints" and _has_local_items(item.items)):
            entries += draft.format_pip_lines((item,))
        elif item.kind == "constraints":
            entries.append(to_pip_entry(_inline_nested(item)[0]))
        else:
            draft.warn_local(item)
            entries.append(to_pip_entry(item))
    return entries


def _has_local_items(items: Iterable[PipItem]) -> bool:
    return any(item.digest is not None or _has_local_items(item.items) for item in items)


def _inline_nested(item: PipItem) -> list[PipItem]:
    """Return ``item`` without the paths of nested files, whose lines alone count."""
    inner = tuple(inlined for each in item.items for inlined in _inline_nested(each))
    if item.kind == "requirements" and item.path is not None:
        return list(inner)
    return [msgspec.structs.replace(item, path=item.path and item.text, items=inner)]


EXPORT_FORMATS: dict[str, FormatDescription] = {
    "azure": FormatDescription(file=JSON_FILE, writer=write_azure, folder=True, parts=(CONDA_FILE, DOCKER_FILE)),
    "azure-v2": FormatDescription(file="environment.yml", writer=write_azure_v2, folder=True),
    "conda": FormatDescription(file="environment.yml", writer=write_conda),
    **{name: FormatDescription(file=file, writer=writer, locked=True) for name, (file, writer) in LOCK_WRITERS.items()},
    "roost": FormatDescription(file="roost.toml", writer=write_roost),
}
