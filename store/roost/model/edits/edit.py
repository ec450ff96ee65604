"""The change of an environment file's text, verified by reading both texts."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from packaging.requirements import Requirement

from roost.model.definition import Choices, ReadResult
from roost.model.documents.document import convert_document
from roost.model.edits.change import EditOrder, EditRefusedError, ItemEdit, PackageSection, parse_package
from roost.model.edits.editing import EditedText
from roost.model.edits.formats import (
    BOUNDED_FORMATS,
    PackageList,
    choose_lists,
    find_command,
    refuse_format,
    refuse_guessed,
    refuse_tool_file,
)
from roost.model.edits.steps import add_package, remove_package
from roost.model.edits.verification import TouchedNames, verify_reading
from roost.model.errors import CodedError, Location
from roost.model.readers.choices.selection import ChoiceUnknownError
from roost.model.readers.detect import FormatUnreadError
from roost.model.readers.read import detect_format, read_source
from roost.model.readers.source import DefinitionSource, FileAccess, ReadContext, decode_text


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
    """Return the file of ``source`` with the packages of ``order`` removed and added, and everything else as it was.

    Adding packages that are not listed, and removing them again, gives the file back byte for byte. What an addition
    had to create stays: a list that did not exist is empty then, ``pip`` stays a dependency of a conda environment, and
    a script keeps its metadata. A ``pip`` section of a conda environment goes with its last package.

    Raises: EditRefusedError if that can't be done without changing more, PackageNotListedError if a package that is to
    be removed is not in the file, PackageTextError if a text is not a package, InvalidRequestError if the order has
    options that this kind of file does not have, InvalidDefinitionError if the file is not valid.
    """
    path = source.path or "/<text>"
    if source.data is None and not files.is_folder(path):
        data = ReadContext(files, path).load_file(path, None)
        source = DefinitionSource(path=path, data=data, format=source.format)
    try:
        return _edit(source, files, order, path)
    except FormatUnreadError as error:
        raise _refer_to_tool(error, source, order) from None
    except EditRefusedError as error:
        where = error.location or Location(path=path)
        error.hint = error.hint or f"Change it by hand: {', '.join([*order.remove, *order.add])}"
        error.location = Location(path=path, line=where.line, column=where.column) if where.path == "<text>" else where
        raise


def _edit(source: DefinitionSource, files: FileAccess, order: EditOrder, path: str) -> EditedSource:
    format = "context" if source.data is None else detect_format(source, files)
    refuse_tool_file(path, order)
    refuse_format(format, decode_text(source.data or b"", path), order)
    original = EditedText(source.data or b"", format, path)
    before = _read_before(source, files, original, order)
    lists = choose_lists(format, original.content, order)
    if format == "requirements" and order.add:
        refuse_guessed(path, lists["pip"].open(original.content))
    if order.remove:
        _require_choice(source, files, before, order)
    text, removed, added = original, list[ItemEdit](), list[ItemEdit]()
    for name in order.remove:
        text, edits = remove_package(text, lists, name, before)
        removed += edits
    for written in order.add:
        package = parse_package(written, order.section, next(iter(lists)))
        if package.section not in lists:
            choose_lists(
                format, text.content, msgspec.structs.replace(order, section=package.section), is_prefixed=True
            )  # says why
        text, edits = add_package(text, lists, package, before)
        added += edits
    if text.data != original.data:
        _verify(
            DefinitionSource(path=path, data=text.data, format=source.format), files, order, before, [*removed, *added]
        )
    added = _merge(added)
    return EditedSource(
        data=text.data,
        items=(
            *(_with_line(item, original, lists) for item in removed),
            *(_with_line(item, text, lists) for item in added),
        ),
        format=format,
        unbounded=tuple(item.name for item in added if format in BOUNDED_FORMATS and _is_unbounded(item)),
    )


def _refer_to_tool(error: FormatUnreadError, source: DefinitionSource, order: EditOrder) -> CodedError:
    """Return the refusal of a file that only another tool reads, with its command; else ``error`` itself."""
    path, data = source.path or "", source.data or b""
    verb, words = ("add", order.add) if order.add else ("remove", order.remove)
    command = find_command(path, decode_text(data, path), verb)
    if command is None:
        return error
    return EditRefusedError(error.message, hint=f"Run `{' '.join([command, *words])}`.", location=error.location)


def _read_before(source: DefinitionSource, files: FileAccess, text: EditedText, order: EditOrder) -> ReadResult | None:
    """Return what is in the file; ``None`` if it has nothing of an environment yet.

    Raises: InvalidDefinitionError if it is not valid.
    """
    document = read_source(source, files)
    is_first_group = order.group is not None and text.format == "pyproject" and not text.has_project
    is_unread = bool(document.errors) and document.errors[0].code == FormatUnreadError.code
    if document.errors and not is_unread and (not text.is_begun or (order.add and (text.is_blank or is_first_group))):
        return None
    return convert_document(document)


def _require_choice(source: DefinitionSource, files: FileAccess, before: ReadResult | None, order: EditOrder) -> None:
    """Raise ChoiceUnknownError if the file lacks the group or the extra that packages are removed from."""
    choices = _get_choices(order)
    if before is not None and not order.add and choices is not None:
        first = next(iter(read_source(source, files, choices).errors), None)
        if first is not None and first.code == ChoiceUnknownError.code:
            raise ChoiceUnknownError(first.message, hint=first.hint, location=first.location, fields=first.fields)


def _get_choices(order: EditOrder) -> Choices | None:
    if not order.extra and not order.group:
        return None
    return Choices(extras=(order.extra,) if order.extra else (), groups=(order.group,) if order.group else ())


def _verify(
    source: DefinitionSource,
    files: FileAccess,
    order: EditOrder,
    before: ReadResult | None,
    items: list[ItemEdit],
) -> None:
    """Read the new text, and compare it with what was read before. Raises: EditRefusedError."""
    names = {section: frozenset(item.name for item in items if item.section == section) for section in ("conda", "pip")}
    verify_reading(before, read_source(source, files), TouchedNames(**names))
    if (choices := _get_choices(order)) is not None:
        verify_reading(None, read_source(source, files, choices), TouchedNames())


def _merge(items: list[ItemEdit]) -> list[ItemEdit]:
    """Return one item for each entry of the file: what is named twice is changed by the second what the first left."""
    merged: list[ItemEdit] = []
    for item in items:
        for index, former in enumerate(merged):
            same = (former.section, former.name, former.after) == (item.section, item.name, item.before)
            if same and item.action in ("changed", "present"):
                action = item.action if former.action == "present" else former.action
                merged[index] = msgspec.structs.replace(former, action=action, after=item.after)
                break
        else:
            merged.append(item)
    return merged


def _with_line(item: ItemEdit, text: EditedText, lists: Mapping[PackageSection, PackageList]) -> ItemEdit:
    """Return an item with its line in ``text``."""
    if item.file is not None:
        return item
    listed = lists.get(item.section, PackageList(item.section, text.format)).open(text.content)
    wanted = (item.name, item.before if item.action == "removed" else item.after)
    found = next((each for each in listed.items if (each.name, each.text) == wanted), None)
    return item if found is None else msgspec.structs.replace(item, line=text.find_line(found.start))


def _is_unbounded(item: ItemEdit) -> bool:
    if item.action != "added" or item.section != "pip" or not item.after:
        return False
    found = Requirement(item.after)
    return not found.specifier and not found.url
