"""The canonical form of requirements: a text for a named package, a mapping for a local file or folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from roost.model.definition import PipItem
from roost.model.syntax.pip_lines import normalise_marker, split_extras, split_local_text


def canonicalise_pip_items(items: Iterable[PipItem]) -> list[Any]:
    """Return the items in order. The lines of a nested requirements file stand in place of its include."""
    form: list[Any] = []
    for item in items:
        if item.kind == "requirements" and item.path is not None:
            form.extend(canonicalise_pip_items(item.items))
        elif item.kind == "requirements":
            form.append({"requirements": item.text})
        elif item.kind == "constraints":
            form.append({"constraints": canonicalise_pip_items(item.items) if item.path is not None else item.text})
        elif item.digest is None:
            form.append(item.text)
        else:
            form.append({item.kind: item.digest, **_describe_local(item)})
    return form


def names_index(items: Iterable[PipItem]) -> bool:
    """Whether ``items`` or nested files name the index to use, or none at all."""
    return any(
        (item.kind == "option" and item.text.split(" ", 1)[0] in ("--index-url", "--no-index"))
        or names_index(item.items)
        for item in items
    )


def _describe_local(item: PipItem) -> dict[str, Any]:
    """Return what identifies a local item besides its digest.

    A wheel's file name is part of its identity, a folder's is not; an editable installation is tied to its folder.
    """
    name, rest = (item.text, "") if item.kind == "option" else split_local_text(item)
    text, *options = re.split(r" (?=--)", rest)
    body, _, marker = text.partition(" ; ")
    extras = split_extras(body)[1]
    names = {"option": name, "wheel": name.rstrip()}
    content = {
        "name": names.get(item.kind),
        "extras": extras[1:-1].split(",") if extras else [],
        "marker": normalise_marker(marker),
        "options": options,
        "path": item.path if item.kind == "editable" else None,
    }
    return {key: value for key, value in content.items() if value not in (None, "", [])}
