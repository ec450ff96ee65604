"""Where this daemon lives, and what of its caller's variables it keeps."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, MutableMapping

import platformdirs

from roost.model.errors import StoreRefusedError

SOCKET_LIMIT = 100
"""Bytes. ``sun_path`` of ``sockaddr_un`` holds 108 on Linux and 104 on macOS, the final zero included (unix(7))."""

_AMBIENT = re.compile(
    r"_?CONDA_|_CE_|CONDARC$|MAMBA_|MAMBARC$|RATTLER_|PIXI_|PIP_|UV_|UV$|PYTHON|__PYVENV_LAUNCHER__$|VIRTUAL_ENV|PYENV_"
    r"|LD_|DYLD_|SOURCE_DATE_EPOCH$"
)


class SocketPathError(StoreRefusedError):
    """The socket's path is too long for the system, or its folder is not ours alone."""

    code = "socket-path"


def find_root(environ: Mapping[str, str] | None = None) -> str:
    """The root folder: ``ROOST_HOME``, else platformdirs' user data folder. Absolute; symlinks are left alone, so
    that the client computes the same path without looking at the disk."""
    named = (os.environ if environ is None else environ).get("ROOST_HOME")
    return os.path.abspath(named) if named else platformdirs.user_data_dir("roost")


def socket_path(root: str, environ: Mapping[str, str] | None = None, uid: int | None = None) -> str:
    """The socket of ``root``: ``ROOST_SOCKET``, else inside the root, else, where that is too long, under ``/tmp`` by
    the root's digest. Raises ``SocketPathError`` where ``ROOST_SOCKET`` is too long."""
    named = (os.environ if environ is None else environ).get("ROOST_SOCKET")
    if named:
        return _checked_length(os.path.abspath(named))
    inside = os.path.join(root, "roost.sock")
    if len(os.fsencode(inside)) <= SOCKET_LIMIT:
        return inside
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return f"/tmp/roost-{os.getuid() if uid is None else uid}/{digest}.sock"


def _checked_length(path: str) -> str:
    length = len(os.fsencode(path))
    if length > SOCKET_LIMIT:
        raise SocketPathError(
            f"The socket's path has {length} bytes, more than {SOCKET_LIMIT}: {path}",
            hint="Set ROOST_SOCKET to a shorter path, or unset it.",
            fields={"path": path, "limit": SOCKET_LIMIT},
        )
    return path


def sanitize_environment(environ: MutableMapping[str, str]) -> list[str]:
    """Take out what other tools would read and what belongs to whoever happened to start the daemon. Proxies,
    ``SSL_*``, locale and folders stay. Returns the names that went."""
    gone = sorted(name for name in environ if _AMBIENT.match(name))
    for name in gone:
        del environ[name]
    return gone
