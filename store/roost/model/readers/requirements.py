"""Reader of requirements lists: ``requirements.txt``, and the ``pip:`` section of other files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from roost.model.canonical.form import digest_bytes
from roost.model.definition import Definition, Pip, PipItem, ReadResult
from roost.model.documents.conflicts import check_conflict
from roost.model.documents.places import TextPlaces
from roost.model.errors import Location
from roost.model.readers.local_paths import resolve_local
from roost.model.readers.source import EncodingError, MissingFileError, ReadContext, check_variables, decode_text
from roost.model.syntax.bounds import (
    MAX_FILES,
    MAX_INCLUDE_DEPTH,
    MAX_LINE,
    MAX_REQUIREMENTS,
    check_length,
    too_large_error,
)
from roost.model.syntax.pip_lines import (
    CHOICE_OPTIONS,
    LIST_SUFFIXES,
    LogicalLine,
    PipLine,
    normalise_name,
    parse_pip_lines,
    split_line_index,
    split_logical_lines,
    strip_file_scheme,
)
from roost.model.syntax.pip_options import RequirementError, unknown_option
from roost.model.syntax.urls import strip_credentials
from roost.model.syntax.wheel_references import parse_wheel_reference

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DIGEST_KINDS = {"wheel": "file", "source": "tree", "editable": "build"}
NO_LINKS = digest_bytes(b"roost tree 1\n")
"""Digest of ``--find-links`` with a folder that does not exist: that of an empty one. If it comes into being, the
definition gets another digest, and so another lock."""


class CircularRequirementsError(MissingFileError):
    """A requirements file includes itself."""

    code = "requirements-circular"


def read_requirements(reading: ReadContext, text: str) -> ReadResult:
    """Read a requirements file. Raises: InvalidDefinitionError if it is not valid."""
    check_conflict(text, reading.path)
    lines = split_logical_lines(text, TextPlaces(text, reading.path).locate)
    items = tuple(read_requirement_lines(reading, lines, reading.path))
    return reading.build_result(Definition(pip=Pip(requirements=items)), "requirements")


def read_requirement_lines(reading: ReadContext, lines: Iterable[LogicalLine], origin: str) -> list[PipItem]:
    """Return the items of a list in the file ``origin``. A line that is not valid, or that names a file which can't be
    read, is reported as a problem and left out.

    Raises: TooLargeError if the list has too many lines, those of the files that it includes among them.
    """
    items: list[PipItem] = []
    for line in lines:
        reading.record_item("pip", line.text, line.location, line.end)
        with reading.recover():
            read = read_requirement(reading, line, origin)
            items += read
            count = sum(reading.line_counts.get(item.path or "", 1) for item in read)
            reading.line_counts[origin] = reading.line_counts.get(origin, 0) + count
        if reading.line_counts.get(origin, 0) > MAX_REQUIREMENTS:
            reading.line_counts[origin] = 0
            what = "With this line, the file and all that it includes are too long"
            raise too_large_error(what, MAX_REQUIREMENTS, "requirements", line.location)
    return items


def read_requirement(
    reading: ReadContext, line: LogicalLine, origin: str, *, has_choices: bool = False
) -> list[PipItem]:
    """Return the items of one line in the file ``origin``: one, or several options.

    ``has_choices``: it may have ``CHOICE_OPTIONS``.

    Raises: InvalidDefinitionError if the line is not valid, or a file that it names cannot be read.
    """
    location = line.location
    check_length(line.text, "This line", location, MAX_LINE)
    check_variables(line.text, line.locate)
    text = reading.strip_credentials(line.text)

    def locate(offset: int) -> Location:
        return line.locate(offset) if text == line.text else location

    try:
        parts = parse_pip_lines(text)
        if not (has_choices or (reading.has_choices and origin == reading.path)):
            _check_options(parts)
        return [_read_part(reading, parsed, origin, locate) for parsed in parts]
    except RequirementError as error:
        error.location = error.location or locate(error.column)
        raise
    except EncodingError as error:
        if error.location is None or error.location.line is None:  # of a path, and not of what is in a file
            error.location = location
        raise


def _read_part(reading: ReadContext, parsed: PipLine, origin: str, locate: Callable[[int], Location]) -> PipItem:
    location = locate(parsed.offset)
    for word in parsed.leftover:
        reading.warn("option-leftover", f"{word.text!r} has no effect: no option takes it", locate(word.offset))
    if parsed.kind == "requirement" and parsed.name and reading.files.exists(reading.resolve_path(parsed.name, origin)):
        hint = f"Did you mean -r {parsed.name}?"
        raise RequirementError(f"{parsed.name} is a file, and not a package", parsed.offset, hint=hint)
    if not parsed.target or (_REMOTE.match(parsed.target) and not parsed.target.startswith("file:")):
        return PipItem(kind=parsed.kind, text=parsed.text, location=location)
    if reference := parse_wheel_reference(parsed.target):
        return PipItem(kind=parsed.kind, text=parsed.text, digest=reference.digest, location=location)
    if "\0" in strip_file_scheme(parsed.target):
        raise RequirementError("This path contains a NUL character", parsed.offset, hint="Correct the path.")
    path = resolve_local(reading, parsed, origin, location)
    if parsed.kind in ("requirements", "constraints"):
        return _include_file(reading, parsed, path, location)
    if parsed.kind == "option":
        return _read_links(reading, parsed, path, location)
    _check_local(reading, parsed, path)
    digest = reading.compute_digest(_DIGEST_KINDS[parsed.kind], path, location)
    text = _format_local(parsed, path)
    return PipItem(kind=parsed.kind, text=text, name=parsed.name or None, digest=digest, path=path, location=location)


def check_requirement(line: LogicalLine) -> None:
    """Check one line without looking at what it names. Raises: InvalidDefinitionError if it is not valid."""
    check_length(line.text, "This line", line.location, MAX_LINE)
    check_variables(line.text, line.locate)
    text = strip_credentials(line.text)[0]
    try:
        _check_options(parse_pip_lines(text))
    except RequirementError as error:
        error.location = error.location or (line.locate(error.column) if text == line.text else line.location)
        raise


def _check_options(parts: Iterable[PipLine]) -> None:
    """Raise RequirementError for an option that only roost's own file has: pip reads ``--index`` as ``--index-url``."""
    for parsed in parts:
        option = parsed.text.partition(" ")[0]
        if parsed.kind == "option" and option in CHOICE_OPTIONS:
            raise unknown_option(option, parsed.offset)
        if split_line_index(parsed.text)[1]:
            hint = "Name indexes with --index-url or --extra-index-url, in lines of their own, or use roost.toml."
            raise RequirementError("--index can't stand behind a requirement", parsed.offset, hint=hint)


def _read_links(reading: ReadContext, parsed: PipLine, path: str, location: Location) -> PipItem:
    """Return the item of ``--find-links`` with a local folder or page. As in pip, one that is missing has nothing."""
    if reading.files.exists(path) or not reading.files.covers(path):  # what may not be looked at is refused
        digest = reading.compute_digest("tree", path, location)
    else:
        digest = NO_LINKS
        reading.record_input(path, None)
        message = f"{path}, which --find-links names, does not exist; nothing is installed from there"
        reading.warn("links-missing", message, location)
    return PipItem(kind=parsed.kind, text=parsed.text.partition(" ")[0], digest=digest, path=path, location=location)


def _check_local(reading: ReadContext, parsed: PipLine, path: str) -> None:
    """Check what can be known of a local file or folder before it is built.

    Raises: RequirementError if it is a requirements file, or a distribution of another name than the line's.
    """
    file_name = path.rpartition("/")[2]
    if parsed.kind == "source" and file_name.endswith(LIST_SUFFIXES) and not reading.files.is_folder(path):
        hint = f"Did you mean -r {parsed.target}?"
        raise RequirementError(f"{parsed.target} is neither a folder nor an archive", parsed.offset, hint=hint)
    if parsed.name and parsed.kind == "wheel" and (found := normalise_name(file_name.split("-")[0])) != parsed.name:
        raise name_mismatch(parsed.name, found, file_name, parsed.offset)


def name_mismatch(requested: str, found: str, where: str, offset: int = 0) -> RequirementError:
    """Return the error for ``requested @ where`` if the distribution there is ``found``."""
    return RequirementError(
        f"{where} is the package {found}, and the line requests {requested}", offset, hint=f"Write {found} @ …."
    )


def _format_local(parsed: PipLine, path: str) -> str:
    """Return the text of a local item: the last name of its path, which for ``.`` is that of the folder."""
    written = parsed.target.rstrip("/").rpartition("/")[2]
    return path.rpartition("/")[2] + parsed.text.removeprefix(written)


def _include_file(reading: ReadContext, parsed: PipLine, path: str, location: Location) -> PipItem:
    """Return the item of a ``-r`` or ``-c`` line. As in pip, the file's lines count at each line that includes it."""
    if path in reading.open_files or path == reading.path:
        raise CircularRequirementsError(
            f"{parsed.target} includes itself", hint="Remove one of the -r or -c lines.", location=location
        )
    if path not in reading.included_files:
        if len(reading.open_files) >= MAX_INCLUDE_DEPTH:
            raise too_large_error("This line includes a file too deeply", MAX_INCLUDE_DEPTH, "levels", location)
        if len(reading.included_files) >= MAX_FILES:
            raise too_large_error("This line includes one file too many", MAX_FILES, "files", location)
        reading.included_files[path], reading.line_counts[path] = (), 0  # a file that fails is reported once
        reading.open_files.add(path)
        try:
            text = decode_text(reading.load_file(path, location), path)
            check_conflict(text, path)
            lines = split_logical_lines(text, TextPlaces(text, path).locate)
            reading.included_files[path] = tuple(read_requirement_lines(reading, lines, path))
        finally:
            reading.open_files.remove(path)
    items = reading.included_files[path]
    return PipItem(kind=parsed.kind, text=path.rpartition("/")[2], items=items, path=path, location=location)
