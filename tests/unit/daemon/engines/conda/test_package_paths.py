"""No set of packages that is accepted writes outside of its prefix; what honest packages do is accepted."""

from __future__ import annotations

import os
import posixpath
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roost.daemon.engines.conda.errors import PackageUnsafeError
from roost.daemon.engines.conda.package_paths import (
    PrefixPaths,
    check_names,
    find_folders,
    find_path_fault,
    place_paths,
)
from roost.model.locks.lock import CondaPackage

PARTS = st.sampled_from(["a", "b", "lib", "..", ".", "", "A", "...", "x\\y", "..\\..", "bin", "conda-meta"])
PATHS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)
FEW = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
"""So few that files come to lie below links."""
TARGETS = st.sampled_from(["a", "b", "..", "../..", "../../..", "../b", "../../b", "c/../..", "./a", "/outside"])
ANY = st.dictionaries(FEW | PATHS, st.none() | TARGETS | PATHS, min_size=1, max_size=4)
LINK_WITH_FILES = st.tuples(FEW, TARGETS).map(lambda pair: {pair[0]: pair[1], f"{pair[0]}/x": None})
PACKAGES = st.lists(ANY | LINK_WITH_FILES, min_size=1, max_size=4).flatmap(st.permutations)


@given(PATHS | st.text(max_size=20))
def test_a_path_without_a_fault_stays_in_its_folder(path: str) -> None:
    if not find_path_fault(path):
        for reading in (path, path.replace("\\", "/")):
            assert (posixpath.normpath(f"/p/{reading}") + "/").startswith("/p/")


@given(st.lists(PATHS | st.text(max_size=20), max_size=5))
def test_folders_are_found_unless_a_path_is_unusual(paths: list[str]) -> None:
    folders = find_folders(paths)
    is_usual = all(path == posixpath.normpath(path) and not find_path_fault(path) for path in paths)
    if folders is not None:
        assert is_usual
        assert "." not in paths
        assert folders == {posixpath.dirname(path) for path in paths} - {""}
    else:
        assert not is_usual or "." in paths or any("\\" in path for path in paths)


def test_a_site_of_python_that_leads_out_is_refused() -> None:
    placed = place_paths(["site-packages/m.py"], "lib/../../../site-packages")
    with pytest.raises(PackageUnsafeError, match="which leads out"):
        link_to().add("noarch", placed)


@given(PACKAGES)
@example([{"c/b": "..", "c/b/x": None}, {"c/b/a": "../..", "c/b/a/x": None}])
@example([{"c/b": "..", "c/b/x": None}, {"c/b/a": "..", "c/b/a/x": None}])
def test_what_is_accepted_is_written_inside(packages: list[dict[str, str | None]]) -> None:
    """The accepted files are made on a disk, links first, which is the worst order."""
    by_name = {f"p{number}": files for number, files in enumerate(packages)}
    paths = PrefixPaths(lambda package, source: by_name[package][source])
    accepted: list[tuple[str, str | None]] = []
    for name, files in by_name.items():
        placed = place_paths([*files], None)
        try:
            paths.add(name, placed)
        except PackageUnsafeError:
            break
        accepted += [(target, files[source]) for source, target in zip(placed.sources, placed.targets, strict=True)]
    top = Path(tempfile.mkdtemp())
    try:
        make_prefix(top / "deep" / "er" / "prefix", accepted)
        assert sorted(each.name for each in top.iterdir()) == ["deep"]
        assert [each.name for each in (top / "deep").iterdir()] == ["er"]
        assert [each.name for each in (top / "deep" / "er").iterdir()] == ["prefix"]
    finally:
        shutil.rmtree(top)


def make_prefix(prefix: Path, files: list[tuple[str, str | None]]) -> None:
    prefix.mkdir(parents=True)
    for path, link in sorted(files, key=lambda each: each[1] is None):
        target = prefix / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if link is None:
                target.touch(exist_ok=False)
            elif link and not link.startswith("/"):
                os.symlink(link, target)
        except OSError:
            pass  # two packages have one path, or disagree about what is a folder: nothing is written


def link_to(**links: str) -> PrefixPaths:
    return PrefixPaths(lambda package, source: links.get(package))


def test_a_link_inside_the_prefix_may_have_files_below_it() -> None:
    paths = link_to(link="lib", far="/usr/share/zoneinfo")
    paths.add("link", place_paths(["lib64"], None))
    paths.add("far", place_paths(["share/zoneinfo"], None))  # and one that leads out may have none
    paths.add("file", place_paths(["lib64/x", "lib/y"], None))


def test_a_link_below_a_link_leads_to_a_file_beside_it_or_nowhere() -> None:
    links = {"lib64": "lib", "lib64/z.so": "z.so.1", "lib64/z.so.1": "z.so.1.2", "lib64/up": "../lib/z.so.1.2"}
    paths = PrefixPaths(lambda package, source: links.get(source))
    paths.add("base", place_paths(["lib64", "lib/y"], None))
    paths.add("zlib", place_paths(["lib64/z.so", "lib64/z.so.1", "lib64/z.so.1.2"], None))
    with pytest.raises(PackageUnsafeError, match="lies below another link, lib64"):
        paths.add("other", place_paths(["lib64/up"], None))


def test_a_link_to_itself_is_refused() -> None:
    paths = link_to(loop="loop")
    with pytest.raises(PackageUnsafeError, match="which leads to itself"):
        paths.add("loop", place_paths(["share/loop", "share/loop/x"], None))


def test_the_package_with_the_link_is_named_whoever_comes_first() -> None:
    for order in (("link", "file"), ("file", "link")):
        paths = link_to(link="/outside")
        first, second = (place_paths(["share/way" if name == "link" else "share/way/x"], None) for name in order)
        paths.add(order[0], first)
        with pytest.raises(PackageUnsafeError) as caught:
            paths.add(order[1], second)
        assert caught.value.fields == {"package": "link", "path": "share/way"}


def test_a_link_that_comes_later_may_lead_an_earlier_one_out() -> None:
    links = {"share/way": "../b", "b": "../.."}
    paths = PrefixPaths(lambda package, source: links.get(source))
    paths.add("first", place_paths(["share/way", "share/way/x"], None))
    with pytest.raises(PackageUnsafeError, match="outside of the prefix"):
        paths.add("second", place_paths(["b"], None))


def test_a_noarch_package_is_judged_where_it_is_placed() -> None:
    paths = link_to(link="/outside")
    paths.add("python", place_paths(["site-packages/m.py", "python-scripts/run"], "lib/python3.11/site-packages"))
    with pytest.raises(PackageUnsafeError):
        paths.add("link", place_paths(["lib/python3.11/site-packages"], None))


@pytest.mark.parametrize(
    ("first", "second"),
    [("share/README", "share/readme"), ("share/A/x", "share/a/y"), ("share/\u00e9", "share/e\u0301")],
)
def test_twins_are_refused_only_where_they_are_one_file(first: str, second: str) -> None:
    def no_link(package: str, source: str) -> None:
        return None

    tells = PrefixPaths(no_link)
    tells.add("one", place_paths([first, second], None))
    ignores = PrefixPaths(no_link, ignores_case=True)
    ignores.add("one", place_paths([first], None))
    ignores.add("again", place_paths([first], None))  # two packages with one path: rattler renames one of them
    with pytest.raises(PackageUnsafeError, match="The package two can't be linked: the file system"):
        ignores.add("two", place_paths([second], None))


@pytest.mark.parametrize("command", ["", "../x", "/bin/x", "a/b", "a\\b", ".."])
def test_a_command_has_a_plain_name(command: str) -> None:
    with pytest.raises(PackageUnsafeError, match="is not the name of a command"):
        link_to().add("p", place_paths([], None), [command])


@pytest.mark.parametrize("field", ["name", "version", "build"])
@pytest.mark.parametrize("text", ["../x", "a/b", "..", "a\0"])
def test_what_becomes_a_name_of_a_file_is_one(field: str, text: str) -> None:
    parts = {"name": "a", "version": "1", "build": "0", field: text}
    package = CondaPackage(**parts, subdir="noarch", file_name="a-1-0.conda", url="file:///a-1-0.conda", sha256="")
    with pytest.raises(PackageUnsafeError, match="is not a name of a file"):
        check_names([package])
