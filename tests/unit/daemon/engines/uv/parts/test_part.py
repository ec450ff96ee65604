"""Parts of wheels: what is stored of them, and the files that name their prefix."""

from __future__ import annotations

import base64
import hashlib

from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.engines.uv.parts.part import PartFile, PartLink, WheelPart, decode_part, encode_part, list_folders

OLD, NEW = "01234567-aaaabbbb", "89abcdef-ccccdddd"


def part(**fields: object) -> WheelPart:
    known: dict[str, object] = {
        "maker": "m",
        "archive": "archive-v0/x",
        "prefix_name": OLD,
        "site": "lib/python3.11/site-packages",
        "record": "a-1.dist-info/RECORD",
        "linked": (PartLink("a/b/c.py", "", 1, 2, 3, b"d"), PartLink("/share/a", "a.data/share/a", 1, 2, 3, b"d")),
        "written": (),
        "folders": (),
    }
    return WheelPart(**{**known, **fields})  # type: ignore[arg-type]


def row(path: str, content: bytes) -> bytes:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return path.encode() + b",sha256=" + digest + f",{len(content)}\n".encode()


def test_folders_and_paths() -> None:
    assert list_folders("lib/python3.11/site-packages", part().list_paths()) == (
        "lib",
        "lib/python3.11",
        "lib/python3.11/site-packages",
        "lib/python3.11/site-packages/a",
        "lib/python3.11/site-packages/a/b",
        "share",
    )
    assert [part().locate(path) for path in part().list_paths()] == [
        "lib/python3.11/site-packages/a/b/c.py",
        "share/a",
    ]


@given(st.lists(st.tuples(st.binary(max_size=20), st.integers(0, 3)), max_size=5))
def test_written_files_name_another_prefix_and_are_listed_as_they_are(texts: list[tuple[bytes, int]]) -> None:
    def contents(name: str) -> dict[str, bytes]:
        return {f"/bin/{n}": text + name.encode() * times for n, (text, times) in enumerate(texts)}

    def record(name: str) -> bytes:
        return b"".join(row(f"../../..{path}", text) for path, text in contents(name).items())

    def files(name: str) -> tuple[PartFile, ...]:
        scripts = [PartFile(path, 0o755, text) for path, text in contents(name).items()]
        return (PartFile("a-1.dist-info/RECORD", 0o644, record(name)), *scripts)

    rendered = part(written=files(OLD)).render(NEW)
    assert {each.path: each for each in rendered} == {each.path: each for each in files(NEW)}


@given(st.integers(min_value=0), st.integers(0, 255))
def test_a_stored_part_is_whole_or_none(place: int, byte: int) -> None:
    stored = bytearray(encode_part(part()))
    assert decode_part(bytes(stored)) == part()
    place %= len(stored)
    assert decode_part(bytes(stored[:place])) is None
    if stored[place] != byte:
        stored[place] = byte
        assert decode_part(bytes(stored)) is None


def test_another_format_is_unknown() -> None:
    assert decode_part(encode_part(part(format=2))) is None
