"""What is wrong in a root, from a listing of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.repair.findings import PrefixRow, RootListing, find_faults
from roost.store.disk.layout import FOLDERS

NAME = "0123abcd-abcdefgh"
WHOLE = frozenset(f"{NAME}{end}" for end in ("", ".lease", ".manifest", ".record"))
BLOB = f"{'a' * 64}.tar.gz"


def found(listing: RootListing) -> list[tuple[str, str, bool]]:
    return [(finding.kind, finding.path, finding.repairable) for finding in find_faults(listing)]


def test_a_whole_root_has_no_faults():
    files = "format lock index.db index.db-wal index.db-shm index.db.schema-6 index.db.schema-6.2 index.db.copy"
    more = "index.db.damaged-1 index.db.damaged-1-wal registries.json bin roost.sock"
    top = frozenset((*FOLDERS, *files.split(), *more.split()))
    listing = RootListing(
        top=top,
        prefixes=WHOLE,
        rows=(PrefixRow(name=NAME),),
        blobs=frozenset([BLOB]),
        layer_rows=frozenset([BLOB]),
        runs=frozenset(["r-1"]),
        run_rows=frozenset(["r-1", "r-older"]),
    )
    assert found(listing) == []


def test_what_is_missing_of_a_prefix_is_named():
    for end in ("lease", "manifest", "record"):
        listing = RootListing(prefixes=WHOLE - {f"{NAME}.{end}"}, rows=(PrefixRow(name=NAME),))
        assert found(listing) == [("missing", f"prefixes/{NAME}.{end}", True)]
    assert found(RootListing(rows=(PrefixRow(name=NAME),))) == [("missing", f"prefixes/{NAME}", True)]


def test_a_prefix_of_format_1_has_neither_manifest_nor_record():
    listing = RootListing(prefixes=frozenset([NAME, f"{NAME}.lease"]), rows=(PrefixRow(name=NAME, has_manifest=False),))
    assert found(listing) == []


def test_a_prefix_that_is_being_built_or_deleted_lacks_nothing():
    assert found(RootListing(prefixes=frozenset([NAME]), rows=(PrefixRow(name=NAME, is_ready=False),))) == []


def test_content_without_a_row_is_an_orphan():
    listing = RootListing(prefixes=WHOLE, blobs=frozenset([BLOB]), runs=frozenset(["r-1"]))
    assert {kind for kind, _, _ in found(listing)} == {"orphan"}
    assert len(found(listing)) == len(WHOLE) + 2


def test_what_is_cut_is_a_leftover_and_what_is_of_others_stays():
    listing = RootListing(
        top=frozenset(["index.db.rebuilt", "index.db.copy.new", "format.0a1b2c3d.new", "notes.txt"]),
        prefixes=frozenset([f"{NAME}.manifest.0a1b2c3d.new"]),
        blobs=frozenset(["readme"]),
    )
    assert found(listing) == [
        ("leftover", "format.0a1b2c3d.new", True),
        ("leftover", "index.db.copy.new", True),
        ("leftover", "index.db.rebuilt", True),
        ("unknown", "notes.txt", False),
        ("leftover", f"prefixes/{NAME}.manifest.0a1b2c3d.new", True),
        ("unknown", "layers/readme", False),
    ]


@given(st.frozensets(st.text(min_size=1, max_size=20)), st.frozensets(st.text(min_size=1, max_size=20)))
def test_whatever_lies_there_is_judged_once(top, prefixes):
    findings = find_faults(RootListing(top=top, prefixes=prefixes))
    assert len({finding.path for finding in findings}) == len(findings)
