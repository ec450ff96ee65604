"""A RECORD against the files of its wheel."""

from __future__ import annotations

import csv
import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.engines.uv.unpacked.record import (
    FATAL,
    RecordFault,
    RecordRow,
    describe_faults,
    encode_digest,
    find_faults,
    parse_record,
)

INFO = "greet-1.0.dist-info"
PATHS = st.lists(
    st.text("abcXYZ._-é ", min_size=1).filter(lambda text: text not in (".", "..")), min_size=1, max_size=3
).map("/".join)
CONTENTS = st.dictionaries(PATHS, st.binary(max_size=40), min_size=1, max_size=6)


def digest(content: bytes, algorithm: str = "sha256") -> str:
    return encode_digest(hashlib.new(algorithm, content).digest())


def record_of(contents: dict[str, bytes]) -> list[RecordRow]:
    rows = [RecordRow(path, f"sha256={digest(content)}", len(content)) for path, content in contents.items()]
    return [*rows, RecordRow(f"{INFO}/RECORD", "", None)]


def faults(rows: list[RecordRow], contents: dict[str, bytes]) -> list[RecordFault]:
    files = {**{path: len(content) for path, content in contents.items()}, f"{INFO}/RECORD": 1}
    return find_faults(rows, files, INFO, lambda path, algorithm: digest(contents[path], algorithm))


@given(CONTENTS)
def test_a_record_that_fits_has_no_fault_also_as_text(contents: dict[str, bytes]) -> None:
    rows = record_of(contents)
    assert faults(rows, contents) == []
    text = io.StringIO(newline="")
    csv.writer(text).writerows((row.path, row.digest, row.size) for row in rows)
    assert parse_record(text.getvalue()) == rows


@given(CONTENTS, st.data())
def test_every_single_change_is_found(contents: dict[str, bytes], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(contents)))
    rows = record_of(contents)
    changed = {**contents, path: contents[path][:-1] + b"~" if contents[path][-1:] != b"~" else b"other"}
    without = {name: content for name, content in contents.items() if name != path}
    assert RecordFault("content", path) in faults(rows, changed)
    assert faults(rows, without) == [RecordFault("missing", path)]
    assert faults([row for row in rows if row.path != path], contents) == [RecordFault("unlisted", path)]
    assert faults([*rows, RecordRow(path, "sha256=other", None)], contents) == [RecordFault("twice", path)]


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "..", ""])
def test_a_path_outside_is_the_worst(path: str) -> None:
    rows = [RecordRow("gone", "", None), RecordRow(path, "", None), *record_of({"a": b"1"})]
    found = faults(rows, {"a": b"1", "b": b"2"})
    assert [fault.kind for fault in found] == ["outside", "missing", "unlisted"]
    assert found[0].kind in FATAL


def test_what_the_format_leaves_open_is_no_fault() -> None:
    contents = {"a.py": b"1", "b.py": b"2", f"{INFO}/RECORD.jws": b"s", f"{INFO}/RECORD.p7s": b"s"}
    rows = [
        RecordRow("./a.py", f"sha512={digest(b'1', 'sha512')}", None),
        RecordRow("b.py", "md5=unknown", 1),
        RecordRow("b.py", "md5=unknown", 1),
        RecordRow(f"{INFO}/RECORD", "sha256=whatever", 7),
    ]
    assert faults(rows, contents) == []
    assert faults([RecordRow("a.py", "sha512=wrong", None)], {"a.py": b"1"}) == [RecordFault("content", "a.py")]


def test_a_text_names_three_and_counts_the_rest() -> None:
    text = describe_faults([RecordFault("missing", f"f{number}") for number in range(5)])
    assert text.startswith("'f0' is listed, but not in the wheel, 'f1'")
    assert text.endswith("'f2' is listed, but not in the wheel, and 2 more")
