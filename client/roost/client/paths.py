"""The root folder and the daemon's socket of this user.

Separate, below all others: the hot path needs it and nothing else. The daemon (``roost.daemon.config.paths``)
and the launcher (``client/bin/roost``) find the same paths by the same rules; a test compares them.
"""

from __future__ import annotations

import os
import sys

SOCKET_LIMIT = 100
"""Longest path of a socket in bytes. ``sun_path`` holds 108 on Linux and 104 on macOS, the final zero included
(unix(7))."""


def root() -> str:
    """Return the root folder: ``ROOST_HOME``, else the user's data folder as platformdirs defines it."""
    configured = os.environ.get("ROOST_HOME")
    if configured:
        return os.path.abspath(configured)
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support/roost")
    base = os.environ.get("XDG_DATA_HOME", "")
    return os.path.join(base if base.strip() else os.path.expanduser("~/.local/share"), "roost")


def socket_path() -> str:
    """Return the daemon's socket: ``ROOST_SOCKET``, else in the root, or under ``/tmp`` if that path is too long."""
    configured = os.environ.get("ROOST_SOCKET")
    if configured:
        return os.path.abspath(configured)
    inside = os.path.join(root(), "roost.sock")
    if len(os.fsencode(inside)) <= SOCKET_LIMIT:
        return inside
    from hashlib import sha256  # only for the rare long path: importing it costs more than the rest of this module

    return f"/tmp/roost-{os.getuid()}/{sha256(os.fsencode(root())).hexdigest()[:16]}.sock"
