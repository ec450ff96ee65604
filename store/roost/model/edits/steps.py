"""One package added to a file, or removed from it."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping

from roost.model.definition import PipItem, ReadResult
from roost.model.edits.change import (
    EditRefusedError,
    ItemEdit,
    PackageNotListedError,
    PackageSection,
    RequestedPackage,
    parse_name,
)
from roost.model.edits.editing import EditedText
from roost.model.edits.formats import PackageList, find_elsewhere
from roost.model.edits.item_lists import EditableList, find_index, requirement_name
from roost.model.edits.packages import Insertion, Presence, find_package, place_package
from roost.model.edits.yaml_lists import show_item
from roost.model.errors import Location
from roost.model.syntax.pip_lines import normalise_name

Step = tuple[EditedText, list[ItemEdit]]


def remove_package(
    text: EditedText, lists: Mapping[PackageSection, PackageList], written: str, before: ReadResult | None
) -> Step:
    """Return the text without all items of a package.

    Raises: PackageNotListedError if there is none, PackageTextError if ``written`` is not a name, EditRefusedError.
    """
    section, name = parse_name(written)
    chosen = {key: each for key, each in lists.items() if section in (None, key)} if text.is_begun else {}
    edits: list[ItemEdit] = []
    for key, each in chosen.items():
        wanted = normalise_name(name) if key == "pip" else name
        items = each.open(text.content).items
        for index in find_package(wanted, items):
            edits.append(ItemEdit(action="removed", section=key, name=wanted, before=items[index].text))
        for index in reversed(find_package(wanted, items)):
            try:
                text = text.delete(each, index)
            except EditRefusedError as error:
                line, column = text.find_line(items[index].start), text.find_column(items[index].start)
                error.location = error.location or Location(path=text.path, line=line, column=column)
                error.hint = error.hint or f"Remove it by hand: {items[index].text}"
                raise
    if not edits:
        _fail_unlisted(text, name, chosen, before)
    return text, edits


def add_package(
    text: EditedText,
    lists: Mapping[PackageSection, PackageList],
    package: RequestedPackage,
    before: ReadResult | None,
) -> Step:
    """Return the text with a package, or with its new bounds. Raises: EditRefusedError, with the line to add."""
    chosen, name, section = lists[package.section], package.name, package.section
    if not text.is_begun:
        text = text.begin()
    listed = _open(text, chosen, package)
    try:
        decision = place_package(package, listed.items)
        if isinstance(decision, Insertion):
            if (included := find_included(name, before)) and chosen.format == "requirements":
                return text, [_refer_to_included(package, included)]
            edits: list[ItemEdit] = []
            if chosen.format == "conda" and section == "pip" and not listed.items:
                text, edits = _add_pip(text)
            text = text.insert(chosen, decision.at, decision.text)
            return text, [ItemEdit(action="added", section=section, name=name, after=decision.text), *edits]
        old = listed.items[decision.at].text
        if isinstance(decision, Presence):
            return text, [ItemEdit(action="present", section=section, name=name, before=old, after=old)]
        text = text.replace(chosen, decision.at, decision.text)
        return text, [ItemEdit(action="changed", section=section, name=name, before=old, after=decision.text)]
    except EditRefusedError as error:
        if error.location is None and listed.items:
            start = listed.items[max(find_package(name, listed.items), default=-1)].start
            line, column = text.find_line(start), text.find_column(start)
            error.location = Location(path=text.path, line=line, column=column)
        error.hint = error.hint or f"Write it by hand, in {listed.place}: {listed.show(package.text)}"
        raise


def _open(text: EditedText, chosen: PackageList, package: RequestedPackage) -> EditableList:
    try:
        return chosen.open(text.content)
    except EditRefusedError as error:
        shown = package.text
        if chosen.format == "conda":
            shown = show_item(text.content, package.text, is_pip=package.section == "pip")
        error.hint = error.hint or f"Write it by hand: {shown}"
        raise


def find_included(name: str, before: ReadResult | None) -> PipItem | None:
    """Return the item of a package in a file that a ``-r`` line includes."""
    pending = list(before.definition.pip.requirements) if before else []
    while pending:
        item = pending.pop(0)
        if item.kind != "requirements":
            continue
        for each in item.items:
            if each.kind not in ("requirements", "constraints", "option") and requirement_name(each.text) == name:
                return each
        pending += item.items
    return None


def _add_pip(text: EditedText) -> Step:
    """Return the text with ``pip`` itself, which conda installs the packages of a pip section with."""
    conda = PackageList("conda", "conda")
    items = conda.open(text.content).items
    if find_package("pip", items):
        return text, []
    text = text.insert(conda, find_index(items, "pip"), "pip")
    return text, [ItemEdit(action="added", section="conda", name="pip", after="pip")]


def _refer_to_included(package: RequestedPackage, included: PipItem) -> ItemEdit:
    if package.is_bare or package.text == included.text:
        place = included.location
        return ItemEdit(
            action="present",
            section="pip",
            name=package.name,
            before=included.text,
            after=included.text,
            line=place.line if place else None,
            file=place.path if place else None,
        )
    where = included.location
    raise EditRefusedError(
        f"{package.name} is listed in a file that this one includes, as {included.text}",
        location=where,
        hint=f"Change it there: roost add -f {shlex.quote(where.path if where else '')} {shlex.quote(package.text)}",
    )


def _fail_unlisted(
    text: EditedText, name: str, chosen: Mapping[PackageSection, PackageList], before: ReadResult | None
) -> None:
    wanted = normalise_name(name)
    if included := find_included(wanted, before):
        raise EditRefusedError(
            f"{wanted} is listed in a file that this one includes, as {included.text}",
            location=included.location,
            hint="Name that file with -f to remove it there.",
        )
    names = {item.name for each in chosen.values() for item in each.open(text.content).items if item.name}
    hint = ""
    if near := difflib.get_close_matches(wanted, names, n=1):
        hint = f"Did you mean {near[0]}?"
    for each in chosen.values():
        if each.format == "pyproject" and (elsewhere := find_elsewhere(text.content, each.path, wanted)):
            hint = f"It is in {elsewhere[0]}: remove it {elsewhere[1]}."
    for item in before.definition.pip.requirements if before else ():
        if requirement_name(item.text) == wanted and item.location and not hint:
            raise EditRefusedError(
                f"{wanted} is written in a form that can't be edited", location=item.location, hint="Remove it by hand."
            )
    raise PackageNotListedError(f"{name} is not listed in {text.path}", hint=hint, fields={"package": name})
