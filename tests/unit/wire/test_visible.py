"""Text of others as people may see it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.wire.visible import make_lines_visible, make_visible


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("numpy=1.26 (Größe 3 µm) 環境 👩\u200d💻 \u0646\u200c\u0627", None),
        ("tab\there\u00a0and\u3000spaces", None),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("\x9b31m\x85", "\\x9b31m\\x85"),
        ("one\ntwo\rthree", "one\\ntwo\\rthree"),
        ("user\u202etxt.exe\u2066\u2069\u200f\u061c", "user\\u202etxt.exe\\u2066\\u2069\\u200f\\u061c"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("\ufeff\u200bx\U000e0041", "\\ufeff\\u200bx\\U000e0041"),
        (b"caf\xe9\x1b".decode(errors="surrogateescape"), "caf\\xe9\\x1b"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_acts_on_a_terminal_is_written_out(text: str, visible: str | None) -> None:
    assert make_visible(text) == (text if visible is None else visible)


@given(st.text(alphabet=st.characters(categories=("Cc", "Cf", "Cs", "Zl", "Zp", "L", "N", "P", "Co"))))
def test_nothing_is_left_that_acts_on_a_terminal(text: str) -> None:
    shown = make_visible(text)
    assert not {unicodedata.category(character) for character in shown.replace("\t", "")} & {"Cc", "Cs", "Zl", "Zp"}
    assert not set("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff") & set(shown)
    assert make_visible(shown) == shown
    shown.encode()


def test_lines_end_with_a_line_feed_only() -> None:
    assert make_lines_visible("a\r\nb\x0bc\u2028d\n") == ["a", "b\\x0bc\\u2028d", ""]
