"""The text of a file of values."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.completions.texts import MAX_DESCRIPTION, Value, format_values, shorten

VALUES = st.lists(
    st.builds(Value, st.text(max_size=6) | st.from_regex(r"[a-z]{1,3}(:\d)?", fullmatch=True), st.text(max_size=9))
)


def read(text: str) -> list[str] | None:
    """What a shell uses of a file."""
    lines = text.splitlines()
    return lines[:-1] if lines and lines[-1] == f"end {len(lines) - 1}" else None


@given(VALUES, st.data())
def test_a_file_is_used_whole_or_not_at_all(values: list[Value], data: st.DataObject) -> None:
    text = format_values(values)
    lines = read(text)
    assert lines is not None
    cut = data.draw(st.integers(0, len(text) - 1))
    assert read(text[:cut]) in (None, lines)  # only the end of the last line may be missing


@given(VALUES)
def test_every_value_means_itself_and_nothing_acts_on_a_terminal(values: list[Value]) -> None:
    lines = [line.split("\t", 1) for line in read(format_values(values)) or []]
    names = [line[0] for line in lines]
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.:@+=/-]*", name) for name in names)
    assert names == list(dict.fromkeys(value.text for value in values if value.text in names))
    acting = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
    assert not any(acting.search(description) for _, *rest in lines for description in rest)


def test_a_long_command_is_shortened_to_one_line() -> None:
    assert shorten("completed\n  python  x.py") == "completed python x.py"
    assert len(shorten("x" * 200)) == MAX_DESCRIPTION
