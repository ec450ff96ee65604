"""Requirements in arrays of TOML: read with their places, or only checked if nobody chose them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from roost.model.definition import PipItem
from roost.model.documents.toml_text import TomlText
from roost.model.readers.requirements import check_requirement, read_requirement_lines
from roost.model.readers.source import ReadContext
from roost.model.syntax.pip_lines import LogicalLine

ReadLine = Callable[..., list[PipItem]]
"""``read_text_line`` or ``check_text_line``."""


def check_strings(toml: TomlText, value: object, keys: tuple[str, ...]) -> Sequence[str]:
    """Return ``value`` if it is a list of texts. Raises: InvalidDefinitionError if it is not."""
    if not isinstance(value, list):
        raise toml.error(f"{keys[-1]!r} is {value!r}; expected a list of strings", *keys)
    for index, member in enumerate(value):
        if not isinstance(member, str):
            raise toml.error(f"{keys[-1]!r} contains {member!r}; expected a list of strings", *keys, index)
    return value


def read_text_line(reading: ReadContext, toml: TomlText, text: str, *path: str | int) -> list[PipItem]:
    """Return the items of the requirement ``text`` at ``path``, one at most."""
    return read_requirement_lines(reading, [_locate_line(toml, text, path)], reading.path)


def check_text_line(reading: ReadContext, toml: TomlText, text: str, *path: str | int) -> list[PipItem]:
    """Report what is wrong with the requirement ``text`` at ``path``, which nobody chose. Local files that it names are
    not looked at. Return no items."""
    line = _locate_line(toml, text, path)
    reading.record_item("pip", line.text, line.location, line.end)
    check_requirement(line)
    return []


def read_list(
    reading: ReadContext, toml: TomlText, value: object, *keys: str, read_line: ReadLine = read_text_line
) -> list[PipItem]:
    """Return the items of the requirements in ``value``, an array at ``keys``. Raises: InvalidDefinitionError if it is
    not a list of texts."""
    items: list[PipItem] = []
    for index, text in enumerate(check_strings(toml, value, keys)):
        items += read_line(reading, toml, text, *keys, index)
    return items


def _locate_line(toml: TomlText, text: str, path: tuple[str | int, ...]) -> LogicalLine:
    value = toml.find_value(text, *path)
    begin = value.locate(len(text) - len(text.lstrip()))
    return LogicalLine(text.strip(), value.location, value.end, ((0, begin),))
