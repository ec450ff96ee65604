"""Link known parts into a virtual environment that is being filled.

Each file is looked at after it was linked: the inode that is in the prefix then has the size and the time that it had
when its content was known. A part that is not so, or that finds a file in its place, is taken back, and left to uv.
All functions block.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from roost.daemon.engines.uv.parts.files import PartsPlace, describe_maker, find_kind, list_parts, load_part
from roost.daemon.engines.uv.parts.learning import is_learnable
from roost.daemon.engines.uv.parts.part import WheelPart
from roost.daemon.engines.uv.unpacked.removal import LOCK_FILE
from roost.model.locks.lock import Wheel
from roost.store.disk.file_ops import TreeCount
from roost.store.failpoints import failpoint

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class LinkedWheels:
    """What was linked, and what is left to uv."""

    rest: list[Wheel]
    parts: dict[str, WheelPart] = field(default_factory=dict)
    """By sha256 of the wheel."""
    files: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Path relative to the prefix to size and sha256 (hex), as in a manifest."""
    folders: set[str] = field(default_factory=set)
    """Those that were created, relative to the prefix."""
    present: set[str] = field(default_factory=set)
    """Those that are known to exist."""
    count: TreeCount = field(default_factory=TreeCount)
    """What was created."""


def link_wheels(place: PartsPlace, prefix: str, wheels: Sequence[Wheel]) -> LinkedWheels:
    """Link the parts of ``wheels`` that are known into ``prefix``, which has no package yet.

    Raises:
        OSError: the disk is full.
    """
    linked = LinkedWheels(rest=list(wheels))
    kind = find_kind(prefix)
    paths = list_parts(place, kind) if kind else {}
    if not paths:
        return linked
    with _hold_cache(place.cache_dir) as is_held:
        if not is_held:
            return linked
        maker, rest = describe_maker(place, prefix), []
        for wheel in wheels:
            path = paths.get(wheel.sha256) if is_learnable(wheel) else None
            part = load_part(path, maker) if path else None
            if part is None or not _link_part(place, prefix, part, linked):
                rest.append(wheel)
            else:
                linked.parts[wheel.sha256] = part
        linked.rest = rest
    if linked.parts:
        _write_lock_file(prefix, linked)
    return linked


@contextmanager
def _hold_cache(cache_dir: str) -> Iterator[bool]:
    """Hold uv's shared lock of its cache, as every uv does; the value is ``False`` if it is being cleaned."""
    try:
        descriptor = os.open(os.path.join(cache_dir, LOCK_FILE), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _link_part(place: PartsPlace, prefix: str, part: WheelPart, linked: LinkedWheels) -> bool:
    """Link one part; return ``False`` if there is nothing of it in the prefix, since something was not as expected."""
    made = _Made(prefix)
    try:
        made.add_folders(each for each in part.folders if each not in linked.present)
        is_linked = made.add_links(os.path.join(place.cache_dir, part.archive), part)
        if is_linked:
            made.add_written(part)
    except OSError as error:
        if error.errno in _FULL:
            raise
        is_linked = False
    if not is_linked:
        made.take_back()
        return False
    failpoint("parts.linked")
    made.report(linked)
    linked.present.update(part.folders)
    return True


class _Made:
    """What was made of one part. Paths are relative to the prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._folders: list[str] = []
        self._links: list[tuple[str, os.stat_result]] = []
        self._written: list[str] = []
        self._files: dict[str, tuple[int, str]] = {}

    def add_folders(self, folders: Iterable[str]) -> None:
        for folder in folders:
            with suppress(FileExistsError):
                os.mkdir(f"{self._prefix}/{folder}")
                self._folders.append(folder)

    def add_links(self, archive: str, part: WheelPart) -> bool:
        """Return whether all files of ``part`` are in the prefix, as they were when it was learned."""
        prefix, site = self._prefix, part.site
        for each in part.linked:
            path = each.path[1:] if each.path[0] == "/" else f"{site}/{each.path}"
            target = f"{prefix}/{path}"
            os.link(f"{archive}/{each.source or each.path}", target, follow_symlinks=False)
            self._links.append((target, status := os.lstat(target)))
            if status.st_size != each.size or status.st_mtime_ns != each.time or status.st_ino != each.inode:
                return False
            self._files[path] = (each.size, each.digest.hex())
        return True

    def add_written(self, part: WheelPart) -> None:
        for each in part.render(os.path.basename(self._prefix)):
            path = part.locate(each.path)
            _create(f"{self._prefix}/{path}")
            self._written.append(path)
            _write(f"{self._prefix}/{path}", each.mode, each.content)
            self._files[path] = (len(each.content), hashlib.sha256(each.content).hexdigest())

    def report(self, linked: LinkedWheels) -> None:
        for target, status in self._links:
            linked.count.add(target, status)
        for path in (*self._written, *self._folders):
            linked.count.add(f"{self._prefix}/{path}")
        linked.files.update(self._files)
        linked.folders.update(self._folders)

    def take_back(self) -> None:
        """Delete everything again."""
        for target in (*(target for target, _ in self._links), *(f"{self._prefix}/{path}" for path in self._written)):
            os.unlink(target)
        for folder in reversed(self._folders):
            os.rmdir(f"{self._prefix}/{folder}")


def _write_lock_file(prefix: str, linked: LinkedWheels) -> None:
    """Write the file that uv locks a virtual environment with."""
    path = f"{prefix}/.lock"
    with suppress(FileExistsError):
        _create(path)
        _write(path, 0o666, b"")
        linked.files[".lock"] = (0, hashlib.sha256(b"").hexdigest())
        linked.count.add(path)


def _create(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _write(path: str, mode: int, content: bytes) -> None:
    with open(path, "wb") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(content)
