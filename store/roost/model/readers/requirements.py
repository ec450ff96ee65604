"""Reader of requirements lists: ``requirements.txt``, and the ``pip:`` section of other files."""

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
    """Read a requirements file. Raises: InvalidDefinitionError if it is not valid."""
    items = tuple(read_requirement_lines(reading, split_logical_lines(text, reading.path), reading.path))
    return reading.build_result(Definition(pip=Pip(requirements=items)), "requirements")


def read_requirement_lines(
    reading: ReadContext, lines: Iterable[LogicalLine], origin: str, above: tuple[str, ...] = ()
) -> Iterator[PipItem]:
    """Yield the items of a list in the file ``origin``; ``above`` are the files that include it.

    Raises: InvalidDefinitionError if a line is not valid, or a file that it names cannot be read.
    """
    for line in lines:
        yield _read_item(reading, line, origin, above)


def _read_item(reading: ReadContext, line: LogicalLine, origin: str, above: tuple[str, ...]) -> PipItem:
    location = line.location
    try:
        parsed = parse_pip_line(reading.strip_credentials(line.text))
    except RequirementError as error:
        column = (location.column or 1) + error.column
        error.location = Location(path=location.path, line=location.line, column=column)
        raise
    if not parsed.known:
        message = f"option {parsed.text!r} is unknown; it has no effect"
        reading.warn("option-unknown", message, location)
    if not parsed.target or (_REMOTE.match(parsed.target) and not parsed.target.startswith("file:")):
        return PipItem(kind=parsed.kind, text=parsed.text, location=location)
    if reference := parse_wheel_reference(parsed.target):
        return PipItem(kind=parsed.kind, text=parsed.text, digest=reference.digest, location=location)
    if "${" in parsed.target:
        raise MissingFileError(
            f"The path {parsed.target} depends on a variable, so the file's content can't be part of the definition",
            hint="Write the path out, relative to this file.",
            location=location,
        )
    path = reading.resolve_path(strip_file_scheme(parsed.target), origin)
    if parsed.kind in ("requirements", "constraints"):
        return _read_nested_file(reading, parsed, path, location, (*above, origin))
    digest = reading.compute_digest(_DIGEST_KINDS.get(parsed.kind, "tree"), path, location)
    return PipItem(kind=parsed.kind, text=_format_local(parsed, path), digest=digest, path=path, location=location)


def _format_local(parsed: PipLine, path: str) -> str:
    """Return the text of a local item: the last name of its path, which for ``.`` is that of the folder."""
    if parsed.kind == "option":
        return parsed.text.partition(" ")[0]
    written = parsed.target.rstrip("/").rpartition("/")[2]
    return path.rpartition("/")[2] + parsed.text.removeprefix(written)


def _read_nested_file(
    reading: ReadContext, parsed: PipLine, path: str, location: Location, above: tuple[str, ...]
) -> PipItem:
    if path in above:
        raise CircularRequirementsError(
            f"{parsed.target} includes itself", hint="Remove one of the -r or -c lines.", location=location
        )
    text = decode_text(reading.load_file(path, location), path)
    items = tuple(read_requirement_lines(reading, split_logical_lines(text, path), path, above))
    return PipItem(kind=parsed.kind, text=path.rpartition("/")[2], items=items, path=path, location=location)
