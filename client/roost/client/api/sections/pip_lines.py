"""Lines of a requirements list, as far as a client must understand them: the name of a package, to recognise two lines
for the same one, and the paths of local files. The daemon parses and checks the lines."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PATH_OPTION = re.compile(
    r"(?P<option>-[rcef]|--(?:requirement|constraint|editable|find-links))(?P<mark>\s+|=|(?<=^-[rcef]))(?P<path>\S.*)"
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_OPTIONS = {"requirements": "-r ", "constraints": "-c ", "editable": "-e "}
_ARCHIVES = (".whl", ".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")


class StructuredLine(str):
    """A line of a fetched document that is more than its text, such as a wheel in the store. ``entry``: all of it, as
    the document has it."""

    __slots__ = ("entry",)
    entry: Mapping[str, Any]

    def __new__(cls, entry: Mapping[str, Any]) -> StructuredLine:
        line = super().__new__(cls, _OPTIONS.get(str(entry.get("kind")), "") + str(entry.get("text", "")))
        line.entry = entry
        return line

    def __getnewargs__(self) -> tuple[Mapping[str, Any]]:  # type: ignore[override]
        """Return the arguments with which ``copy`` and ``pickle`` make the line again."""
        return (self.entry,)


def is_option(line: str) -> bool:
    """Return whether ``line`` is an option of pip, such as ``--index-url …``."""
    return line.startswith("-")


def option_name(line: str) -> str:
    """Return ``--index-url`` of ``--index-url https://…`` or ``--index-url=https://…``."""
    return re.split(r"[\s=]", line, maxsplit=1)[0]


def package_name(line: str) -> str:
    """Return the name of the package, normalised by PEP 503, without version, extras and location: two lines with the
    same name are for the same package. A line without a name is its own name."""
    text = line.strip()
    location = text.partition(" @ ")[0].partition(";")[0].strip()
    if location.endswith(".whl"):
        text = location.replace("\\", "/").rpartition("/")[2].partition("-")[0]
    elif _URL.match(location) or location.startswith((".", "/")):
        return location
    match = _NAME.match(text)
    return re.sub(r"[-_.]+", "-", match.group()).lower() if match else text


def logical_lines(text: str) -> list[str]:
    """Return the lines of a requirements file, with continuations joined, without comments and empty lines."""
    result, parts = [], []
    for line in [*text.splitlines(), ""]:
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            parts.append(line[:-1])
            continue
        joined = _COMMENT.sub("", "".join([*parts, line])).strip()
        parts = []
        if joined:
            result.append(joined)
    return result


def document_entries(lines: list[str], folder: str) -> Iterator[str | dict[str, Any]]:
    """Yield the lines as a document has them: with absolute paths, for which relative ones start at ``folder``."""
    for line in lines:
        yield dict(line.entry) if isinstance(line, StructuredLine) else _with_absolute_path(line.strip(), folder)


def _with_absolute_path(line: str, folder: str) -> str:
    option = _PATH_OPTION.fullmatch(line)
    if option is not None:
        return f"{option['option']} {_absolute_option_value(option['path'], folder)}"
    if is_option(line) or " @ " in line or _URL.match(line):
        return line
    location = re.split(r"\s", line, maxsplit=1)[0].partition("[")[0]
    is_local = location.startswith(".") or "/" in location or location.endswith(_ARCHIVES)
    return _absolute_path(line, folder) if is_local and not line.startswith("file:") else line


def _absolute_option_value(value: str, folder: str) -> str:
    """Return the value of an option, which is split and quoted by the rules of a shell."""
    try:
        path = " ".join(shlex.split(value))
    except ValueError:  # the daemon reports the fault
        return value
    return shlex.quote(_absolute_path(path, folder))


def _absolute_path(path: str, folder: str) -> str:
    if _URL.match(path) or path.startswith(("/", "~", "file:", "${")):
        return path
    return os.path.join(folder, path)
