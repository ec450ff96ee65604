"""A page of Markdown as text for a terminal. Pure.

The pages use a part of Markdown: headings, paragraphs, lists, tables, code (indented or fenced), links, and comments.
Everything else is text.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest

Paint = Callable[[str], str]
"""Emphasises a line, or returns it as it is."""
_COMMENT = re.compile(r"<!--.*?-->\n*", re.DOTALL)
_HEADING = re.compile(r"(#+) (.*)")
_ITEM = re.compile(r"( *)([-*]|\d+\.) (.*)")
_FENCE = "```"
_CODE = re.compile(r"(``.+?``|`[^`]*`)")
_LINK = re.compile(r"\[((?:[^\[\]]|`[^`]*`)*)\]\(([^()\s]*)\)")
_STRONG = re.compile(r"(\*{1,2})(?=\S)(.+?)(?<=\S)\1")
_LEAST_CELL = 30
"""Characters of the last column of a table below which the rows become entries."""
_INDENT = "    "
_GAP = "  "


def lay_out(
    page: str, width: int, *, heading: Paint | None = None, page_of: Callable[[str], str | None] = lambda path: None
) -> list[str]:
    """Return the lines of ``page``, none wider than ``width`` but for code and long words.

    ``heading`` emphasises a heading; without it, headings are underlined. ``page_of`` returns how a linked page is
    opened (``roost help locks``), ``None`` if it is not one of these pages.
    """
    lines: list[str] = []
    for block in _split_blocks(_COMMENT.sub("", page)):
        lines += [*([""] if lines else []), *_format_block(block, width, heading, page_of)]
    return lines


def _split_blocks(page: str) -> Iterator[list[str]]:
    """Yield the lines of each block: a heading, a fenced block with what is in it, or lines up to an empty one."""
    block: list[str] = []
    fenced = False
    for line in page.split("\n"):
        if line.startswith(_FENCE):
            if not fenced and block:
                yield block
                block = []
            block.append(line)
            if fenced:
                yield block
                block = []
            fenced = not fenced
        elif fenced or (line.strip() and not _HEADING.fullmatch(line)):
            block.append(line)
        else:
            if block:
                yield block
            block = []
            if line.strip():
                yield [line]
    if block:
        yield block


def _format_block(
    block: Sequence[str], width: int, heading: Paint | None, page_of: Callable[[str], str | None]
) -> list[str]:
    first = block[0]
    if first.startswith(_FENCE):
        return [f"    {line}".rstrip() for line in block if not line.startswith(_FENCE)]
    if all(line.startswith("    ") for line in block):
        return list(block)
    if match := _HEADING.fullmatch(first):
        text = plain_text(match[2], page_of)
        return [heading(text)] if heading else [text, ("=" if len(match[1]) == 1 else "-") * len(text)]
    if first.startswith("|"):
        return _format_table(block, width, page_of)
    return _format_paragraph(block, width, page_of)


def _format_paragraph(block: Sequence[str], width: int, page_of: Callable[[str], str | None]) -> list[str]:
    """Return a paragraph, or a list with its items, each wrapped again."""
    parts: list[tuple[str, str, list[str]]] = []
    code = False
    for line in block:
        match = _ITEM.fullmatch(line)
        code = line.startswith("        ") and (code or not match)
        if match and not code:
            parts.append((match[1], f"{match[2]} ", [match[3]]))
        elif parts:
            parts[-1][2].append(line.strip())
        else:
            parts.append(("", "", [line.strip()]))
    lines = []
    for indent, mark, texts in parts:
        text = plain_text(" ".join(texts), page_of)
        lines += _wrap(text, width, first=indent + mark, other=indent + " " * len(mark))
    return lines


def _format_table(block: Sequence[str], width: int, page_of: Callable[[str], str | None]) -> list[str]:
    rows = [[plain_text(cell, page_of) for cell in _split_row(line)] for line in block]
    head, body = rows[0], [row + [""] * (len(rows[0]) - len(row)) for row in rows[2:]]
    shown = [head, *body] if any(head) else body
    widths = [max(len(row[column]) for row in shown) for column in range(len(head))]
    left = width - sum(widths[:-1]) - len(_GAP) * (len(widths) - 1)
    if left < min(widths[-1], _LEAST_CELL):
        half = (width - len(_GAP)) // 2
        if len(head) == 2 and all(len(word) <= half for row in shown for cell in row for word in cell.split()):
            return [line for row in shown for line in _format_halves(row, half)]
        return [line for row in body for line in _format_entry(head, row, width)]
    lines = []
    for row in shown:
        start = "".join(cell.ljust(size) + _GAP for cell, size in zip(row[:-1], widths[:-1], strict=True))
        lines += _wrap(row[-1], width, first=start, other=" " * len(start)) if row[-1] else [start.rstrip()]
    return lines


def _format_halves(row: Sequence[str], width: int) -> Iterator[str]:
    """Yield a row of two columns, each wrapped to ``width``."""
    left, right = (textwrap.wrap(cell, width, break_on_hyphens=False) for cell in row)
    for one, other in zip_longest(left, right, fillvalue=""):
        yield f"{one.ljust(width)}{_GAP}{other}".rstrip()


def _format_entry(head: Sequence[str], row: Sequence[str], width: int) -> Iterator[str]:
    """Yield a row that is too wide for a table: its first cell, and below it the others. If those before the last fit
    a line, the last is the text about them; else each stands by itself under its title."""
    first, *others = row
    yield from _wrap(first, width, first="", other="")
    named = [f"{name}: {cell}" if name and cell else cell for name, cell in zip(head[1:], others, strict=True)]
    facts = "; ".join(filter(None, named[:-1]))
    for text in (facts, others[-1]) if len(facts) <= width - len(_INDENT) else named:
        if text:
            yield from _wrap(text, width, first=_INDENT, other=_INDENT)


def _split_row(line: str) -> list[str]:
    r"""Return the cells of a table's row. ``\|`` is a character of a cell."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def _wrap(text: str, width: int, first: str, other: str) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, len(other) + _LEAST_CELL),
        initial_indent=first,
        subsequent_indent=other,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [first.rstrip()]


def plain_text(text: str, page_of: Callable[[str], str | None] = lambda path: None) -> str:
    """Return text within a line without the marks of links and of emphasis. Code keeps its marks."""

    def replace_link(match: re.Match[str]) -> str:
        label, target = match[1], match[2]
        page, _, _ = target.partition("#")
        if "://" in target:
            return f"{label} ({target})"
        command = page_of(page) if page else None
        if command is None:
            return label
        return f"`{command}`" if label.endswith(".md") else f"{label} (`{command}`)"

    pieces = _CODE.split(_LINK.sub(replace_link, text))
    return "".join(piece if number % 2 else _STRONG.sub(r"\2", piece) for number, piece in enumerate(pieces))
