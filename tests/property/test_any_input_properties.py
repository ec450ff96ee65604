"""Whatever somebody else has written, parsing it ends in a value or in an error of roost's own, and in nothing else.

Beside any bytes, these are real files and the examples of ``tests.support.parsers``, damaged where it hurts.
"""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.corpus import needs_corpus
from tests.support.parsers import PARSERS, Parser, corpus_files, read
from tests.support.soaking import examples

from roost.model.errors import CodedError

_CHARACTERS = ["\0", "\r", "\t", "\n", " ", "\x1b[31m", "\x7f", "\x85", "\u2028", "\ufeff", "é", "\u0661", "²", "😀"]
_SYNTAX = [
    "'",
    '"',
    "\\",
    "#",
    ":",
    ";",
    "@",
    "=",
    "==",
    "~=",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "//",
    "..",
    "/",
    "-",
    "--",
]
_YAML = [
    "- ",
    ": ",
    "? ",
    "| ",
    "> ",
    "&a ",
    "*a ",
    "<<: ",
    "!!binary x",
    "!!python/object:os.system x",
    "!!set ",
    "---",
]
_NUMBERS = [
    "-1",
    "1e999",
    "inf",
    ".nan",
    "0x" + "f" * 5_000,
    "9" * 5_000,
    "9" * 100_000,
    "1_0",
    "1:1",
    "9223372036854775808",
]
_WORDS = [
    "true",
    "null",
    "~",
    "1979-05-27",
    "9999-99-99",
    "07:32:00",
    "\\u0000",
    "\\ud800",
    "\\x00",
    "${A}",
    "$",
    "%00",
    "%",
]
_PLACES = ["-r x\n", "-e ", "--hash=", "git+", "://", "http://[::1", "http://h:99999999/", "file:///%00", "./\0"]
_DEEP = ["[" * 3_000, "- " * 2_000, '{"a":' * 2_000, "a." * 3_000, "(" * 2_000]
PIECES = [
    *(each.encode() for each in [*_CHARACTERS, *_SYNTAX, *_YAML, *_NUMBERS, *_WORDS, *_PLACES, *_DEEP]),
    *(b"\xff", b"\xed\xa0\x80", b"\xfe\xff", b""),
]


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """``data`` with pieces in place of parts of it, or repeated, or cut."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 0, 1, 2, 8, 30, 200])))
        part = draw(st.sampled_from(PIECES) | st.just(data[start:end] * 2) | st.binary(max_size=3))
        data = data[:start] + part + draw(st.sampled_from([data[end:], data[end:], data[end:], b""]))
    return data


def check(parser: Parser, data: bytes) -> None:
    logging.disable(logging.CRITICAL)
    try:
        parser.parse(data)
    except (CodedError, *parser.accepts):
        pass
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", PARSERS)
def test_the_examples_are_valid(name: str) -> None:
    """Else damage to them would show nothing. Those of definitions are of all kinds, some of them wrong on purpose."""
    parser = PARSERS[name]
    for data in parser.examples:
        if name.startswith(("definition ", "as ")) or name in REFUSED:
            check(parser, data)
        else:
            parser.parse(data)


REFUSED = ("a condarc",)
"""The environment that is looked for does not exist."""


@pytest.mark.parametrize("name", PARSERS)
@examples(8)
@given(st.data())
def test_anything_ends_in_a_value_or_an_error_of_ours(name: str, data: st.DataObject) -> None:
    parser = PARSERS[name]
    check(parser, data.draw(st.sampled_from(parser.examples).flatmap(damaged) | st.binary(max_size=60)))


@needs_corpus
@examples(150)
@given(st.data())
def test_damaged_real_files(data: st.DataObject) -> None:
    name, content = data.draw(st.sampled_from(corpus_files()))
    read(name, data.draw(damaged(content)))


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: repr(piece[:12]))
def test_each_piece_after_an_example(piece: bytes) -> None:
    for parser in PARSERS.values():
        check(parser, parser.examples[0] + piece)
