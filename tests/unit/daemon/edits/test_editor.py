"""What an edit says of a file that stays, and which requests name none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.edits.editor import check_request, find_old_line, format_diff
from roost.daemon.edits.replacement import OriginalFile
from roost.model.errors import InvalidRequestError
from roost.wire.edits import EditRequest
from roost.wire.plans import EnvironmentSelector

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


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"environment": "train"}, "roost env edit train"),
        ({"image": "debian:12"}, "Name it with -f"),
        ({"text": "six\n"}, "Name it with -f"),
        ({"document": {}}, "Name it with -f"),
        ({"run": "r1"}, "Name it with -f"),
        ({"lock": "sha256:0"}, "Name no generation"),
        ({"file": "a", "environment": "b"}, "at most one"),
    ],
)
def test_what_is_no_file_is_refused(fields: dict[str, Any], hint: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        check_request(EditRequest(what=EnvironmentSelector(cwd="/p", **fields), add=["six"]))
    assert hint in error.value.hint


def test_a_request_without_packages_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        check_request(EditRequest(what=EnvironmentSelector(cwd="/p")))
