"""Paths of this daemon, and the variables that it removes from its environment."""

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
    """The socket's path is too long for the system, or others can access its folder."""

    code = "socket-path"


def find_root(environ: Mapping[str, str] | None = None) -> str:
    """Return the root folder: ``ROOST_HOME``, else platformdirs' user data folder.

    The path is absolute. Symlinks are not resolved, so that the client computes the same path without disk access.
    """
    path = (os.environ if environ is None else environ).get("ROOST_HOME")
    return os.path.abspath(path) if path else platformdirs.user_data_dir("roost")


def socket_path(root: str, environ: Mapping[str, str] | None = None, uid: int | None = None) -> str:
    """Return the path of the socket of ``root``.

    It is ``ROOST_SOCKET``, else in the root, else, if that path is too long, under ``/tmp`` by the root's digest.

    Raises: SocketPathError if ``ROOST_SOCKET`` is too long.
    """
    path = (os.environ if environ is None else environ).get("ROOST_SOCKET")
    if path:
        return _check_socket_path(os.path.abspath(path))
    inside = os.path.join(root, "roost.sock")
    if len(os.fsencode(inside)) <= SOCKET_LIMIT:
        return inside
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return f"/tmp/roost-{os.getuid() if uid is None else uid}/{digest}.sock"


def _check_socket_path(path: str) -> str:
    length = len(os.fsencode(path))
    if length > SOCKET_LIMIT:
        raise SocketPathError(
            f"The socket's path has {length} bytes, more than {SOCKET_LIMIT}: {path}",
            hint="Set ROOST_SOCKET to a shorter path, or unset it.",
            fields={"path": path, "limit": SOCKET_LIMIT},
        )
    return path


def sanitize_environment(environ: MutableMapping[str, str]) -> list[str]:
    """Remove variables that other tools would read, and that depend on who started the daemon; return their names.

    Locale and folders stay; proxies and the like are a matter of the caller (``caller.current``).
    """
    removed = sorted(name for name in environ if _AMBIENT.match(name))
    for name in removed:
        del environ[name]
    return removed
