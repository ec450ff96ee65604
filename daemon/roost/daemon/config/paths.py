"""Paths of this daemon, and the variables that it removes from its environment."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping, MutableMapping

from roost.model.errors import StoreRefusedError
from roost.store.disk.home import HomeUnknownError, find_home, require_home

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
    """Return the root folder: ``ROOST_HOME``, else in the user's data folder.

    The path is absolute. Symlinks are not resolved, so that the client computes the same path without disk access.

    Raises: HomeUnknownError if the root would be below a home folder that is unknown or does not exist.
    """
    environ = os.environ if environ is None else environ
    path = environ.get("ROOST_HOME")
    if path:
        return os.path.abspath(path)
    folder = _find_xdg_folder(environ, "XDG_DATA_HOME")
    if folder is None:
        below = "Library/Application Support" if sys.platform == "darwin" else ".local/share"
        folder = os.path.join(require_home(environ), below)
    return os.path.join(folder, "roost")


def find_config_folder(environ: Mapping[str, str]) -> str:
    """Return the user's folder of roost's configuration. Raises: HomeUnknownError."""
    folder = _find_xdg_folder(environ, "XDG_CONFIG_HOME")
    if folder is None:
        below = "Library/Application Support" if sys.platform == "darwin" else ".config"
        folder = os.path.join(find_home(environ), below)
    return os.path.join(folder, "roost")


def _find_xdg_folder(environ: Mapping[str, str], variable: str) -> str | None:
    """Return the folder that a variable of the XDG Base Directory Specification names. A path that is not absolute is
    ignored, as the specification has it: roost would mean another folder in each working folder."""
    folder = environ.get(variable, "")
    return folder if sys.platform != "darwin" and os.path.isabs(folder) else None


def settle_home(environ: MutableMapping[str, str], root: str) -> None:
    """Make ``HOME`` an absolute path, for everything that this process and its children read from it.

    Without a home folder it is the root: nothing else is known to be this user's own, and ``~`` would be a folder of
    that name. The launcher takes the same for the config file.
    """
    try:
        environ["HOME"] = find_home(environ)
    except HomeUnknownError:
        environ["HOME"] = root


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
