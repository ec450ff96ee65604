"""Changes of environment files without a daemon: texts in, texts out."""

from __future__ import annotations

from collections.abc import Sequence

from roost.model.edits.change import EditOrder, PackageSection
from roost.model.edits.edit import EditedSource, edit_source
from roost.model.readers.source import DefinitionSource
from roost.store.sources.files import LocalFiles


def edit(
    text: str | bytes,
    name: str,
    add: str | Sequence[str] = (),
    remove: str | Sequence[str] = (),
    section: PackageSection | None = None,
    group: str | None = None,
    extra: str | None = None,
) -> EditedSource:
    """Edit a file called ``name`` (in a folder that does not exist, unless it is a path) with the content ``text``."""
    data = text if isinstance(text, bytes) else text.encode()
    path = name if name.startswith("/") else f"/nowhere/{name}"
    order = EditOrder(
        add=(add,) if isinstance(add, str) else tuple(add),
        remove=(remove,) if isinstance(remove, str) else tuple(remove),
        section=section,
        group=group,
        extra=extra,
    )
    return edit_source(DefinitionSource(path=path, data=data), LocalFiles(), order)


def edit_text(
    text: str,
    name: str,
    add: str | Sequence[str] = (),
    remove: str | Sequence[str] = (),
    section: PackageSection | None = None,
    group: str | None = None,
    extra: str | None = None,
) -> str:
    """Return the text after ``edit``."""
    return edit(text, name, add, remove, section, group, extra).data.decode()


def describe_items(edited: EditedSource) -> list[str]:
    """Return what happened to each package: ``added numpy``."""
    return [f"{item.action} {item.name}" for item in edited.items]
