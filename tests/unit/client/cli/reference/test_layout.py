"""A page of Markdown as text for a terminal."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.client.cli.reference.layout import lay_out, plain_text
from roost.client.cli.reference.topics import TOPICS, read_page

WORDS = st.lists(st.text("abcdefghij", min_size=1, max_size=12), min_size=1, max_size=40).map(" ".join)


def test_headings_are_underlined_unless_they_are_emphasised():
    assert lay_out("# One\n\n## Two `x`", 80) == ["One", "===", "", "Two `x`", "-------"]
    assert lay_out("# One", 80, heading=str.upper) == ["ONE"]


def test_a_paragraph_is_wrapped_again_and_code_is_not():
    page = "one two\nthree four five\n\n    $ a very long command that has to stay in one line\n    $ b"
    assert lay_out(page, 40) == [
        "one two three four five",
        "",
        "    $ a very long command that has to stay in one line",
        "    $ b",
    ]


def test_items_of_lists_hang():
    page = "1. one\n   two\n2. three\n\n- a b\n  c"
    assert lay_out(page, 80) == ["1. one two", "2. three", "", "- a b c"]


def test_a_table_is_aligned_and_its_last_column_is_wrapped():
    page = "| key | what |\n|---|---|\n| `a` | " + "word " * 12 + "|\n| `bcd` | |\n| x\\|y | z |"
    assert lay_out(page, 50) == [
        "key    what",
        "`a`    word word word word word word word word",
        "       word word word word",
        "`bcd`",
        "x|y    z",
    ]


def test_a_table_that_is_too_wide_becomes_columns_or_entries():
    two = "| a | b |\n|---|---|\n| " + "left " * 12 + "| " + "right " * 12 + "|"
    assert all("left" in line and "right" in line for line in lay_out(two, 60)[1:3])
    three = "| name | type | meaning |\n|---|---|---|\n| " + "n" * 40 + " | text | " + "word " * 10 + "|"
    assert lay_out(three, 60)[:2] == ["n" * 40, "    type: text"]
    four = "| | one | two | three |\n|---|---|---|---|\n| n | " + "a " * 30 + "| " + "b " * 30 + "| c |"
    assert [line for line in lay_out(four, 60) if ":" in line or line == "n"] == [
        "n",
        "    one: " + "a " * 25 + "a",
        "    two: " + "b " * 25 + "b",
        "    three: c",
    ]


def test_links_say_how_their_page_is_opened():
    open_page = {"locks.md": "roost help locks"}.get
    assert plain_text("see [locks](locks.md#x)", open_page) == "see locks (`roost help locks`)"
    assert plain_text("see [docs/locks.md](locks.md)", open_page) == "see `roost help locks`"
    assert (
        plain_text("[here](#below), [there](https://example.org/)", open_page) == "here, there (https://example.org/)"
    )


def test_marks_of_emphasis_go_and_those_in_code_stay():
    assert plain_text("**a** *b* `*c* **d**` 2 * 3 * 4") == "a b `*c* **d**` 2 * 3 * 4"


@settings(max_examples=30)
@given(WORDS, st.integers(20, 120))
def test_no_word_is_lost_and_no_line_is_too_wide(text: str, width: int):
    for page in (text, f"- {text}", f"| a | b |\n|---|---|\n| x | {text} |"):
        lines = lay_out(page, width)
        assert Counter(" ".join(lines).split()) >= Counter(text.split())
        assert max(map(len, lines)) <= max(width, 40)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_page_fits_a_terminal_of_80_columns(topic):
    lines = lay_out(read_page(topic), 80)
    prose = [line for line in lines if not line.startswith("    ") and len(line) > 80]
    assert all(" " not in line.strip()[:80] or "://" in line for line in prose), prose
    assert not any("|---" in line or line.startswith(("#", "```")) for line in lines)
