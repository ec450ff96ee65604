"""Manifests: what they hold, how they are stored, and what differs from one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.integrity.manifest import (
    Differences,
    ManifestDamagedError,
    PrefixManifest,
    compare_names,
    decode_manifest,
    describe,
    encode_manifest,
)
from roost.model.canonical.form import digest_bytes

NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..", "__pycache__")
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@st.composite
def manifests(draw: st.DrawFn) -> PrefixManifest:
    paths = draw(st.lists(PATHS, unique=True, max_size=12))
    kinds = [draw(st.sampled_from("fld")) for _ in paths]
    return PrefixManifest(
        files={p: (draw(st.integers(0, 10**12)), "0" * 64) for p, k in zip(paths, kinds, strict=True) if k == "f"},
        links={p: draw(PATHS) for p, k in zip(paths, kinds, strict=True) if k == "l"},
        folders=[p for p, k in zip(paths, kinds, strict=True) if k == "d"],
    )


def tree(manifest: PrefixManifest) -> dict[str, int | str | None]:
    return {
        **{path: size for path, (size, _) in manifest.files.items()},
        **manifest.links,
        **dict.fromkeys(manifest.folders),
    }


@given(manifests())
def test_what_is_read_is_what_was_written(manifest: PrefixManifest) -> None:
    content = encode_manifest(manifest)
    again = decode_manifest(content, digest_bytes(content))
    assert (again.files, again.links, sorted(again.folders)) == (
        manifest.files,
        manifest.links,
        sorted(manifest.folders),
    )
    assert encode_manifest(again) == content


@given(manifests())
def test_a_tree_does_not_differ_from_its_own_manifest(manifest: PrefixManifest) -> None:
    assert compare_names(manifest, tree(manifest)) == Differences()


@given(manifests(), st.data())
def test_every_change_is_one_difference(manifest: PrefixManifest, data: st.DataObject) -> None:
    found = tree(manifest)
    path = data.draw(st.sampled_from(sorted(found))) if found else None
    if path is not None and data.draw(st.booleans()):
        del found[path]
        assert compare_names(manifest, found) == Differences(missing=(path,))
    elif path is not None and data.draw(st.booleans()):
        found[path] = 10**13 if found[path] is None else None
        assert compare_names(manifest, found) == Differences(changed=(path,))
    else:
        extra = data.draw(PATHS.filter(lambda each: each not in found))
        found[extra] = 1
        assert compare_names(manifest, found) == Differences(extra=(extra,))


def test_byte_code_that_python_writes_is_no_difference() -> None:
    manifest = PrefixManifest(files={"a.py": (1, "x"), "__pycache__/a.pyc": (9, "y")}, links={}, folders=[])
    assert compare_names(manifest, {"a.py": 1}) == Differences()
    assert compare_names(manifest, {"a.py": 1, "__pycache__/b.pyc": 3}) == Differences()
    assert compare_names(manifest, {"a.py": 1, "__pycache__/a.pyc": 8}) == Differences(rewritten=("__pycache__/a.pyc",))


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"format": 2}', b"no json"])
def test_a_file_that_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(ManifestDamagedError):
        decode_manifest(content, digest_bytes(content))


def test_a_manifest_that_was_edited_is_refused() -> None:
    content = encode_manifest(PrefixManifest(files={}, links={}, folders=[]))
    with pytest.raises(ManifestDamagedError, match="changed"):
        decode_manifest(content + b" ", digest_bytes(content))


@pytest.mark.parametrize(
    ("differences", "text"),
    [
        (Differences(missing=("s/six.py",)), "six.py missing"),
        (Differences(missing=("s/d", "s/d/RECORD", "s/d/x/y")), "d missing"),
        (Differences(extra=("s/new.pth",), changed=("bin/pip",)), "pip changed, new.pth added"),
        (Differences(extra=tuple(f"s/{n}" for n in range(6))), "0 added, 1 added, 2 added, 3 more"),
    ],
)
def test_differences_in_words(differences: Differences, text: str) -> None:
    assert describe(differences) == text
