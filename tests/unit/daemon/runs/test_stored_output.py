"""The last lines of a stored output."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from roost.daemon.runs.stored_output import find_tail, read_at
from roost.wire.run_output import StoredOutput, bound_output


@settings(deadline=None)
@given(
    st.lists(st.binary(max_size=9).map(lambda part: part.replace(b"\n", b"")), max_size=30),
    st.booleans(),
    st.integers(0, 40),
)
def test_the_tail_is_the_last_lines(lines: list[bytes], is_ended: bool, wanted: int) -> None:
    text = b"\n".join(lines) + (b"\n" if is_ended and lines else b"")
    with TemporaryDirectory() as folder:
        Path(folder, "output").write_bytes(text)
        expected = b"".join(text.splitlines(keepends=True)[-wanted:]) if wanted else b""
        only_newlines = text.replace(b"\r", b"?")  # splitlines ends lines at these too
        Path(folder, "output").write_bytes(only_newlines)
        whole = only_newlines.split(b"\n")
        ended = [line + b"\n" for line in whole[:-1]] + ([whole[-1]] if whole[-1] else [])
        expected = b"".join(ended[-wanted:]) if wanted else b""
        assert only_newlines[find_tail(folder, wanted) :] == expected


def test_blocks_are_read_from_the_end(tmp_path: Path) -> None:
    lines = [b"%06d" % number + b"x" * 50 for number in range(5000)]
    (tmp_path / "output").write_bytes(b"\n".join(lines) + b"\n")
    offset = find_tail(str(tmp_path), 3000)
    assert (tmp_path / "output").read_bytes()[offset:].startswith(b"002000")


def test_a_tail_that_reaches_over_what_is_left_out(tmp_path: Path) -> None:
    stored = StoredOutput(str(tmp_path), 400)
    stored.open()
    for number in range(200):
        stored.write(b"%03d\n" % number)
    stored.close()
    assert bound_output(str(tmp_path), 400)
    data, offset = b"", find_tail(str(tmp_path), 60)
    while (step := read_at(str(tmp_path), offset))[0]:
        data, offset = data + step[0], step[1]
    assert data.endswith(b"199\n")
    *shown, _ = data.split(b"\n")
    assert b"are left out here" in data
    assert len([line for line in shown if line.isdigit()]) == 60
    few, _ = read_at(str(tmp_path), find_tail(str(tmp_path), 2))
    assert few == b"198\n199\n"


def test_no_output_has_no_lines(tmp_path: Path) -> None:
    assert find_tail(str(tmp_path), 3) == 0
