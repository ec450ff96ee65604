"""Which files of packages are code that runs while a prefix is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roost.daemon.engines.conda.package_code import classify_path, find_kinds, list_package_code
from roost.model.locks.lock import CondaPackage

PARTS = st.sampled_from(["bin", "lib", "etc", "conda", "activate.d", "python3.11", "site-packages", "a", ".", "x.sh"])


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("bin/.x-post-link.sh", "link-script"),
        ("bin/.x-pre-link.sh", "link-script"),
        ("./bin//.x-post-link.sh", "link-script"),
        ("bin/.x-pre-unlink.sh", None),
        ("etc/conda/activate.d/x.sh", "activation-script"),
        ("etc/conda/activate.d/sub/x", "activation-script"),
        ("etc/conda/deactivate.d/x.sh", None),
        ("bin/python", "interpreter-file"),
        ("bin/python3.13t", "interpreter-file"),
        ("python-scripts/python3", "interpreter-file"),
        ("bin/python-config", None),
        ("pyvenv.cfg", "interpreter-file"),
        ("lib/python311.zip", "interpreter-file"),
        ("lib/python3.11/os.py", "interpreter-file"),
        ("lib/python3.13t/lib-dynload/x.so", "interpreter-file"),
        ("lib/python3.11/site-packages/os.py", None),
        ("lib/libpython3.11.so.1.0", "interpreter-file"),
        ("lib/libz.so", None),
        ("bin/python311._pth", "interpreter-file"),
        ("share/readme.txt", None),
    ],
)
def test_a_file_is_code_by_its_path(path: str, kind: str | None) -> None:
    assert classify_path(path) == kind


@given(st.lists(PARTS, min_size=1, max_size=5).map("/".join))
def test_another_spelling_of_a_path_is_judged_the_same(path: str) -> None:
    assert classify_path(f"./{path}") == classify_path(path) == classify_path(path.replace("/", "//"))


def test_a_python_may_have_its_own_files_but_no_scripts() -> None:
    paths = ["bin/python", "lib/python3.11/os.py", "bin/.python-post-link.sh"]
    assert [*find_kinds("python", paths)] == ["link-script"]
    assert {*find_kinds("other", paths)} == {"interpreter-file", "link-script"}


def package(**record: object) -> CondaPackage:
    url = "https://example.org/noarch/x-1.0-0.conda"
    named = {"name": "x", "version": "1.0", "build": "0", "subdir": "noarch", "file_name": "x-1.0-0.conda"}
    return CondaPackage(**named, url=url, sha256="ab", record=dict(record))


def write(folder: Path, paths: bytes, link: bytes = b"") -> None:
    info = folder / "x-1.0-0" / "info"
    info.mkdir(parents=True)
    (info / "paths.json").write_bytes(paths)
    if link:
        (info / "link.json").write_bytes(link)


def test_commands_of_a_package_count_as_files(tmp_path: Path) -> None:
    write(tmp_path, b'{"paths": []}', b'{"noarch": {"entry_points": ["python = x:main"]}}')
    [code] = list_package_code(str(tmp_path), [package(noarch="python")])
    assert (code.kind, code.package, code.content) == ("interpreter-file", "x 1.0", "sha256:ab")


def test_a_list_that_cannot_be_read_may_hide_anything(tmp_path: Path) -> None:
    assert list_package_code(str(tmp_path), [package()]) == []  # not in the cache yet
    assert [code.kind for code in list_package_code(str(tmp_path), [package()], all_cached=True)] == ["link-script"]
    write(tmp_path, b"{")
    assert [code.kind for code in list_package_code(str(tmp_path), [package()])] == ["link-script"]
