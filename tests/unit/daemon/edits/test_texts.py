"""What an edit says of a file that stays, and how its change is shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.edits.replacement import OriginalFile
from roost.daemon.edits.texts import describe_by_hand, find_old_line, format_diff
from roost.model.edits.change import ItemEdit

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
