"""Whether the places of a document are right: inside their files, and at the text of their item."""

from __future__ import annotations

import json
from collections.abc import Mapping

import yaml

from roost.model.documents.document import Document, Item
from roost.model.errors import Location


def check_document(document: Document, texts: Mapping[str, str]) -> None:
    """Check every place of ``document``; ``texts`` are the files by path, decoded and with ``\\n`` at line ends."""
    lines = {path: text.split("\n") for path, text in texts.items()}
    for problem in document.problems:
        assert problem.location is not None, problem
        check_inside(problem.location, lines)
    for item in document.items:
        check_inside(item.location, lines)
        check_item(item, lines)


def check_inside(location: Location, lines: Mapping[str, list[str]]) -> None:
    """Check that a place is in its file, or at its end. A place without a line is the file as a whole."""
    if location.line is None or location.path not in lines:
        return
    assert 1 <= location.line <= len(lines[location.path]), location
    if location.column is not None:
        assert 1 <= location.column <= len(lines[location.path][location.line - 1]) + 1, location


def check_item(item: Item, lines: Mapping[str, list[str]]) -> None:
    """Check that an item's place begins, and with an end also encloses, the item's own text."""
    start, end = item.location, item.end
    if start.line is None or start.column is None or not item.text:
        return
    first = lines[start.path][start.line - 1]
    if end is None:  # a text that a reader composed (a line of a lock file) is only near its place
        return
    assert end.line is not None
    assert end.column is not None
    if end.line == start.line:
        written = first[start.column - 1 : end.column - 1]
    else:
        between = lines[start.path][start.line : end.line - 1]
        last = lines[end.path][end.line - 1][: end.column - 1]
        written = "\n".join([first[start.column - 1 :], *between, last])
    assert is_same_text(written, item.text), (item, written)


def is_same_text(written: str, text: str) -> bool:
    """Whether ``written`` is ``text`` as it is, quoted, or continued over lines."""
    if written == text or _squeeze(written) == _squeeze(text):
        return True
    for decode in (json.loads, yaml.safe_load):
        try:
            if _squeeze(str(decode(written.strip()))) == _squeeze(text):
                return True
        except (ValueError, yaml.YAMLError):
            continue
    return written[:1] in ("|", ">", '"', "'")  # a block or quotes over several lines: its beginning is right


def _squeeze(text: str) -> str:
    return "".join(text.replace("\\\n", "").replace("\n#", "").split())
