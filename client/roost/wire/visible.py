"""Text of others as people may see it: one function for everything that is printed.

Here, because both sides of the protocol print, and because the client's hot path can import a module without imports.
"""

from __future__ import annotations

_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""General categories (UAX #44) of controls, formats, surrogates, and separators of lines and paragraphs."""
_KEPT = frozenset("\t\u200c\u200d")
"""A tab, and the joiners that Persian, Indic scripts and emoji are written with."""
_ARABIC_SIGNS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2")
"""Formats that have a glyph."""


def make_visible(text: str) -> str:
    """Return one line in which nothing acts on a terminal: characters that move the cursor, change colours, titles or
    the direction of text, break the line, or have no glyph are written as Python writes them (``\\x1b``, ``\\u202e``).

    A byte that is not UTF-8 (PEP 383) is written as ``\\xff``. The channel, package, file, command, label or server
    that the text comes from may belong to somebody else.
    """
    return text if text.isprintable() else "".join(map(_show, text))


def make_lines_visible(text: str) -> list[str]:
    """Return the lines of ``text``, each of them visible. Only ``\\n``, and a ``\\r`` before it, ends a line."""
    return [make_visible(line.removesuffix("\r")) for line in text.split("\n")]


def _show(character: str) -> str:
    from unicodedata import category

    if character.isprintable() or character in _KEPT or character in _ARABIC_SIGNS:
        return character
    if category(character) not in _INVISIBLE:  # a space that is not " ", a private character, one of a newer Unicode
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii") if not 0xD800 <= code <= 0xDFFF else f"\\u{code:04x}"
