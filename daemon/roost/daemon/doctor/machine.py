"""Checks of the machine: disk, links, file systems, clock, and what happens at a logout."""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
import tempfile
import time
from datetime import datetime, timezone

from roost.daemon.doctor.deadlines import run_apart
from roost.daemon.doctor.findings import Check
from roost.daemon.doctor.process import find_units
from roost.daemon.doctor.sources import ask_any_clock
from roost.daemon.doctor.surroundings import Surroundings
from roost.daemon.doctor.verdicts import (
    DiskUse,
    judge_clock,
    judge_file_systems,
    judge_linger,
    judge_links,
    judge_space,
)
from roost.daemon.gc.limits import resolve_limits
from roost.store.disk.layout import Layout
from roost.store.disk.root import find_file_system, find_mount

_FICLONE = 0x40049409  # ioctl_ficlonerange(2)
_GET_USER_QUOTA = 0x800007 << 8  # QCMD(Q_GETQUOTA, USRQUOTA), quotactl(2)
_QUOTA_BLOCK = 1024  # bytes of a block in dqblk, quotactl(2)


async def check_space(around: Surroundings) -> list[Check]:
    """Check free space, free files (inodes) and the user's quota."""
    disk = await run_apart(_measure, around.root)
    floor = resolve_limits(around.config.cache, disk.total).min_free_bytes
    return [judge_space(disk, floor)]


def _measure(root: str) -> DiskUse:
    found = os.statvfs(root)
    unit = found.f_frsize
    files = found.f_favail if found.f_files else None  # Btrfs counts none
    return DiskUse(root, found.f_blocks * unit, found.f_bavail * unit, files, _find_quota(root))


class _QuotaBlock(ctypes.Structure):
    """``struct dqblk`` of quotactl(2)."""

    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("hard", "soft", "used", "files_hard", "files_soft", "files_used")),
        *((name, ctypes.c_uint64) for name in ("block_time", "file_time")),
        ("valid", ctypes.c_uint32),
    ]


def _find_quota(root: str) -> int | None:
    """Return the bytes that are left of the user's quota on the disk of ``root``; ``None`` without one."""
    mount = find_mount(root) if sys.platform == "linux" else None
    source = mount.source if mount else ""
    if not source.startswith("/dev/"):
        return None
    block = _QuotaBlock()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.quotactl(_GET_USER_QUOTA, os.fsencode(source), os.getuid(), ctypes.byref(block)) != 0:
        return None
    limits = [limit * _QUOTA_BLOCK for limit in (block.hard, block.soft) if limit]
    return max(0, min(limits) - int(block.used)) if limits else None


async def check_file_system(around: Surroundings) -> list[Check]:
    """Check the file systems of the folders whose programs are started, and of those that prefixes are linked from."""
    return [await run_apart(_judge_file_systems, around.layout)]


def _judge_file_systems(layout: Layout) -> Check:
    folders = [folder for folder in (layout.root, *_linked_folders(layout)) if os.path.isdir(folder)]
    kinds = {folder: find_file_system(folder) or "an unknown file system" for folder in folders}
    own = kinds[layout.root]
    shown = {folder: kind for folder, kind in kinds.items() if folder == layout.root or kind != own}
    noexec = [folder for folder in folders if os.statvfs(folder).f_flag & os.ST_NOEXEC] if _HAS_NOEXEC else []
    return judge_file_systems(shown, noexec)


_HAS_NOEXEC = hasattr(os, "ST_NOEXEC")


def _linked_folders(layout: Layout) -> tuple[str, ...]:
    return (layout.packages, layout.wheels, layout.prefixes)


async def check_links(around: Surroundings) -> list[Check]:
    """Check hard links: prefixes are linked from the package cache, and without links every prefix is a full copy."""
    return [await run_apart(_judge_links, around.layout)]


def _judge_links(layout: Layout) -> Check:
    with tempfile.TemporaryDirectory(dir=layout.root) as folder:
        source = os.path.join(folder, "a")
        with open(source, "wb") as stream:
            stream.write(b"roost")
        hard, reflink = _can_hard_link(source, source + ".hard"), _can_reflink(source, source + ".clone")
    present = [each for each in _linked_folders(layout) if os.path.isdir(each)]
    devices = {each: os.stat(each).st_dev for each in present}
    own = devices.get(layout.packages)
    return judge_links(hard, reflink, [each for each, device in devices.items() if own is not None and device != own])


def _can_hard_link(source: str, target: str) -> bool:
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def _can_reflink(source: str, target: str) -> bool:
    import fcntl

    with open(source, "rb") as origin, open(target, "wb") as clone:
        try:
            fcntl.ioctl(clone.fileno(), _FICLONE, origin.fileno())
        except OSError:
            return False
    return True


async def check_clock(around: Surroundings) -> list[Check]:
    """Compare the clock with a server's, with that of the root's file system, and with the latest event."""
    files = await run_apart(_date_file, around.root)
    last = await around.index.events.find_last()
    events = await around.index.events.list_since(last - 1)
    server = await ask_any_clock(around)
    now = time.time()
    newest = events[-1].time if events else None
    ahead = now - server if server is not None else None
    return [judge_clock(ahead=ahead, files=files, newest=_parse_time(newest) - now if newest else None)]


def _parse_time(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc).timestamp()


def _date_file(root: str) -> float:
    """Return how many seconds a new file is dated ahead of this clock."""
    with tempfile.TemporaryFile(dir=root) as probe:
        before = time.time()
        probe.write(b"roost")
        probe.flush()
        return os.fstat(probe.fileno()).st_mtime - before


async def check_linger(around: Surroundings) -> list[Check]:
    """Check what a logout ends (loginctl(1), ``enable-linger``)."""
    return [await run_apart(_judge_linger)]


def _judge_linger() -> Check:
    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    has_manager = os.path.exists(f"/run/user/{uid}/systemd/private")
    folder = "/var/lib/systemd/linger"
    lingers = os.path.exists(os.path.join(folder, user)) if os.path.isdir(folder) else None
    enabled = any(
        os.path.lexists(os.path.join(unit.folder, "sockets.target.wants", "roost.socket")) for unit in find_units()
    )
    return judge_linger(has_manager=has_manager, lingers=lingers, unit_enabled=enabled, user=user)
