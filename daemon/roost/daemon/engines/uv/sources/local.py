"""Local files and folders of a definition's lines: whether they still are what was read, and whose they are."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec
from packaging.utils import canonicalize_name

from roost.daemon.engines.uv.errors import EditableGoneError
from roost.daemon.engines.uv.wheels import StoredWheel
from roost.model.definition import PipItem
from roost.model.readers.requirements import NO_LINKS, name_mismatch
from roost.model.readers.source import MissingFileError
from roost.model.syntax.pip_options import RequirementError
from roost.store.sources.files import LocalFiles


def check_exists(item: PipItem) -> None:
    """Raise EditableGoneError or MissingFileError if something local that was read no longer exists. Blocks."""
    is_local = item.kind in ("wheel", "source", "editable") or (item.kind == "option" and item.digest != NO_LINKS)
    if item.path is None or not is_local or os.path.exists(item.path):
        return
    if item.kind == "editable":
        raise EditableGoneError(
            f"{item.path} no longer exists, and its editable install needs that folder",
            hint="Restore the folder, or install from it without -e, which stores its content.",
            location=item.location,
            fields={"path": item.path},
        )
    raise MissingFileError(
        f"{item.path} no longer exists", hint="Restore it.", location=item.location, fields={"path": item.path}
    )


def require_name(item: PipItem, name: str) -> str:
    """Return the ``name`` of an editable project. Raises RequirementError if the line says another one, or if uv needs
    a name and none is known."""
    name = canonicalize_name(name)
    if item.name and name and item.name != name:
        error = name_mismatch(item.name, name, item.path or item.text)
    elif not name and not item.name and "#" in (item.path or ""):
        hint = "Write it in front, as in `-e NAME @ ./folder`, or rename the folder."
        error = RequirementError(f"The name of the project in {item.path} must be known: its path has a #", hint=hint)
    else:
        return name or item.name or ""
    error.location = item.location
    raise error


def check_name(item: PipItem, stored: StoredWheel) -> None:
    """Raise RequirementError if the line requests another package than the one that is there."""
    found = canonicalize_name(stored.file_name.split("-")[0])
    if item.name and found != item.name:
        error = name_mismatch(item.name, found, item.path or item.text)
        error.location = item.location
        raise error


def editables_to_sources(items: Sequence[PipItem]) -> list[PipItem]:
    """Return ``items`` with editable folders as sources with the digest of their content. Blocks.

    Raises MissingFileError if a folder can't be read.
    """
    converted = []
    for item in items:
        if item.kind in ("requirements", "constraints"):
            converted.append(msgspec.structs.replace(item, items=tuple(editables_to_sources(item.items))))
            continue
        if item.kind != "editable" or item.path is None:
            converted.append(item)
            continue
        try:
            digest = LocalFiles().tree_digest(item.path)
        except OSError as error:
            raise MissingFileError(
                f"{item.path} can't be read: {error.strerror or error}",
                hint="Restore the folder: an image gets a wheel of its content.",
                location=item.location,
            ) from error
        converted.append(msgspec.structs.replace(item, kind="source", digest=digest))
    return converted
