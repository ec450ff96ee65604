"""What an edit says of a file that stays, and how its change is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.edits.replacement import OriginalFile
from roost.daemon.edits.texts import describe_by_hand, explain_failure, find_old_line, format_diff
from roost.model.edits.change import EditRefusedError, ItemEdit
from roost.model.errors import InvalidDefinitionError, Location

LINES = st.lists(st.sampled_from([b"a", b"b", b"c", b""]), max_size=6)


@given(LINES, LINES, st.integers(-1, 8))
def test_a_line_of_the_new_text_is_named_only_if_the_file_has_it(
    before: list[bytes], after: list[bytes], line: int
) -> None:
    found = find_old_line(b"\n".join(before), b"\n".join(after), line)
    if found is not None:
        assert b"\n".join(before).splitlines()[found - 1] == b"\n".join(after).splitlines()[line - 1]


def test_an_added_line_is_no_line_of_the_file() -> None:
    before, after = b"dependencies:\n- a\n- c\n", b"dependencies:\n- a\n- b\n- c\n"
    assert [find_old_line(before, after, line) for line in (1, 2, 3, 4, 5)] == [1, 2, None, 3, None]


@pytest.mark.parametrize(
    ("line", "data", "place"), [(3, b"a\nb\n", "3:7"), (1, b"a\nb\nc\n", "1:7"), (2, b"a\nnew\nb\n", "")]
)
def test_a_failure_keeps_its_place_in_the_file_and_says_that_this_stays(line: int, data: bytes, place: str) -> None:
    original = OriginalFile(path="/p/r.txt", target="/p/r.txt", data=b"a\nb\n")
    error = InvalidDefinitionError("Wrong", location=Location(path="/p/r.txt", line=line, column=7))
    explain_failure(error, original, data)
    assert str(error.location) == f"/p/r.txt:{place}".rstrip(":")
    assert error.hint == "r.txt stays as it was."


def test_a_refusal_ends_with_what_to_write() -> None:
    original = OriginalFile(path="/p/r.txt", target="/p/r.txt", data=b"")
    error = EditRefusedError("No", hint="Write it by hand: six")
    explain_failure(error, original, b"")
    assert (error.message, error.hint) == ("No. r.txt stays as it was", "Write it by hand: six")


def test_the_change_is_shown_as_a_diff() -> None:
    original = OriginalFile(path="/p/requirements.txt", target="/p/requirements.txt", data=b"six\n")
    assert format_diff(original, b"six\nidna\n").split("\n") == [
        "--- requirements.txt",
        "+++ requirements.txt",
        "@@ -1 +1,2 @@",
        " six",
        "+idna",
    ]


def test_how_a_person_makes_the_same_change() -> None:
    items = [
        ItemEdit(action="added", section="pip", name="six", after="six>=1", line=3),
        ItemEdit(action="removed", section="pip", name="left", before="left==1", line=2),
        ItemEdit(action="changed", section="pip", name="right", before="right", after="right<2"),
        ItemEdit(action="present", section="pip", name="idna", after="idna", line=1),
    ]
    assert describe_by_hand(items) == (
        "By hand: add `six>=1` in line 3, remove `left==1` in line 2, write `right<2` in place of `right`."
    )
    assert describe_by_hand([]) == ""
