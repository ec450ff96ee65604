"""Which links guard an editable installation, and until when the guards hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from roost.daemon.definitions.stamps import is_unchanged
from roost.daemon.prefixes.editable_links import choose_links, find_named_paths, list_links, stamp_links
from roost.model.locks.lock import CondaPython, Lock, Wheel


@pytest.fixture
def lock(tmp_path: Path) -> Lock:
    (tmp_path / "a" / "src" / "demo").mkdir(parents=True)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "src").symlink_to("../a/src")
    (tmp_path / "project" / "data").symlink_to("../data")
    (tmp_path / "link").symlink_to("project")
    wheel = Wheel(name="demo", version="1", kind="editable", path=f"{tmp_path}/link")
    return Lock(platform="linux-64", provider=CondaPython(), wheels=(wheel,))


def lead(link: Path, target: str) -> None:
    link.unlink()
    link.symlink_to(target)


def test_links_to_a_folder_and_in_it_are_found(lock: Lock, tmp_path: Path) -> None:
    assert list_links(lock) == {
        (f"{tmp_path}/link", f"{tmp_path}/project"),
        (f"{tmp_path}/link/src", f"{tmp_path}/a/src"),
        (f"{tmp_path}/link/data", f"{tmp_path}/data"),
    }


@pytest.mark.parametrize(
    ("named", "chosen"),
    [
        (["/a/src"], ["/p/src"]),
        (["/a/src/demo"], ["/p/src"]),
        (["/a/src2"], []),
        (["/a"], []),
        (["/b/one.py", "/c"], ["/p/one.py"]),
        (["/"], []),
        ([], []),
    ],
)
def test_those_count_that_lead_to_what_is_named(named: list[str], chosen: list[str]) -> None:
    links = [("/p/src", "/a/src"), ("/p/one.py", "/b/one.py"), ("/p/data", "/data")]
    assert [path for path, _ in choose_links(links, named)] == chosen


def test_what_is_named_is_in_path_files_and_in_finders(lock: Lock, tmp_path: Path) -> None:
    packages = tmp_path / "prefix" / "lib" / "python3.11" / "site-packages"
    info = packages / "demo-1.dist-info"
    info.mkdir(parents=True)
    (packages / "demo.pth").write_text("/x/src\nimport demo_finder\n/x/../y/\n")
    (packages / "demo_finder.py").write_text("MAPPING = {'demo': '/z/demo', \"two\": \"/z/two.py\"}\n")
    (packages / "other.pth").write_text("/other\n")
    (info / "RECORD").write_text("demo.pth,,\ndemo_finder.py,,\nabsent.pth,,\n")
    assert find_named_paths(str(tmp_path / "prefix"), lock) == {"/x/src", "/y", "/z/demo", "/z/two.py"}


def test_guards_hold_while_files_change_and_until_the_link_leads_elsewhere(lock: Lock, tmp_path: Path) -> None:
    link, source = tmp_path / "link" / "src", tmp_path / "a" / "src"
    guards = stamp_links([(str(link), str(source))])
    (source / "more.py").write_text("")
    assert all(map(is_unchanged, guards))
    (tmp_path / "b").mkdir()
    for elsewhere in ("../b", "../absent", "src"):
        lead(link, elsewhere)
        assert not all(map(is_unchanged, guards)), elsewhere
    lead(link, "../a/src")
    assert all(map(is_unchanged, guards))
    source.rename(tmp_path / "moved")  # the same inode
    lead(link, "../moved")
    assert not all(map(is_unchanged, guards))


def test_a_link_that_led_elsewhere_when_it_was_stamped_never_passes(lock: Lock, tmp_path: Path) -> None:
    before = list_links(lock)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    lead(tmp_path / "project" / "src", "../b/src")
    guards = stamp_links(choose_links(before | list_links(lock), [f"{tmp_path}/a/src"]))
    assert not all(map(is_unchanged, guards))
