"""Which mount a path lies on, and whether the kernel of this machine sees all changes there. Pure.

``/proc/self/mountinfo`` is described in proc(5). Mounts form a tree: a mount is reached through its parent, so that one
that was put over another hides it, and everything that is mounted below that one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from roost.store.disk.root import NETWORK_FILE_SYSTEMS

_ESCAPE = re.compile(r"\\([0-7]{3})")
_HOST_KINDS = frozenset({"virtiofs", "vboxsf", "vmhgfs", "prl_fs", "drvfs", "fakeowner"})
"""Folders of the host of a virtual machine."""
_CLUSTER_KINDS = frozenset({"gfs2", "ocfs2", "panfs", "wekafs", "acfs", "dvs", "quobyte"})
_REMOTE_KINDS = NETWORK_FILE_SYSTEMS | _HOST_KINDS | _CLUSTER_KINDS | {"fuse"}
"""File systems that others can change without a notice of this kernel."""
_LOCAL_FUSE_KINDS = frozenset({"fuse.fuse-overlayfs", "fuse.ntfs-3g", "fuse.exfat-fuse"})
"""Programs in front of a disk of this machine: all changes come through the mount."""


@dataclass(frozen=True, slots=True)
class MountPoint:
    """One line of the table: ``kind`` is the type of file system."""

    id: int
    parent: int
    point: str
    kind: str


@dataclass(frozen=True, slots=True)
class MountTable:
    """All mounts that a process sees."""

    mounts: frozenset[MountPoint]
    root: MountPoint | None
    children: Mapping[int, tuple[MountPoint, ...]]

    def find(self, path: str) -> MountPoint | None:
        """Return the mount that an absolute path without links lies on; ``None`` if the table does not say."""
        here = self.root
        seen = set()
        while here is not None and here.id not in seen:
            seen.add(here.id)
            nearest = [each for each in self.children.get(here.id, ()) if is_below(path, each.point)]
            if not nearest:
                return here
            here = min(nearest, key=lambda each: len(each.point))
        return here

    def find_remote(self, path: str) -> MountPoint | None:
        """Return the mount of ``path`` if changes there are not noticed: it has to be polled."""
        mount = self.find(path)
        return mount if mount is not None and is_remote(mount.kind) else None


NO_MOUNTS = MountTable(frozenset(), None, {})
"""The table of a system that has none to read."""


def parse_mounts(text: str) -> MountTable:
    """Return the table in the text of ``/proc/self/mountinfo``. Lines that are none are skipped."""
    mounts = [mount for line in text.split("\n") if (mount := _parse_line(line)) is not None]
    ids = {mount.id for mount in mounts}
    children: dict[int, list[MountPoint]] = {}
    for mount in mounts:
        if mount.parent != mount.id:
            children.setdefault(mount.parent, []).append(mount)
    roots = [mount for mount in mounts if mount.point == "/" and (mount.parent not in ids or mount.parent == mount.id)]
    return MountTable(
        frozenset(mounts), roots[-1] if roots else None, {key: tuple(value) for key, value in children.items()}
    )


def find_changed_points(before: MountTable, after: MountTable) -> frozenset[str]:
    """Return the mount points at or below which a path may lie on another mount than before."""
    return frozenset(mount.point for mount in before.mounts ^ after.mounts)


def is_remote(kind: str) -> bool:
    """Whether others may change files on a file system of this kind unnoticed."""
    if kind.startswith("fuse."):
        return kind not in _LOCAL_FUSE_KINDS
    return kind in _REMOTE_KINDS


def is_below(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or lies in it."""
    return path == folder or folder == "/" or path.startswith(f"{folder}/")


def _parse_line(line: str) -> MountPoint | None:
    left, separator, right = line.partition(" - ")
    fields, kinds = left.split(" "), right.split(" ")
    if not separator or len(fields) < 6 or not (_is_number(fields[0]) and _is_number(fields[1])):
        return None
    point = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[4])
    return MountPoint(id=int(fields[0]), parent=int(fields[1]), point=point, kind=kinds[0])


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20
