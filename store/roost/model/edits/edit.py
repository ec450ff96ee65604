"""The change of an environment file's text, verified by reading both texts."""

from __future__ import annotations

import msgspec

from roost.model.edits.change import EditOrder, EditRefusedError, ItemEdit
from roost.model.readers.source import DefinitionSource, FileAccess


class EditedSource(msgspec.Struct, frozen=True, kw_only=True):
    """A changed file: its bytes, and what happened to each package of the order."""

    data: bytes
    """Equal to those of the file if nothing was to be done."""
    items: tuple[ItemEdit, ...]
    format: str
    """One of ``readers.read.READ_FORMATS``."""
    unbounded: tuple[str, ...] = ()
    """Names of added packages that get a bound in this kind of file (``change.with_versions``), and have none."""


def edit_source(source: DefinitionSource, files: FileAccess, order: EditOrder) -> EditedSource:
    """Return the file of ``source`` with the packages of ``order`` added and removed, and everything else as it was.

    Raises: EditRefusedError if that can't be done without changing more, PackageNotListedError if a package that is to
    be removed is not in the file, PackageTextError if a text is not a package, InvalidDefinitionError if the file is
    not valid.
    """
    raise EditRefusedError("Files of this kind can't be edited yet")
