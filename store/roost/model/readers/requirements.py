"""Requirements lists: ``requirements.txt``, and the ``pip:`` part of other files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from roost.model.definition import Definition, Pip, PipItem, ReadResult
from roost.model.errors import Location
from roost.model.readers.source import MissingFileError, ReadContext, decode_text
from roost.model.syntax.pip_lines import (
    LogicalLine,
    PipLine,
    RequirementError,
    parse_pip_line,
    split_logical_lines,
    strip_file_scheme,
)
from roost.model.syntax.wheel_references import parse_wheel_reference

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DIGEST_KINDS = {"wheel": "file", "source": "tree", "editable": "build"}


class CircularRequirementsError(MissingFileError):
    """A requirements file includes itself."""

    code = "requirements-circular"


def read_requirements(reading: ReadContext, text: str) -> ReadResult:
    """A requirements file. Raises ``InvalidDefinitionError``."""
    items = tuple(read_requirement_lines(reading, split_logical_lines(text, reading.path), reading.path))
    return reading.parsed(Definition(pip=Pip(requirements=items)), "requirements")


def read_requirement_lines(
    reading: ReadContext, lines: Iterable[LogicalLine], origin: str, above: tuple[str, ...] = ()
) -> Iterator[PipItem]:
    """The items of a list that stands in the file ``origin``; ``above`` are the files that include it."""
    for line in lines:
        yield _read_item(reading, line, origin, above)


def _read_item(reading: ReadContext, line: LogicalLine, origin: str, above: tuple[str, ...]) -> PipItem:
    try:
        read = parse_pip_line(reading.clean(line.text))
    except RequirementError as error:
        error.location = _shifted(line.location, error.column)
        raise
    if not read.known:
        message = f"option {read.text!r} is none that roost knows; it has no effect"
        reading.warn("option-unknown", message, line.location)
    return _located(reading, read, line.location, origin, above)


def _located(reading: ReadContext, read: PipLine, location: Location, origin: str, above: tuple[str, ...]) -> PipItem:
    if not read.target or (_REMOTE.match(read.target) and not read.target.startswith("file:")):
        return PipItem(kind=read.kind, text=read.text, location=location)
    if kept := parse_wheel_reference(read.target):
        return PipItem(kind=read.kind, text=read.text, digest=kept.digest, location=location)
    if "${" in read.target:
        raise MissingFileError(
            f"The path {read.target} hangs on a variable; what it names could not count by its content",
            hint="Write the path out, relative to this file.",
            location=location,
        )
    path = reading.beside(strip_file_scheme(read.target), origin)
    if read.kind in ("requirements", "constraints"):
        return _nested(reading, read, path, location, (*above, origin))
    digest = reading.digest(_DIGEST_KINDS.get(read.kind, "tree"), path, location)
    return PipItem(kind=read.kind, text=_named(read, path), digest=digest, path=path, location=location)


def _named(read: PipLine, path: str) -> str:
    """A local thing goes by its last name; that of ``.`` is the folder's."""
    if read.kind == "option":
        return read.text.partition(" ")[0]
    name = path.rpartition("/")[2]
    written = read.target.rstrip("/").rpartition("/")[2]
    return name + read.text.removeprefix(written)


def _nested(reading: ReadContext, read: PipLine, path: str, location: Location, above: tuple[str, ...]) -> PipItem:
    if path in above:
        raise CircularRequirementsError(
            f"{read.target} is included by itself", hint="Take one of the -r or -c lines out.", location=location
        )
    text = decode_text(reading.load(path, location), path)
    items = tuple(read_requirement_lines(reading, split_logical_lines(text, path), path, above))
    return PipItem(kind=read.kind, text=path.rpartition("/")[2], items=items, path=path, location=location)


def _shifted(location: Location, column: int) -> Location:
    return Location(path=location.path, line=location.line, column=(location.column or 1) + column)
