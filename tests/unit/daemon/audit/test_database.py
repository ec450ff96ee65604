"""Files of advisories: what is read, and what is refused by name."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from pathlib import Path

import pytest
from tests.support.advisories import advisory, encode, write_archive
from tests.support.sboms import context

from roost.daemon.audit import database
from roost.daemon.audit.advisories import AdvisoriesInvalidError, AdvisoriesMissingError, AdvisoriesNewerError
from roost.daemon.audit.search import ProjectVersion, SearchRequest, SearchResult, search_advisories

FIRST, SECOND = advisory("A-1"), advisory("A-2", package="NumPy", fixed=None)


def search(path: Path, *versions: str, only: tuple[str, ...] = ()) -> SearchResult:
    subjects = tuple(ProjectVersion(name="numpy", version=each) for each in versions or ("1.0",))
    return search_advisories(SearchRequest(path=str(path), subjects=subjects, only=only), context())


def ids(path: Path) -> list[str]:
    return [each.id for each in search(path).matches]


def test_all_ways_to_write_advisories_are_read(tmp_path: Path) -> None:
    first, second = encode(FIRST, SECOND)
    files = {
        "list.json": b"\xef\xbb\xbf [" + first + b"," + second + b"]",
        "lines.jsonl": first + b"\r\n\n" + second,
        "lines-with-bom.ndjson": b"\xef\xbb\xbf" + first + b"\n" + second + b"\n",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        assert ids(tmp_path / name) == ["A-1", "A-2"], name
    single = tmp_path / "single.json"
    single.write_text(json.dumps(FIRST, indent=2))
    assert ids(single) == ["A-1"]
    members = {"PyPI/A-1.json": first, "A-2.json": second, "readme.txt": b"no advisory"}
    for number, compression in enumerate((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)):
        assert ids(write_archive(tmp_path / f"{number}.zip", members, compression)) == ["A-1", "A-2"]
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / ".git/x.json").write_text("not one")
    (folder / "deep/A-1.json").write_bytes(first)
    write_archive(folder / "all.zip", {"A-2.json": second})
    assert sorted(ids(folder)) == ["A-1", "A-2"]


def test_withdrawn_ones_and_other_ecosystems_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    gone = advisory("A-3", withdrawn="2026-01-02T00:00:00Z", modified="2026-02-01T00:00:00Z")
    other = advisory("A-4", ecosystem="npm")
    suffixed = advisory("A-5", ecosystem="PyPI:somewhere", fixed=None)
    path.write_bytes(b"\n".join(encode(FIRST, gone, other, suffixed)))
    result = search(path)
    assert [each.id for each in result.matches] == ["A-1", "A-5"]
    assert (result.database.advisories, result.database.withdrawn) == (4, 1)
    assert result.database.modified == "2026-02-01T00:00:00Z"
    named = search(path, only=("A-4", "A-3", "nothing"))
    assert named.matches == ()
    assert named.known == ("A-4",)


def test_texts_of_others_are_harmless(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    odd = advisory("A\x1b[31m", summary="red\x1b[31m\nsecond line", aliases=["B\u202e"], fixed=None, details="d" * 999)
    path.write_bytes(encode(odd)[0])
    (match,) = search(path).matches
    assert (match.id, match.summary, match.aliases) == ("A\\x1b[31m", "red\\x1b[31m", ("B\\u202e",))
    path.write_bytes(encode({**odd, "summary": None})[0])
    assert search(path).matches[0].summary == "d" * 199 + "…"


CUT = encode(FIRST)[0][:40]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (CUT, "not JSON, or cut"),
        (b"[" + encode(FIRST)[0], "not a JSON list, or cut"),
        (b"[1, 2]", "advisory 1: not an OSV advisory"),
        (encode(FIRST)[0] + b"\n" + CUT, "line 2: not JSON, or cut"),
        (encode(FIRST)[0] + b"\n{}\n", "line 2: not an OSV advisory: Object missing required field `id`"),
        (b'{"id": "A", "modified": "", "affected": 3}', "not an OSV advisory"),
        (b"[" * 100_000, "cut"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"PK\x03\x04junk", "not a zip archive, or cut"),
        (b"\xff\xfe\x00", "not JSON, or cut"),
        (b"name,version\nnumpy,1\n", "not JSON, or cut"),
    ],
)
def test_what_is_no_advisory_is_refused_by_its_place(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "some\x1bfile"
    path.write_bytes(data)
    with pytest.raises(AdvisoriesInvalidError) as caught:
        search(path)
    assert message in caught.value.message
    assert "some\\x1bfile" in caught.value.message
    assert caught.value.exit_status == 3


def test_another_version_of_the_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\n".join(encode(FIRST, advisory("A-9", schema_version="2.0.0"))))
    with pytest.raises(AdvisoriesNewerError, match=r"line 2: the advisory A-9 has version 2\.0\.0 of OSV's schema"):
        search(path)
    path.write_bytes(encode({key: value for key, value in FIRST.items() if key != "schema_version"})[0])
    assert ids(path) == ["A-1"], "without one it is 1.0.0"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdvisoriesMissingError):
        search(tmp_path / "none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AdvisoriesInvalidError, match="not a regular file"):
        search(tmp_path / "pipe")
    with pytest.raises(AdvisoriesInvalidError, match=r"the folder has no \.json"):
        search(tmp_path)


@pytest.mark.parametrize("name", ["../A.json", "/etc/A.json", "a/../../A.json", "\\A.json", "a\\..\\A.json"])
def test_an_archive_whose_names_lead_out_of_it_is_refused(tmp_path: Path, name: str) -> None:
    archive = write_archive(tmp_path / "x.zip", {"A-1.json": encode(FIRST)[0], name: encode(SECOND)[0]})
    with pytest.raises(AdvisoriesInvalidError, match="leads out of the archive"):
        search(archive)


def test_bombs_are_refused_before_anything_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_inflate", lambda *ignored: pytest.fail("unpacked"))
    large = write_archive(tmp_path / "large.zip", {"A.json": b" " * (database.ADVISORY_BYTES + 1)})
    with pytest.raises(AdvisoriesInvalidError, match="more than any advisory"):
        search(large)
    monkeypatch.setattr(database, "UNPACKED_BYTES", 1000)
    many = write_archive(tmp_path / "many.zip", {f"{number}.json": b" " * 600 for number in range(2)})
    with pytest.raises(AdvisoriesInvalidError, match="unpacks to more than"):
        search(many)
    monkeypatch.setattr(database, "_MEMBERS", 1)
    with pytest.raises(AdvisoriesInvalidError, match="2 members"):
        search(many)
    monkeypatch.setattr(database, "LIST_BYTES", 10)
    (tmp_path / "list.json").write_bytes(b"[" + b" " * 20 + b"]")
    with pytest.raises(AdvisoriesInvalidError, match="one advisory a line"):
        search(tmp_path / "list.json")


def central(archive: bytes) -> int:
    """Return where the list of members begins."""
    return struct.unpack("<I", archive[archive.rindex(b"PK\x05\x06") + 16 :][:4])[0]


def test_an_archive_that_lies_about_its_members_is_refused(tmp_path: Path) -> None:
    packed = write_archive(tmp_path / "x.zip", {"A.json": encode(FIRST)[0], "B.json": encode(SECOND)[0]}).read_bytes()
    at = central(packed)
    second = packed.index(b"PK\x01\x02", at + 1)

    def change(place: int, new: bytes) -> None:
        (tmp_path / "x.zip").write_bytes(packed[:place] + new + packed[place + len(new) :])

    change(at + 24, struct.pack("<I", 10))  # a smaller size than it unpacks to
    with pytest.raises(AdvisoriesInvalidError, match=r"A\.json in .*its bytes are not those"):
        search(tmp_path / "x.zip")
    change(second + 42, struct.pack("<I", 0))  # at the place of the first one
    with pytest.raises(AdvisoriesInvalidError, match=r"B\.json in .*damaged"):
        search(tmp_path / "x.zip")
    change(at + 20, struct.pack("<I", 1 << 20))  # more bytes than there are
    with pytest.raises(AdvisoriesInvalidError, match="overlap"):
        search(tmp_path / "x.zip")
    change(at + 10, struct.pack("<H", 12))  # packed by bzip2
    with pytest.raises(AdvisoriesInvalidError, match=r"A\.json in .*damaged"):
        search(tmp_path / "x.zip")
    change(at + 8, struct.pack("<H", 1))
    with pytest.raises(AdvisoriesInvalidError, match=r"A\.json is encrypted"):
        search(tmp_path / "x.zip")


def test_no_archive_is_used_in_part(tmp_path: Path) -> None:
    """Cut anywhere, or with any byte of a member turned: refused, and never an answer from the rest."""
    members = {f"A-{number}.json": encode(advisory(f"A-{number}", details="text " * 20))[0] for number in range(3)}
    path = write_archive(tmp_path / "x.zip", members)
    data = path.read_bytes()
    end = central(data)
    for place in range(0, len(data), 37):
        path.write_bytes(data[:place])
        with pytest.raises(AdvisoriesInvalidError):
            search(path)
    for place in range(30, end, 29):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            assert len(search(path).matches) == 3
        except AdvisoriesInvalidError:
            continue
