"""Manifests of trees on disk: which digests are trusted, what is read, and what is found."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from roost.daemon.integrity.manifest import ManifestDamagedError, PrefixManifest, encode_manifest
from roost.daemon.integrity.trees import collect_manifest, find_differences, find_named_differences, load_manifest
from roost.model.canonical.form import digest_bytes

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
