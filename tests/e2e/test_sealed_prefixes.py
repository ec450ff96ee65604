"""A prefix stays what its lock says: what people and installers change in one is noticed at the next hit, and replaced
at another path."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.pip_index import PipIndex
from tests.support.roost_process import Roost

pytestmark = pytest.mark.unprivileged

CHECK = "import greet, sys; print(greet.value, sys.prefix)"


@pytest.fixture
def prefix(roost: Roost, pip_index: PipIndex) -> Path:
    """A prefix with ``greet`` 1.0, on a Python of this machine."""
    pip_index.wheel("greet", "1.0")
    pip_index.wheel("greet", "2.0")
    pip_index.wheel("other", "1.0")
    roost.write("requirements.txt", "greet==1.0\n")
    roost.ok("build")
    return prefix_of(roost)


def prefix_of(roost: Roost) -> Path:
    return Path(roost.json("plan")["plans"][0]["artifact"]["path"])


def run(roost: Roost) -> tuple[str, Path]:
    value, path = roost.ok("exec", "--", "python", "-c", CHECK).split()
    return value, Path(path)


def site_of(prefix: Path) -> Path:
    return next(prefix.glob("lib/python3*/site-packages"))


def guarded(prefix: Path) -> list[Path]:
    return [site_of(prefix), site_of(prefix).parent, prefix / "bin", *prefix.glob("conda-meta")]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def is_writable(path: Path) -> bool:
    """By its mode: root writes everywhere."""
    return bool(path.stat().st_mode & 0o200)


def writable(folder: Path) -> None:
    """What whoever wants to change it by hand does first, if it is not root."""
    folder.chmod(0o755)


def remove(prefix: Path) -> None:
    writable(site_of(prefix))
    shutil.rmtree(site_of(prefix) / "greet-1.0.dist-info")


def add_module(prefix: Path) -> None:
    writable(site_of(prefix))
    (site_of(prefix) / "sitecustomize.py").write_text("raise SystemExit(3)\n")


def add_path_file(prefix: Path) -> None:
    writable(site_of(prefix))
    (site_of(prefix) / "zz.pth").write_text("import sys; sys.exit(3)\n")


def add_folder(prefix: Path) -> None:
    writable(site_of(prefix))
    (site_of(prefix) / "json").mkdir()


def replace_program(prefix: Path) -> None:
    writable(prefix / "bin")
    path = prefix / "bin" / "new"
    path.write_text("#!/bin/sh\n")
    path.rename(prefix / "bin" / "activate")


def move_site(prefix: Path) -> None:
    writable(site_of(prefix).parent)
    site_of(prefix).rename(site_of(prefix).with_name("site"))


@pytest.mark.parametrize("change", [remove, add_module, add_path_file, add_folder, replace_program, move_site])
def test_what_is_changed_by_hand_is_replaced_at_the_next_hit(
    roost: Roost, prefix: Path, change: Callable[[Path], None]
) -> None:
    assert run(roost) == ("1.0", prefix)
    assert run(roost) == ("1.0", prefix)  # by the launch plan
    change(prefix)
    value, path = run(roost)
    assert value == "1.0"
    assert path != prefix
    assert run(roost) == ("1.0", path)
    assert not prefix.exists()


def test_folders_are_read_only_and_files_as_they_were(roost: Roost, prefix: Path) -> None:
    assert {mode(folder) for folder in guarded(prefix)} == {0o555}
    assert is_writable(prefix)
    assert is_writable(site_of(prefix) / "greet.py")


def test_byte_code_is_written_into_folders_that_exist_and_changes_no_guard(roost: Roost, prefix: Path) -> None:
    roost.variables["PYTHONDONTWRITEBYTECODE"] = ""
    caches = site_of(prefix) / "__pycache__"
    assert is_writable(caches)
    for file in caches.iterdir():
        file.unlink()
    assert run(roost) == ("1.0", prefix)
    assert [file.name.split(".")[0] for file in caches.iterdir()] == ["greet"]
    assert run(roost) == ("1.0", prefix)


def test_conda_prefixes_too(conda_roost: Roost) -> None:
    roost = conda_roost
    roost.write("environment.yml", "dependencies: [python=3.11, six=1.17]\n")
    roost.ok("build")
    prefix = prefix_of(roost)
    assert {mode(folder) for folder in guarded(prefix)} == {0o555}
    writable(prefix / "conda-meta")
    next(prefix.glob("conda-meta/six-*.json")).unlink()
    path = roost.ok("exec", "--", "python", "-c", "import six, sys; print(sys.prefix)").strip()
    assert path != str(prefix)
    assert path == str(prefix_of(roost))
