"""Where the user finds what made a build fail: the line of a file, and the build's own log."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from roost.daemon.definitions.resolved import TargetedDefinition
from roost.model.definition import PipItem
from roost.model.documents.dockerfile import DOCKERFILE
from roost.model.errors import CodedError, Location
from roost.store.disk.regular_files import read_regular

_MOST_READ = 1 << 20


def explain_failure(error: CodedError, resolved: TargetedDefinition, build_id: str) -> None:
    """Add to ``error``, which ended a build of ``resolved``, where it is written and where the log is. Blocks.

    ``fields`` of the error say what it is about: a docker ``instruction`` or its ``line``, or the ``url`` or
    ``package`` of a pip line.
    """
    if error.is_logged:
        error.hint = f"{error.hint} `roost builds logs {build_id}` has the whole output.".strip()
    if error.location is None:
        error.location = _find_location(error, resolved)


def _find_location(error: CodedError, resolved: TargetedDefinition) -> Location | None:
    fields = error.fields
    if error.code == "docker-step-failed":
        return _find_instruction(resolved, str(fields.get("instruction") or ""), fields.get("line"))
    named = [str(fields[name]) for name in ("url", "package") if fields.get(name)]
    items = list(_list_items(resolved.definition.pip.requirements))
    for name in named:
        about = [item for item in items if _is_about(item.text, name)]
        if any(item.location is None for item in about):  # the request added it: no line has to be changed
            return None
        if about:
            return about[0].location
    return None


def _list_items(items: Sequence[PipItem]) -> Iterator[PipItem]:
    for item in items:
        yield item
        yield from _list_items(item.items)


def _is_about(line: str, name: str) -> bool:
    """Return whether a pip line names a URL, or a package by its name."""
    if "://" in name:
        return name.partition("#")[0] in line
    normal = name.lower().replace("_", "-").replace(".", "-")
    begin = line.lower().replace("_", "-").replace(".", "-")
    return begin.startswith(normal) and re.match(r"[a-z0-9-]", begin[len(normal) :]) is None


def _find_instruction(resolved: TargetedDefinition, shown: str, line: object) -> Location | None:
    """Return where an instruction is written: at its line in the Dockerfile, else by its text in one of the files that
    the definition was read from. The first that says it is the one."""
    base = resolved.definition.base
    if base is None:
        return None
    paths = [each.path for each in resolved.parsed.inputs]
    if resolved.source.path is not None and resolved.source.path not in paths:
        paths.insert(0, resolved.source.path)
    if base.context_path is not None:
        paths.insert(0, os.path.join(base.context_path, base.dockerfile_path or DOCKERFILE))
    texts = {path: text for path in paths if (text := _read_lines(path)) is not None}
    words = shown.removesuffix("…").split()
    if isinstance(line, int):
        for path, lines in texts.items():
            if line <= len(lines) and words[:1] == lines[line - 1].split()[:1]:
                return Location(path=path, line=line, column=len(lines[line - 1]) - len(lines[line - 1].lstrip()) + 1)
    for path, lines in texts.items():
        if found := _find_words(path, lines, words):
            return found
    return Location(path=paths[0]) if paths else None


def _read_lines(path: str) -> list[str] | None:
    try:
        return read_regular(path)[:_MOST_READ].decode(errors="replace").split("\n")
    except OSError:
        return None


def _find_words(path: str, lines: Sequence[str], words: Sequence[str]) -> Location | None:
    """Return where ``words``, or else the first of them, are in the lines of a file."""
    for part in (" ".join(words), " ".join(words[:4]), " ".join(words[:2])):
        for number, line in enumerate(lines, 1):
            if part and (column := line.find(part)) >= 0:
                return Location(path=path, line=number, column=column + 1)
    return None
