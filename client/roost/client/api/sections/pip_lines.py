"""Lines of a requirements list, as far as a client must understand them: names to tell them apart, and where local
things lie. What they mean is the daemon's to judge."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PATH_OPTION = re.compile(
    r"(?P<option>-[rcef]|--(?:requirement|constraint|editable|find-links))(?P<mark>\s+|=|(?<=^-[rcef]))(?P<path>\S.*)"
)
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_MARKS = {"requirements": "-r ", "constraints": "-c ", "editable": "-e "}
_ARCHIVES = (".whl", ".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")


class KeptLine(str):
    """A line that stands for more than its text says, such as a wheel in the store: ``entry`` is all of it."""

    __slots__ = ("entry",)
    entry: Mapping[str, Any]

    def __new__(cls, entry: Mapping[str, Any]) -> KeptLine:
        line = super().__new__(cls, _MARKS.get(str(entry.get("kind")), "") + str(entry.get("text", "")))
        line.entry = entry
        return line

    def __getnewargs__(self) -> tuple[Mapping[str, Any]]:  # type: ignore[override]
        """For copies."""
        return (self.entry,)


def is_option(line: str) -> bool:
    """Whether it is an option of pip's, such as ``--index-url …``."""
    return line.startswith("-")


def option_name(line: str) -> str:
    """``--index-url`` of ``--index-url https://…`` or ``--index-url=https://…``."""
    return re.split(r"[\s=]", line, maxsplit=1)[0]


def package_name(line: str) -> str:
    """What a package is called, by PEP 503, whatever its version, extras and place: two lines with one name are for
    the same package. A line without a name is its own."""
    text = line.strip()
    place = text.partition(" @ ")[0].partition(";")[0].strip()
    if place.endswith(".whl"):
        text = place.replace("\\", "/").rpartition("/")[2].partition("-")[0]
    elif _REMOTE.match(place) or place.startswith((".", "/")):
        return place
    found = _NAME.match(text)
    return re.sub(r"[-_.]+", "-", found.group()).lower() if found else text


def logical_lines(text: str) -> list[str]:
    """The lines of a requirements file: continuations joined, comments and empty lines gone."""
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


def entries(lines: list[str], folder: str) -> Iterator[str | dict[str, Any]]:
    """As the daemon takes them: local things by absolute path, those that stood relative lie in ``folder``."""
    for line in lines:
        yield dict(line.entry) if isinstance(line, KeptLine) else _placed(line.strip(), folder)


def _placed(line: str, folder: str) -> str:
    option = _PATH_OPTION.fullmatch(line)
    if option is not None:
        return f"{option['option']} {_quoted(option['path'], folder)}"
    if is_option(line) or " @ " in line or _REMOTE.match(line):
        return line
    place = re.split(r"\s", line, maxsplit=1)[0].partition("[")[0]
    local = place.startswith(".") or "/" in place or place.endswith(_ARCHIVES)
    return _absolute(line, folder) if local and not line.startswith("file:") else line


def _quoted(value: str, folder: str) -> str:
    """An option's value is read as a shell reads it."""
    try:
        path = " ".join(shlex.split(value))
    except ValueError:  # the daemon says what is wrong with it
        return value
    return shlex.quote(_absolute(path, folder))


def _absolute(path: str, folder: str) -> str:
    if _REMOTE.match(path) or path.startswith(("/", "~", "file:", "${")):
        return path
    return os.path.join(folder, path)
