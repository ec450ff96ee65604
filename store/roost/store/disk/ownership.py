"""Who else could change what is below a root: owners and modes of the root, of what it holds, and of all folders above.

Launch plans and prefixes are code. Somebody who can write below the root, or replace a folder on the way to it, has
that code run by the root's user. The other way round, a command of root with a user's HOME (``sudo roost …``) would
leave files that the user can't delete. So owners and modes are examined before anything is created. ACLs are not read:
an ACL that grants write access shows in the mode of the group (acl(5)).

All functions block, for microseconds.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from roost.model.errors import StoreRefusedError
from roost.store.disk.layout import FOLDERS

_FILES = ("format", "lock", "index.db", "index.db-wal", "index.db-shm", "bin", "roost.sock")
_MAX_LINKS = 40
"""The kernel's limit of symlinks in a path (path_resolution(7))."""


class RootOwnerError(StoreRefusedError):
    """The root, something in it, or a folder above it belongs to another user."""

    code = "root-owner"


class RootSharedError(StoreRefusedError):
    """Others can write in the root or in a folder above it."""

    code = "root-shared"


def check_owners(root: str) -> None:
    """Refuse a root that belongs to another user or that others can change. Writes nothing.

    Raises: RootOwnerError, RootSharedError.
    """
    steps = list(_follow(root))
    own = steps.pop() if os.path.exists(root) else None
    for path, state in steps:
        _check_above(root, path, state)
    if own is None:
        return
    _check_own(root, root, own[1])
    for name in (*FOLDERS, *_FILES):
        path = os.path.join(root, name)
        found = _examine(path)
        if found is not None:
            _check_own(root, path, found)


def check_way(path: str) -> None:
    """Refuse an absolute path that others can replace by replacing a folder above it. The path itself need not exist.

    Raises: RootOwnerError, RootSharedError.
    """
    for folder, state in _follow(os.path.dirname(path)):
        _check_above(path, folder, state)


def _check_above(root: str, path: str, state: os.stat_result) -> None:
    """Check a folder above ``root``, or a symlink on the way to it."""
    if not _is_trusted(state.st_uid):
        raise RootOwnerError(
            f"{path} belongs to {name_user(state.st_uid)}, who could replace {root} below it; this is "
            f"{name_user(os.geteuid())}",
            hint=_hint_user(state.st_uid),
            fields={"root": root, "path": path, "owner": state.st_uid},
        )
    if not stat.S_ISLNK(state.st_mode) and not state.st_mode & stat.S_ISVTX and (who := _find_writers(state)):
        raise RootSharedError(
            f"{who} can write in {path} (mode {stat.S_IMODE(state.st_mode):04o}), and so could replace {root} below it",
            hint=f"`chmod {_repair_mode(state)} {path}` or `chmod +t {path}` prevents that; or set ROOST_HOME to a "
            "folder below one of your own.",
            fields={"root": root, "path": path},
        )


def _check_own(root: str, path: str, state: os.stat_result) -> None:
    """Check the root, or something in it that roost has created."""
    if state.st_uid != os.geteuid():
        inside = "" if path == root else f", in the root {root}"
        raise RootOwnerError(
            f"{path}{inside} belongs to {name_user(state.st_uid)}; this is {name_user(os.geteuid())}",
            hint=_hint_user(state.st_uid)
            if path == root
            else f"If roost was run here as another user by mistake: `sudo chown -hR {os.geteuid()} {root}`.",
            fields={"root": root, "path": path, "owner": state.st_uid},
        )
    if not stat.S_ISLNK(state.st_mode) and (who := _find_writers(state)):
        raise RootSharedError(
            f"{who} can write in {path} (mode {stat.S_IMODE(state.st_mode):04o}): what roost stores there is run as "
            f"{name_user(os.geteuid())}",
            hint=f"It is shared on purpose: set ROOST_HOME to a folder in it, {os.path.join(path, 'roost')}."
            if path == root and state.st_mode & stat.S_ISVTX
            else f"If nobody has changed anything there: `chmod {_repair_mode(state)} {path}`. Else set ROOST_HOME to "
            "another folder.",
            fields={"root": root, "path": path},
        )


def _hint_user(owner: int) -> str:
    """Return what to do in place of using what belongs to ``owner``."""
    if os.geteuid() == 0 and owner != 0:
        return (
            "Run the command without sudo, or with `sudo -H`, which has root's own home folder; or set ROOST_HOME to a "
            "folder of root. Nothing was created."
        )
    return "Run the command as that user, or set ROOST_HOME to a folder of your own. Nothing was created."


def _repair_mode(state: os.stat_result) -> str:
    group = state.st_mode & stat.S_IWGRP and not _is_private_group(state.st_gid, state.st_uid)
    return "go-w" if group and state.st_mode & stat.S_IWOTH else "g-w" if group else "o-w"


def _is_trusted(uid: int) -> bool:
    """Whether a folder above the root may belong to ``uid``: this user, root, or whoever root is outside of this user
    namespace (user_namespaces(7)), where all that is not mapped has one and the same uid."""
    return uid in (os.geteuid(), 0) or (uid == _read_overflow_uid() and _is_in_user_namespace())


def _read_overflow_uid() -> int:
    try:
        with open("/proc/sys/kernel/overflowuid", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return -1


def _is_in_user_namespace() -> bool:
    """Whether some uids of the system are not mapped in the user namespace of this process."""
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            return file.read().split() != ["0", "0", "4294967295"]
    except OSError:
        return False


def _find_writers(state: os.stat_result) -> str | None:
    """Return who else can write, for a message; ``None`` if nobody can."""
    if state.st_mode & stat.S_IWOTH:
        return "Every user"
    if state.st_mode & stat.S_IWGRP and not _is_private_group(state.st_gid, state.st_uid):
        return f"The group {_name_group(state.st_gid)}"
    return None


def _is_private_group(gid: int, owner: int) -> bool:
    """Whether no other user is in the group: root's, or the one that systems create for each user, with the user's name
    and no further members."""
    import grp  # only for a mode that lets a group write
    import pwd

    if gid == 0:
        return True
    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return gid == owner
    try:
        name = pwd.getpwuid(owner).pw_name
    except (KeyError, OverflowError):
        return False
    return group.gr_name == name and set(group.gr_mem) <= {name}


def name_user(uid: int) -> str:
    """Return the name of a user with the uid, for a message."""
    import pwd  # only for a refusal

    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except (KeyError, OverflowError):
        return f"uid {uid}"


def _name_group(gid: int) -> str:
    import grp  # only for a refusal

    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return str(gid)


def _follow(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield all that the kernel passes on the way to an absolute ``path``, symlinks and their targets included, and the
    states, as far as it exists and can be entered. The last one is what the path leads to, if that exists."""
    here, rest, links = "/", [part for part in path.split("/") if part][::-1], 0
    yield here, os.lstat(here)
    while rest:
        name = rest.pop()
        if name in (".", ".."):
            here = os.path.dirname(here) if name == ".." else here
            continue
        step = os.path.join(here, name)
        state = _examine(step)
        if state is None:
            return
        yield step, state
        if not stat.S_ISLNK(state.st_mode):
            here = step
            continue
        links += 1
        if links > _MAX_LINKS:
            return
        target = os.readlink(step)
        here = "/" if os.path.isabs(target) else here
        rest += [part for part in target.split("/") if part][::-1]


def _examine(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None
