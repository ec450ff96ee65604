"""Checks of a root: path length, owners, file system, permission, format. All functions block."""

from __future__ import annotations

import os
from typing import NamedTuple

from roost.model.errors import StoreRefusedError
from roost.store.disk.layout import PREFIX_NAME_BYTES, Layout
from roost.store.disk.ownership import check_owners

STORE_FORMAT = 1
"""Version of the layout on disk; written once into ``<root>/format``."""

PLACEHOLDER_BYTES = 255
"""Length of conda-build's prefix placeholder: a longer prefix can't be patched into a binary."""
SHEBANG_BYTES = 127
"""Limit of a ``#!`` line, by execve(2) of Linux before 5.1; conda uses the same limit."""
_LONGEST_INTERPRETER = "/bin/python3.99"

_NETWORK = (
    "nfs nfs4 cifs smb3 smbfs 9p afs ceph fuse.ceph glusterfs fuse.glusterfs lustre gpfs beegfs fuse.sshfs fuse.s3fs "
    "fuse.rclone fuse.gcsfuse fuse.davfs davfs ncpfs coda orangefs pvfs2"
)
NETWORK_FILE_SYSTEMS = frozenset(_NETWORK.split())
"""File systems without the shared memory and locks across machines that SQLite's WAL needs (sqlite.org/wal.html)."""


class RootTooLongError(StoreRefusedError):
    """Prefixes under the root would have longer paths than packages can contain."""

    code = "root-too-long"


class RootNameError(StoreRefusedError):
    """The path of the root has characters with which prefixes can't be used."""

    code = "root-name"


class RootReadOnlyError(StoreRefusedError):
    """Nothing can be written under the root."""

    code = "root-read-only"


class RootNetworkError(StoreRefusedError):
    """The root lies on a network file system."""

    code = "root-network"


class RootNoExecError(StoreRefusedError):
    """The root lies on a file system that is mounted with ``noexec``: no program of a prefix could be started."""

    code = "root-noexec"


class RootFormatError(StoreRefusedError):
    """The root was written by another version of roost, or is not a root of roost."""

    code = "root-format"


class RootInUseError(StoreRefusedError):
    """Another daemon holds the root."""

    code = "root-in-use"


def max_root_bytes() -> int:
    """Return the longest allowed path of a root in bytes, by the tighter one of placeholder and shebang."""
    below = len("/prefixes/") + PREFIX_NAME_BYTES
    by_shebang = SHEBANG_BYTES - len("#!") - len(_LONGEST_INTERPRETER)
    return min(PLACEHOLDER_BYTES, by_shebang) - below


def hint_other_root(location: str, alternative: str = "") -> str:
    """Return the hint to move the root to ``location``, after the ``alternative`` if there is one."""
    return f"{alternative + ', or set' if alternative else 'Set'} ROOST_HOME to {location} and start again."


def check_root(root: str) -> None:
    """Refuse a root that can't be used, before anything is created in it.

    Raises:
        RootNameError, RootTooLongError, RootOwnerError, RootSharedError, RootNetworkError, RootNoExecError,
            RootReadOnlyError, RootFormatError: see the classes.
    """
    layout = Layout(root)
    _check_name(layout.root)
    _check_length(layout.root)
    check_owners(layout.root)
    _check_network(layout.root)
    _check_writable(layout.root)
    _check_executable(layout.root)
    check_format(layout)


def _check_name(root: str) -> None:
    """Raise RootNameError for bytes that are not UTF-8, which packages and the index can't hold, and for a colon, which
    ends a folder in PATH."""
    shown = os.fsencode(root).decode("utf-8", "backslashreplace")
    reason = "is not valid UTF-8" if shown != root else "has a colon, which separates folders in PATH"
    if shown != root or ":" in root:
        raise RootNameError(f"The root {shown} {reason}", hint=hint_other_root("another path"), fields={"root": shown})


def _check_length(root: str) -> None:
    length, limit = len(os.fsencode(root)), max_root_bytes()
    if length > limit:
        raise RootTooLongError(
            f"The root {root} has {length} bytes, and the limit is {limit}: a path in a prefix below it must fit "
            f"a {SHEBANG_BYTES}-byte #! line and conda's {PLACEHOLDER_BYTES}-byte placeholder",
            hint=hint_other_root(f"a path of at most {limit} bytes"),
            fields={"root": root, "length": length, "limit": limit},
        )


def _check_network(root: str) -> None:
    kind = find_file_system(_find_existing_ancestor(root))
    if kind in NETWORK_FILE_SYSTEMS:
        raise RootNetworkError(
            f"The root {root} is on a network file system ({kind}), which is not safe for the index",
            hint=hint_other_root("a folder on a local disk"),
            fields={"root": root, "file_system": kind},
        )


def _check_writable(root: str) -> None:
    existing = _find_existing_ancestor(root)
    if not os.path.isdir(existing):
        raise read_only_error(root, f"{existing} is not a folder")
    # access(2) answers for a read-only mount too, even to the superuser.
    if not os.access(existing, os.W_OK | os.X_OK):
        raise read_only_error(root, f"no permission to write in {existing}, or it is mounted read-only")


def _check_executable(root: str) -> None:
    """Refuse a mount with ``noexec``. statvfs(3) reports it for the mount, whatever its file system supports."""
    existing = _find_existing_ancestor(root)
    if not os.statvfs(existing).f_flag & getattr(os, "ST_NOEXEC", 0):  # Linux has the flag
        return
    mount = find_mount(existing)
    where = f"{mount.point} ({mount.kind})" if mount else "its file system"
    remedy = f"Mount it with exec (`mount -o remount,exec {mount.point}`)" if mount else ""
    raise RootNoExecError(
        f"The root {root} is on {where}, which is mounted with noexec: no program of an environment could start there",
        hint=hint_other_root("a folder on another file system", remedy),
        fields={"root": root, "mount": mount.point if mount else None},
    )


def read_only_error(root: str, why: str) -> RootReadOnlyError:
    return RootReadOnlyError(
        f"Can't write under the root {root}: {why}",
        hint=hint_other_root("a folder that is", "Make it writable for you"),
        fields={"root": root},
    )


def check_format(layout: Layout) -> None:
    found = read_format(layout)
    if found is None and os.path.lexists(layout.index_path):
        raise _format_error(layout, "it holds an index but no format file")
    if found is not None and found != str(STORE_FORMAT):
        raise _format_error(layout, f"its format is {found[:40]!r}, this version of roost supports {STORE_FORMAT}")


def _format_error(layout: Layout, why: str) -> RootFormatError:
    return RootFormatError(
        f"The root {layout.root} can't be read: {why}",
        hint=hint_other_root("another folder", "Use the version of roost that wrote it"),
        fields={"root": layout.root, "known": STORE_FORMAT},
    )


def read_format(layout: Layout) -> str | None:
    """Return the stripped text of the format file, ``None`` if the file doesn't exist yet."""
    try:
        with open(layout.format_path, "rb") as stream:
            return stream.read(200).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _format_error(layout, f"its format file can't be read ({error.strerror})") from error


class Mount(NamedTuple):
    """A mount: its mount point, the type of its file system by its name in proc(5), and what is mounted."""

    point: str
    kind: str
    source: str = ""


def find_file_system(path: str, mounts: str = "/proc/self/mountinfo") -> str | None:
    """Return the type of the file system of ``path``, ``None`` if ``mounts`` doesn't list it."""
    mount = find_mount(path, mounts)
    return mount.kind if mount else None


def find_mount(path: str, mounts: str = "/proc/self/mountinfo") -> Mount | None:
    """Return the mount that ``path`` is on, ``None`` if ``mounts`` doesn't list it."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as stream:
            lines = stream.read().splitlines()
    except OSError:
        return None
    return select_mount(os.path.realpath(path), lines)


def select_mount(path: str, lines: list[str]) -> Mount | None:
    """Return the mount of ``path`` (free of symlinks) from lines of mountinfo: the one with the longest mount point at
    or above the path, and of equal ones the last."""
    best = None
    for line in lines:
        left, found, right = line.partition(" - ")
        fields = left.split(" ")
        if not found or len(fields) < 5:
            continue
        point = _unescape_mount_point(fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and (best is None or len(point) >= len(best.point)):
            kind, source = [*right.split(" "), ""][:2]
            best = Mount(point, kind, _unescape_mount_point(source))
    return best


def _unescape_mount_point(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _find_existing_ancestor(path: str) -> str:
    """Return ``path``, or the nearest folder above it that exists."""
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path
