"""Manifests of trees on disk: which digests are trusted, what is read, and what is found."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.engines.uv.unpacked.content import read_state
from roost.daemon.integrity.manifest import CACHE_FOLDER, ManifestDamagedError, PrefixManifest, encode_manifest
from roost.daemon.integrity.trees import collect_manifest, find_differences, find_named_differences, load_manifest
from roost.model.canonical.form import digest_bytes
from roost.store.disk.file_ops import TreeCount, measure_tree

TRUSTED = "a" * 64


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """A file that is a hard link into a cache, one of its own, a symlink, an empty folder and byte-code."""
    cache, prefix = tmp_path / "cache", tmp_path / "prefix"
    for folder in (cache, prefix / "lib/__pycache__", prefix / "empty"):
        folder.mkdir(parents=True)
    for name in ("linked.py", "__pycache__/linked.pyc"):
        (cache / os.path.basename(name)).write_text(f"content of {name}")
        os.utime(cache / os.path.basename(name), (1e9, 1e9))
        os.link(cache / os.path.basename(name), prefix / "lib" / name)
    (prefix / "lib/own.py").write_text("own")
    os.utime(prefix / "lib/own.py", (1e9, 1e9))
    (prefix / "lib/link").symlink_to("own.py")
    return prefix


def collect(prefix: Path, digests: dict[str, str] | None = None) -> PrefixManifest:
    return collect_manifest(str(prefix), digests or {}, time.time_ns() - 10**9)


def test_everything_is_listed(prefix: Path) -> None:
    manifest = collect(prefix)
    own, linked, pyc = prefix / "lib/own.py", prefix / "lib/linked.py", prefix / "lib/__pycache__/linked.pyc"
    assert manifest.files == {
        "lib/own.py": (3, sha256(own)),
        "lib/linked.py": (linked.stat().st_size, sha256(linked)),
        "lib/__pycache__/linked.pyc": (pyc.stat().st_size, sha256(pyc)),
    }
    assert manifest.links == {"lib/link": "own.py"}
    assert sorted(manifest.folders) == ["empty", "lib"]


def test_a_known_digest_saves_reading_a_hard_link_only(prefix: Path) -> None:
    manifest = collect(prefix, {"lib/linked.py": TRUSTED, "lib/own.py": TRUSTED})
    assert manifest.files["lib/linked.py"][1] == TRUSTED
    assert manifest.files["lib/own.py"][1] == sha256(prefix / "lib/own.py")


def test_a_hard_link_that_a_script_wrote_to_is_read(prefix: Path) -> None:
    (prefix / "lib/linked.py").write_text("written by a link script")
    manifest = collect(prefix, {"lib/linked.py": TRUSTED})
    assert manifest.files["lib/linked.py"][1] == sha256(prefix / "lib/linked.py")


def test_a_file_is_not_read_again_as_long_as_it_is_in_the_state_in_which_it_was_read(prefix: Path) -> None:
    read = {read_state((prefix / name).stat()): TRUSTED for name in ("lib/linked.py", "lib/own.py")}
    os.utime(prefix / "lib/own.py", (1e9, 1e9 + 1))
    files = collect_manifest(str(prefix), {"lib/linked.py": "b" * 64}, 0, None, read).files
    assert files["lib/linked.py"] == (len("content of linked.py"), TRUSTED)
    assert files["lib/own.py"] == (3, sha256(prefix / "lib/own.py"))


def test_names_that_are_not_utf8(prefix: Path) -> None:
    (prefix / os.fsdecode(b"lib/\xff.py")).write_text("x")
    manifest = collect(prefix)
    content = encode_manifest(manifest)
    path = prefix.with_name("p.manifest")
    path.write_bytes(content)
    assert find_differences(str(prefix), load_manifest(str(path), digest_bytes(content))).altered == ()


def test_an_edit_in_place_with_size_and_time_forged_is_found(prefix: Path) -> None:
    manifest, path = collect(prefix), prefix / "lib/linked.py"
    status = path.stat()
    path.write_text(path.read_text().upper())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert find_named_differences(str(prefix), manifest).altered == ()
    assert find_differences(str(prefix), manifest).changed == ("lib/linked.py",)


def test_what_is_missing_and_extra(prefix: Path) -> None:
    manifest = collect(prefix)
    (prefix / "lib/link").unlink()
    (prefix / "lib/link").symlink_to("linked.py")
    (prefix / "lib/own.py").unlink()
    (prefix / "empty/new").mkdir()
    found = find_differences(str(prefix), manifest)
    assert (found.missing, found.changed, found.extra) == (("lib/own.py",), ("lib/link",), ("empty/new",))


def test_a_pipe_in_the_place_of_a_file_is_not_opened(prefix: Path) -> None:
    manifest = collect(prefix)
    (prefix / "lib/own.py").unlink()
    os.mkfifo(prefix / "lib/own.py")
    assert find_differences(str(prefix), manifest).changed == ("lib/own.py",)


def test_byte_code_is_changed_in_place_or_rewritten_by_python(prefix: Path) -> None:
    manifest, path = collect(prefix), prefix / "lib/__pycache__/linked.pyc"
    path.write_text("broken for every prefix")
    assert find_differences(str(prefix), manifest).changed == ("lib/__pycache__/linked.pyc",)
    path.unlink()
    path.write_text("as Python writes it")
    found = find_differences(str(prefix), manifest)
    assert (found.altered, found.rewritten) == ((), ("lib/__pycache__/linked.pyc",))


def test_a_manifest_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ManifestDamagedError, match="No such file"):
        load_manifest(str(tmp_path / "none"), "sha256:0")


def test_a_prefix_that_is_gone_has_nothing(prefix: Path) -> None:
    manifest = collect(prefix)
    assert len(find_named_differences(str(prefix) + "x", manifest).missing) == 5


def test_a_tree_is_measured_by_the_names_that_its_manifest_needs(prefix: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for number, size in enumerate((0, 1, 20_000, 300_000)):
        (cache / str(number)).write_bytes(b"x" * size)
        os.link(cache / str(number), prefix / f"linked-{number}")
    os.link(cache / "2", prefix / "linked-twice")
    (prefix / "own").write_bytes(b"y" * 50_000)
    os.link(prefix / "own", prefix / "own-twice")
    (prefix / "a" / "b" / CACHE_FOLDER).mkdir(parents=True)
    (prefix / "a" / "link").symlink_to("/" + "l" * 200)  # longer than what an inode has room for
    os.mkfifo(prefix / "a" / "pipe")
    count = TreeCount()
    manifest = collect_manifest(str(prefix), {}, 0, count)
    (prefix / "late").mkdir()
    count.add(str(prefix / "late"))
    os.sync()
    assert count.measure() == measure_tree(str(prefix))
    assert measure_tree(str(prefix))[1] >= 320_000
    assert "linked-3" in manifest.files


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 40_000)), max_size=12))
def test_what_is_not_allocated_yet_is_measured_after_the_sync(files: list[tuple[bool, bool, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tree, cache = Path(folder, "tree"), Path(folder, "cache")
        tree.mkdir()
        cache.mkdir()
        count = TreeCount()
        count.add(str(tree))
        for number, (is_shared, is_allocated, size) in enumerate(files):
            path = tree / str(number)
            path.write_bytes(b"x" * size)
            os.link(path, (cache if is_shared else tree) / f"{number}-again")
            for name in (path, *([] if is_shared else [tree / f"{number}-again"])):
                found = os.lstat(name)
                fields = {"st_blocks": found.st_blocks if is_allocated else 0}
                count.add(str(name), os.stat_result(found, fields))
        os.sync()
        assert count.measure() == measure_tree(str(tree))
