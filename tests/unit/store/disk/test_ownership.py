"""Whose a root may be, and who may write in it and above it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.model.errors import StoreRefusedError
from roost.store.disk import ownership
from roost.store.disk.layout import Layout
from roost.store.disk.ownership import RootOwnerError, RootSharedError, check_owners, check_way
from roost.store.disk.root_lock import claim_root
from roost.store.store import Store

pytestmark = pytest.mark.unprivileged
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
OTHER = 12346


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="o", dir="/tmp") as path:
        yield Path(path)


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o500, 0o1777, 0o3777])
def test_above_a_root_only_the_user_root_and_sticky_folders_are_allowed(folder: Path, mode: int) -> None:
    above = folder / "above"
    above.mkdir()
    above.chmod(mode)
    check_owners(str(above / "root"))
    check_owners(str(above / "not/there/yet"))
    check_way(str(above / "run/roost.sock"))


@pytest.mark.parametrize(("mode", "who", "repair"), [(0o777, "Every user", "o-w"), (0o757, "Every user", "o-w")])
@pytest.mark.parametrize("deep", ["root", "not/there/yet"])
async def test_a_folder_above_that_others_can_write_is_refused(
    folder: Path, mode: int, who: str, repair: str, deep: str
) -> None:
    above = folder / "above"
    above.mkdir()
    above.chmod(mode)
    with pytest.raises(RootSharedError) as caught:
        await Store.open(str(above / deep))
    assert caught.value.message.startswith(f"{who} can write in {above} (mode {mode:04o})")
    assert f"{repair} {above}`" in caught.value.hint
    assert (caught.value.code, caught.value.exit_status) == ("root-shared", 5)
    assert list(above.iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
async def test_a_root_that_others_can_write_is_refused_sticky_or_not(folder: Path, mode: int) -> None:
    root = folder / "root"
    root.mkdir()
    root.chmod(mode)
    with pytest.raises(RootSharedError, match=f"Every user can write in {root}"):
        await Store.open(str(root))
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("name", ["launch", "prefixes", "index.db", "lock"])
async def test_something_in_a_root_that_others_can_write_is_refused(folder: Path, name: str) -> None:
    root = folder / "root"
    await (await Store.open(str(root))).close()
    (root / name).chmod(0o777)
    with pytest.raises(RootSharedError, match=f"{root}/{name}"):
        await Store.open(str(root))


@root_only
@pytest.mark.parametrize("which", ["above", "above/root", "above/root/launch", "above/root/lock"])
async def test_what_belongs_to_another_user_is_refused_and_named(folder: Path, which: str) -> None:
    root = folder / "above/root"
    await (await Store.open(str(root))).close()
    os.chown(folder / which, OTHER, OTHER)
    before = sorted(folder.rglob("*"))
    (root / "stage").rmdir()
    with pytest.raises(RootOwnerError) as caught:
        await Store.open(str(root))
    assert caught.value.message.startswith(str(folder / which))
    assert f"belongs to uid {OTHER}" in caught.value.message
    assert caught.value.code == "root-owner"
    assert sorted(folder.rglob("*")) == [path for path in before if path.name != "stage"]


@root_only
def test_a_group_may_write_if_it_is_the_users_own_or_roots(folder: Path) -> None:
    folder.chmod(0o775)
    check_owners(str(folder / "root"))
    os.chown(folder, 0, 5)  # a group that is not root's
    with pytest.raises(RootSharedError, match="The group "):
        check_owners(str(folder / "root"))
    folder.chmod(0o1775)
    check_owners(str(folder / "root"))


@root_only
def test_symlinks_on_the_way_count_with_their_folders_and_targets(folder: Path) -> None:
    (folder / "shared").mkdir()
    (folder / "shared/real").mkdir(mode=0o700)
    (folder / "link").symlink_to("shared/real")
    (folder / "again").symlink_to(folder / "link")
    check_owners(str(folder / "again/root"))
    (folder / "shared").chmod(0o777)
    for link in ("link", "again"):
        with pytest.raises(RootSharedError, match=f"{folder}/shared"):
            check_owners(str(folder / link / "root"))
    (folder / "shared").chmod(0o755)
    os.chown(folder / "link", OTHER, OTHER, follow_symlinks=False)
    with pytest.raises(RootOwnerError, match=f"{folder}/link belongs"):
        check_owners(str(folder / "again/root"))


def test_a_circle_of_symlinks_ends(folder: Path) -> None:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    check_way(str(folder / "a/root"))


def test_a_root_that_somebody_else_created_first_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Between the checks and the creation, in a shared folder.
    real = os.makedirs

    def race(path: str, mode: int = 0o777, exist_ok: bool = False) -> None:
        real(path, mode, exist_ok)
        os.chmod(path, 0o777)

    monkeypatch.setattr(os, "makedirs", race)
    with pytest.raises(StoreRefusedError):
        claim_root(Layout(str(folder / "root")))
    assert list((folder / "root").iterdir()) == []


def test_in_a_user_namespace_the_uid_of_all_that_is_not_mapped_stands_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    for inside in (False, True):
        monkeypatch.setattr(ownership, "_is_in_user_namespace", lambda inside=inside: inside)
        assert ownership._is_trusted(65534) is inside
        assert not ownership._is_trusted(OTHER)
        assert ownership._is_trusted(os.geteuid())
