"""Deleting trees: only inodes whose last name goes count as freed."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from roost.store.disk.file_ops import measure_tree
from roost.store.disk.removal import delete_counting


def write(path: Path, size: int = 20_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.sync()
    return path


def blocks(path: Path) -> int:
    return path.lstat().st_blocks * 512


def test_a_tree_frees_what_it_measured(tmp_path):
    for name in ("tree/a", "tree/b/c", "tree/b/d/e"):
        write(tmp_path / name)
    os.symlink("/etc", tmp_path / "tree/link")
    total, _ = measure_tree(str(tmp_path / "tree"))
    assert delete_counting(str(tmp_path / "tree")) == total
    assert os.listdir(tmp_path) == []


def test_files_with_other_names_are_not_freed(tmp_path):
    shared, own = write(tmp_path / "tree/shared"), write(tmp_path / "tree/own")
    os.link(shared, tmp_path / "prefix")
    os.link(own, tmp_path / "tree/twice")
    size = blocks(own)
    folder = blocks(tmp_path / "tree")
    assert delete_counting(str(tmp_path / "tree")) == size + folder
    assert (tmp_path / "prefix").read_bytes() == b"x" * 20_000


def test_read_only_folders_are_deleted(tmp_path):
    write(tmp_path / "tree/a/b")
    os.chmod(tmp_path / "tree/a", 0o555)
    delete_counting(str(tmp_path / "tree"))
    assert not (tmp_path / "tree").exists()


def test_a_large_file_is_cut_in_steps_only_if_it_has_no_other_name(tmp_path, monkeypatch):
    cut: list[int] = []
    real = os.truncate
    monkeypatch.setattr(os, "truncate", lambda path, size: (cut.append(size), real(path, size)))
    for name in ("alone", "linked"):
        with open(tmp_path / name, "wb") as stream:
            stream.truncate(130 << 20)
    os.link(tmp_path / "linked", tmp_path / "other")
    for name in ("alone", "linked"):
        delete_counting(str(tmp_path / name), shrinks=True)
    assert cut == [128 << 20, 64 << 20]
    assert (tmp_path / "other").stat().st_size == 130 << 20


def test_a_deletion_stops_between_folders_and_goes_on_later(tmp_path):
    for number in range(5):
        write(tmp_path / "tree" / str(number) / "file", 10)
    answers = iter([False, False, True])
    delete_counting(str(tmp_path / "tree"), stops=lambda: next(answers))
    assert len(list(tmp_path.rglob("file"))) == 4
    delete_counting(str(tmp_path / "tree"))
    assert not (tmp_path / "tree").exists()


def test_what_is_not_there_frees_nothing(tmp_path):
    assert delete_counting(str(tmp_path / "none")) == 0


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=8))
def test_freed_bytes_are_those_that_no_name_is_left_for(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("t")
    tree, outside = folder / "tree", folder / "outside"
    outside.mkdir()
    (tree / "sub").mkdir(parents=True)
    expected = blocks(tree) + blocks(tree / "sub")
    for number, (name, is_shared) in enumerate(files):
        path = tree / "sub" / f"{name}{number}"
        path.write_bytes(name.encode() * 5_000)
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
        if is_shared:
            os.link(path, outside / path.name)
        else:
            expected += blocks(path)
    assert delete_counting(str(tree)) == expected
    assert len(list(outside.iterdir())) == sum(is_shared for _, is_shared in files)
