"""Where the daemon of this user listens. Worked out without a library, as the daemon and the launcher do it too."""

from __future__ import annotations

import os
import sys

SOCKET_LIMIT = 100
"""Bytes. ``sun_path`` holds 108 on Linux and 104 on macOS, the final zero included (unix(7))."""


def root() -> str:
    """The root folder: ``ROOST_HOME``, else what platformdirs calls the user's data folder."""
    named = os.environ.get("ROOST_HOME")
    if named:
        return os.path.abspath(named)
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support/roost")
    base = os.environ.get("XDG_DATA_HOME", "")
    return os.path.join(base if base.strip() else os.path.expanduser("~/.local/share"), "roost")


def socket_path() -> str:
    """The daemon's socket: ``ROOST_SOCKET``, else in the root, else under ``/tmp`` by the root's digest."""
    named = os.environ.get("ROOST_SOCKET")
    if named:
        return os.path.abspath(named)
    inside = os.path.join(root(), "roost.sock")
    if len(os.fsencode(inside)) <= SOCKET_LIMIT:
        return inside
    from hashlib import sha256

    return f"/tmp/roost-{os.getuid()}/{sha256(os.fsencode(root())).hexdigest()[:16]}.sock"
