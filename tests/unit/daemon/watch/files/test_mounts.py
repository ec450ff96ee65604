"""Which mount a path lies on: against the walk that the kernel makes, for any order of mounting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.soaking import examples

from roost.daemon.watch.files.mounts import (
    NO_MOUNTS,
    MountPoint,
    find_changed_points,
    is_remote,
    parse_mounts,
)

TABLE = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 27 0:30 / /home/some\040one rw - nfs4 server:/home rw
32 31 0:31 / /home/some\040one/local\134x rw - tmpfs tmpfs rw
33 27 0:32 / /mnt/c rw - 9p C: rw
34 27 0:33 / /mnt/share rw master:3 propagate_from:2 - cifs //x/y rw
35 27 0:34 / /mnt/ssh rw - fuse.sshfs a:/ rw
36 27 8:2 / /mnt/usb rw - fuseblk /dev/sdb1 rw
garbage
99 27 0:99
""".lstrip("\n")


@pytest.mark.parametrize(
    ("path", "point"),
    [
        ("/home/some one", "/home/some one"),
        ("/home/some one/project/environment.yml", "/home/some one"),
        ("/home/some one/local\\x/f", None),
        ("/home/some oneself", None),
        ("/home", None),
        ("/mnt/c/Users", "/mnt/c"),
        ("/mnt/share/x", "/mnt/share"),
        ("/mnt/ssh", "/mnt/ssh"),
        ("/mnt/usb/x", None),
        ("/", None),
    ],
)
def test_the_mount_decides_and_not_the_path(path, point):
    found = parse_mounts(TABLE).find_remote(path)
    assert (found.point if found else None) == point


def test_a_mount_that_is_covered_does_not_count():
    table = parse_mounts(
        f"{TABLE}40 27 0:50 / /mnt rw - tmpfs tmpfs rw\n41 31 0:51 / /home/some\\040one rw - ext4 x rw"
    )
    assert table.find_remote("/mnt/c/Users") is None
    assert table.find_remote("/home/some one/x") is None


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse", "fuse.rclone", "ceph", "virtiofs"])
def test_kinds_that_others_change_unnoticed(kind):
    assert is_remote(kind)


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "xfs", "zfs", "tmpfs", "overlay", "fuseblk", "fuse.fuse-overlayfs"])
def test_kinds_of_this_machine(kind):
    assert not is_remote(kind)


paths = st.lists(st.sampled_from("ab"), max_size=3).map(lambda names: "/" + "/".join(names))


def walk(mounts: list[MountPoint], path: str) -> MountPoint:
    """The mount that a walk ends on: in each folder on the way, what is mounted there is entered, to the top."""

    def enter(here: MountPoint, place: str) -> MountPoint:
        while above := [each for each in mounts if each.parent == here.id and each.point == place]:
            here = above[0]
        return here

    here, place = enter(mounts[0], "/"), ""
    for name in [name for name in path.split("/") if name]:
        place += f"/{name}"
        here = enter(here, place)
    return here


@examples(100)
@given(st.lists(paths, max_size=6), paths)
def test_as_a_walk_from_the_root(points, path):
    mounts = [MountPoint(1, 0, "/", "ext4")]
    for number, point in enumerate(points, 2):
        mounts.append(MountPoint(number, walk(mounts, point).id, point, f"kind{number}"))
    lines = [f"{each.id} {each.parent} 0:1 / {each.point} rw - {each.kind} x rw" for each in reversed(mounts)]
    assert parse_mounts("\n".join(lines)).find(path) == walk(mounts, path)


@examples(30)
@given(st.permutations(["1", "0", "0:1", "/", "/", "rw", "-", "nfs", "x\\04"]))
def test_lines_in_any_disorder_are_a_table(words):
    table = parse_mounts(f"{' '.join(words)}\n{TABLE}")
    assert len(table.mounts) - len(parse_mounts(TABLE).mounts) in (0, 1)


def test_a_change_is_found_by_its_mount_point():
    before = parse_mounts(TABLE)
    assert find_changed_points(before, before) == frozenset()
    assert find_changed_points(before, parse_mounts(TABLE.replace(" 9p ", " ext4 "))) == {"/mnt/c"}
    assert "/" in find_changed_points(NO_MOUNTS, before)
