"""The folders of a prefix that are guarded, and how."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from roost.daemon.integrity.folders import (
    create_bytecode_folders,
    find_guarded_folders,
    find_unsealed,
    seal_folders,
)
from roost.store.disk.file_ops import remove_tree


def make(prefix: Path, *files: str) -> Path:
    for name in files:
        path = prefix / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\n")
    return prefix


@pytest.fixture
def conda_prefix(tmp_path: Path) -> Path:
    prefix = make(
        tmp_path / "conda",
        "bin/python3.11",
        "conda-meta/six-1-0.json",
        "lib/python3.11/os.py",
        "lib/python3.11/site-packages/six.py",
        "lib/python3.11/site-packages/pkg/a.py",
        "lib/R/library/base/DESCRIPTION",
        "lib/libz.so",
        "share/man/x.1",
    )
    (prefix / "lib/python3.1").symlink_to("python3.11")
    return prefix


def folders_of(prefix: Path) -> list[str]:
    return [os.path.relpath(path, prefix) for path in prefix.rglob("*") if path.is_dir() and not path.is_symlink()]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_folders_of_a_conda_prefix(conda_prefix: Path) -> None:
    assert find_guarded_folders(str(conda_prefix)) == [
        "bin",
        "conda-meta",
        "lib/R/library",
        "lib/python3.11",
        "lib/python3.11/site-packages",
    ]


@pytest.mark.parametrize("name", ["python3.12", "python3.13t", "pypy3.10"])
def test_the_folders_of_a_virtual_environment(tmp_path: Path, name: str) -> None:
    prefix = make(tmp_path, "bin/python", f"lib/{name}/site-packages/a.py", "pyvenv.cfg")
    (prefix / "lib64").symlink_to("lib")
    assert find_guarded_folders(str(prefix)) == ["bin", f"lib/{name}", f"lib/{name}/site-packages"]


def test_packages_of_a_platform_in_a_folder_of_their_own(tmp_path: Path) -> None:
    prefix = make(tmp_path, "lib/python3.12/site-packages/a.py", "lib64/python3.12/site-packages/b.so")
    assert "lib64/python3.12/site-packages" in find_guarded_folders(str(prefix))


def test_an_empty_prefix_has_none(tmp_path: Path) -> None:
    assert find_guarded_folders(str(tmp_path)) == []


def test_only_folders_become_read_only(conda_prefix: Path) -> None:
    sealed = seal_folders(str(conda_prefix), folders_of(conda_prefix))
    assert sealed == [str(conda_prefix / folder) for folder in find_guarded_folders(str(conda_prefix))]
    assert {mode(Path(path)) for path in sealed} == {0o555}
    assert mode(conda_prefix / "lib/python3.11/site-packages/pkg") == 0o555
    others = [conda_prefix, conda_prefix / "lib", conda_prefix / "share/man"]
    assert {mode(path) for path in others} == {0o755}
    assert mode(conda_prefix / "bin/python3.11") == 0o644
    assert list(find_unsealed(str(conda_prefix))) == []
    (conda_prefix / "bin").chmod(0o755)
    assert list(find_unsealed(str(conda_prefix))) == [(str(conda_prefix / "bin"), 0o755)]
    assert remove_tree(str(conda_prefix))


def test_a_change_in_the_same_moment_shows_in_the_mtime(conda_prefix: Path) -> None:
    folder = conda_prefix / "bin"
    seal_folders(str(conda_prefix), folders_of(conda_prefix))
    before = folder.stat().st_mtime_ns
    folder.chmod(0o755)
    assert folder.stat().st_mtime_ns == before
    (folder / "new").write_text("")
    assert folder.stat().st_mtime_ns > before + 10**9


def test_python_finds_its_folder_for_byte_code(conda_prefix: Path) -> None:
    site = "lib/python3.11/site-packages"
    (conda_prefix / site / "pkg/__pycache__").mkdir()
    create_bytecode_folders(
        str(conda_prefix), ["bin/python3.11", f"{site}/six.py", f"{site}/pkg/a.py", "lib/python3.11/os.py"]
    )
    found = [os.path.relpath(path, conda_prefix) for path in sorted(conda_prefix.rglob("__pycache__"))]
    assert found == [
        "lib/python3.11/__pycache__",
        f"{site}/__pycache__",
        f"{site}/pkg/__pycache__",
    ]
    assert mode(conda_prefix / site / "__pycache__") == 0o755


def test_folders_in_which_wheels_have_files_are_read_only(tmp_path: Path) -> None:
    prefix = make(tmp_path / "p", "share/data/x", "share/other/y", "lib/python3.11/site-packages/a/__pycache__/a.pyc")
    folders = [folder for folder in folders_of(prefix) if "__pycache__" not in folder]
    seal_folders(str(prefix), folders, ["share/data", "nowhere"])
    assert (mode(prefix / "share/data"), mode(prefix / "share/other")) == (0o555, 0o755)
    assert mode(prefix / "lib/python3.11/site-packages/a/__pycache__") == 0o755
    assert remove_tree(str(prefix))
