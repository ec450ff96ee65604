"""The bound of a detached run's output: what stays, what is left out, and what a reader sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.runs.stored_output import read_at
from roost.wire.run_output import OutputCut, OutputWatch, StoredOutput, bound_output, plan_cut, read_cut

LIMIT = 1_000_000


@given(st.lists(st.integers(0, 10**7), max_size=20), st.integers(100_000, 10**6))
def test_what_stays_is_the_head_and_the_newest_part(growth: list[int], limit: int) -> None:
    size, cut = 0, None
    for more in growth:
        size += more
        planned = plan_cut(size, cut, limit)
        if planned is None:
            kept = size - (cut.end - cut.start if cut else 0)
            assert kept <= limit
            continue
        assert planned.start == limit // 2
        assert cut is None or planned.end > cut.end
        assert planned.start < planned.end <= size
        assert limit // 4 <= size - planned.end
        assert planned.start + size - planned.end <= limit
        assert plan_cut(size, planned, limit) is None
        cut = planned


def write_lines(path: Path, first: int, last: int) -> None:
    with path.open("ab") as file:
        file.writelines(b"line %07d\n" % number for number in range(first, last))


def read_all(folder: Path) -> bytes:
    found, offset = b"", 0
    while (step := read_at(str(folder), offset))[0]:
        found, offset = found + step[0], step[1]
    return found


def require_holes(folder: Path) -> None:
    (folder / "output").write_bytes(bytes(200_000))
    if not bound_output(str(folder), 100_000):
        pytest.skip("the file system can't punch holes")
    (folder / "output").unlink()
    (folder / "output.cut").unlink()


def test_the_middle_of_a_long_output_is_left_out_and_takes_no_space(tmp_path: Path) -> None:
    require_holes(tmp_path)
    output = tmp_path / "output"
    for first in range(0, 1_000_000, 100_000):
        write_lines(output, first, first + 100_000)
        assert bound_output(str(tmp_path), LIMIT)
    os.sync()
    assert output.stat().st_size == 13_000_000  # offsets do not change
    assert output.stat().st_blocks * 512 <= LIMIT + 100_000
    text = read_all(tmp_path)
    assert b"\0" not in text
    head, mark, tail = text.partition(b"\n[roost: ")
    assert mark
    left_out, _, tail = tail.partition(b" bytes of output are left out here: runs.output_bytes]\n")
    assert head.startswith(b"line 0000000\n")
    assert tail.endswith(b"line 0999999\n")
    assert int(left_out.replace(b",", b"")) + len(head) + len(tail) == 13_000_000
    assert {len(line) for line in head.split(b"\n")} <= {12, 0}  # cut at the ends of lines
    assert {len(line) for line in tail.split(b"\n")} <= {12, 0}


def test_a_short_output_is_whole(tmp_path: Path) -> None:
    write_lines(tmp_path / "output", 0, 1000)
    assert bound_output(str(tmp_path), LIMIT)
    assert read_cut(str(tmp_path)) is None
    assert read_all(tmp_path) == (tmp_path / "output").read_bytes()


def test_a_follower_inside_of_what_is_left_out_is_told_how_much(tmp_path: Path) -> None:
    (tmp_path / "output").write_bytes(bytes(1000) + b"newest")
    (tmp_path / "output.cut").write_text('{"start": 100, "end": 1000}')
    assert read_at(str(tmp_path), 400) == (
        b"\n[roost: 600 bytes of output are left out here: runs.output_bytes]\n",
        1000,
    )
    assert read_at(str(tmp_path), 1000) == (b"newest", 1006)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"start": "x", "end": 1}', "\0"])
def test_a_damaged_note_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "output.cut").write_text(text)
    assert read_cut(str(tmp_path)) is None


def test_what_another_process_wrote_is_bounded_while_it_runs(tmp_path: Path) -> None:
    require_holes(tmp_path)
    output = tmp_path / "output"
    output.touch()
    with OutputWatch(str(tmp_path), LIMIT):
        write_lines(output, 0, 200_000)
    assert read_cut(str(tmp_path)) is not None
    assert read_all(tmp_path).endswith(b"line 0199999\n")


def test_what_the_daemon_writes_of_a_container_begins_anew(tmp_path: Path) -> None:
    require_holes(tmp_path)
    for _ in range(2):
        stored = StoredOutput(str(tmp_path), LIMIT)
        stored.open()
        assert read_cut(str(tmp_path)) is None
        for number in range(500):
            stored.write(b"x" * 9_999 + b"%d" % (number % 10))
        stored.close()
        cut = read_cut(str(tmp_path))
        assert cut is not None
        assert cut.end - cut.start >= 4_000_000
    stored = StoredOutput(str(tmp_path), LIMIT)
    stored.open()
    stored.write(b"short")
    stored.close()
    assert read_all(tmp_path) == b"short"


def test_where_no_hole_can_be_punched_nothing_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("roost.wire.run_output._can_punch", lambda descriptor: False)
    write_lines(tmp_path / "output", 0, 200_000)
    before = (tmp_path / "output").read_bytes()
    assert not bound_output(str(tmp_path), LIMIT)
    assert read_cut(str(tmp_path)) is None
    assert (tmp_path / "output").read_bytes() == before == read_all(tmp_path)
    assert plan_cut(len(before), OutputCut(1, 2), LIMIT) is not None
