"""The root folder and the daemon's socket of this user.

Separate, below all others: the hot path needs it and nothing else. The daemon (``roost.daemon.config.paths``)
and the launcher (``client/bin/roost``) find the same paths by the same rules; a test compares them.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

SOCKET_LIMIT = 100
"""Longest path of a socket in bytes. ``sun_path`` holds 108 on Linux and 104 on macOS, the final zero included
(unix(7))."""


class NoHomeError(OSError):
    """There is no home folder that the root could be below. Few processes meet it, so it is not a ClientError, whose
    import costs time: ``client.errors`` translates it."""


def root() -> str:
    """Return the root folder: ``ROOST_HOME``, else in the user's data folder.

    Raises: NoHomeError if neither ``HOME`` nor passwd(5) names an absolute path.
    """
    configured = os.environ.get("ROOST_HOME")
    if configured:
        return os.path.abspath(configured)
    base = os.environ.get("XDG_DATA_HOME", "")
    if base[:1] != "/" or sys.platform == "darwin":  # the XDG specification ignores paths that are not absolute
        below = "Library/Application Support" if sys.platform == "darwin" else ".local/share"
        base = os.path.join(_home(), below)
    return os.path.join(base, "roost")


def _home() -> str:
    """Return the user's home folder. Never ``~``, which Python returns if there is none: it would be a folder of that
    name. Raises: NoHomeError."""
    home = os.environ.get("HOME", "")
    if home[:1] == "/":
        return home
    if home:
        raise NoHomeError(f"HOME is {home!r}, which is not an absolute path")
    import pwd

    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except (KeyError, OverflowError):
        home = ""
    if home[:1] != "/":
        raise NoHomeError(f"HOME is not set, and uid {os.getuid()} has no home folder in /etc/passwd")
    return home


def foreign_owner(connection: socket) -> int | None:
    """Return the uid that listens at the other end, unless it is this user's or root's: what a daemon answers is run,
    and another user's could answer a command of root with the HOME of that user (``sudo roost``).

    The daemon checks its peer in the same way. Systems other than Linux leave the socket to its folder's mode.
    """
    if sys.platform != "linux":
        return None
    # struct ucred: pid, uid and gid of the process that called listen (unix(7)); SOL_SOCKET and SO_PEERCRED
    owner = int.from_bytes(connection.getsockopt(1, 17, 12)[4:8], sys.byteorder)
    return None if owner in (0, os.geteuid()) else owner


def socket_path() -> str:
    """Return the daemon's socket: ``ROOST_SOCKET``, else in the root, or under ``/tmp`` if that path is too long.

    Raises: NoHomeError, as ``root``.
    """
    configured = os.environ.get("ROOST_SOCKET")
    if configured:
        return os.path.abspath(configured)
    inside = os.path.join(root(), "roost.sock")
    if len(os.fsencode(inside)) <= SOCKET_LIMIT:
        return inside
    from hashlib import sha256  # only for the rare long path: importing it costs more than the rest of this module

    return f"/tmp/roost-{os.getuid()}/{sha256(os.fsencode(root())).hexdigest()[:16]}.sock"
