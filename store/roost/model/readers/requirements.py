"""Reader of requirements lists: ``requirements.txt``, and the ``pip:`` section of other files."""

from __future__ import annotations

import re
from collections.abc import Iterable

from roost.model.definition import Definition, Pip, PipItem, ReadResult
from roost.model.documents.places import TextPlaces
from roost.model.errors import Location
from roost.model.readers.local_paths import resolve_local
from roost.model.readers.source import MissingFileError, ReadContext, check_variables, decode_text
from roost.model.syntax.bounds import (
    MAX_FILES,
    MAX_INCLUDE_DEPTH,
    MAX_LINE,
    MAX_REQUIREMENTS,
    check_length,
    too_large_error,
)
from roost.model.syntax.pip_lines import (
    LogicalLine,
    PipLine,
    RequirementError,
    parse_pip_line,
    split_logical_lines,
)
from roost.model.syntax.wheel_references import parse_wheel_reference

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DIGEST_KINDS = {"wheel": "file", "source": "tree", "editable": "build"}


class CircularRequirementsError(MissingFileError):
    """A requirements file includes itself."""

    code = "requirements-circular"


def read_requirements(reading: ReadContext, text: str) -> ReadResult:
    """Read a requirements file. Raises: InvalidDefinitionError if it is not valid."""
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
            items.append(read_requirement(reading, line, origin))
            count = reading.line_counts.get(items[-1].path or "", 1)
            reading.line_counts[origin] = reading.line_counts.get(origin, 0) + count
        if reading.line_counts.get(origin, 0) > MAX_REQUIREMENTS:
            reading.line_counts[origin] = 0
            what = "With this line, the file and all that it includes are too long"
            raise too_large_error(what, MAX_REQUIREMENTS, "requirements", line.location)
    return items


def read_requirement(reading: ReadContext, line: LogicalLine, origin: str) -> PipItem:
    """Return the item of one line in the file ``origin``.

    Raises: InvalidDefinitionError if the line is not valid, or a file that it names cannot be read.
    """
    location = line.location
    check_length(line.text, "This line", location, MAX_LINE)
    check_variables(line.text, line.locate)
    text = reading.strip_credentials(line.text)
    try:
        parsed = parse_pip_line(text)
    except RequirementError as error:
        error.location = line.locate(error.column) if text == line.text else location
        raise
    if not parsed.known:
        message = f"option {parsed.text!r} is unknown; it has no effect"
        reading.warn("option-unknown", message, location)
    if not parsed.target or (_REMOTE.match(parsed.target) and not parsed.target.startswith("file:")):
        return PipItem(kind=parsed.kind, text=parsed.text, location=location)
    if reference := parse_wheel_reference(parsed.target):
        return PipItem(kind=parsed.kind, text=parsed.text, digest=reference.digest, location=location)
    path = resolve_local(reading, parsed, origin, location)
    if parsed.kind in ("requirements", "constraints"):
        return _include_file(reading, parsed, path, location)
    digest = reading.compute_digest(_DIGEST_KINDS.get(parsed.kind, "tree"), path, location)
    return PipItem(kind=parsed.kind, text=_format_local(parsed, path), digest=digest, path=path, location=location)


def _format_local(parsed: PipLine, path: str) -> str:
    """Return the text of a local item: the last name of its path, which for ``.`` is that of the folder."""
    if parsed.kind == "option":
        return parsed.text.partition(" ")[0]
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
            lines = split_logical_lines(text, TextPlaces(text, path).locate)
            reading.included_files[path] = tuple(read_requirement_lines(reading, lines, path))
        finally:
            reading.open_files.remove(path)
    items = reading.included_files[path]
    return PipItem(kind=parsed.kind, text=path.rpartition("/")[2], items=items, path=path, location=location)
