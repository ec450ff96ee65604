"""The listening socket: made here, or handed over by systemd; and what systemd is told."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, MutableMapping
from contextlib import suppress

from roost.daemon.config.paths import SocketPathError

FIRST_FD = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)
BACKLOG = 4096  # the kernel cuts it to net.core.somaxconn; a thousand clients may come at once


def inherited_socket(environ: MutableMapping[str, str], first: int = FIRST_FD) -> socket.socket | None:
    """The socket that systemd passed to this very process, if any (sd_listen_fds(3)). The variables are taken out of
    ``environ`` either way, so that no child thinks they are its own."""
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit() or int(count) < 1:
        return None
    listener = socket.socket(fileno=first)
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def bind_socket(path: str, *, own_folder: bool) -> socket.socket:
    """Listen at ``path``, 0600 in a 0700 folder. Whoever holds the root's lock owns the name: what a dead daemon left
    there is replaced. ``own_folder``: the folder is roost's, so its mode is mended; anybody else's is left as it is
    and refused. Raises ``SocketPathError``."""
    _private_folder(os.path.dirname(path), own_folder)
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(listener, path)
    except BaseException:
        listener.close()
        raise
    return listener


def _bind(listener: socket.socket, path: str) -> None:
    before = os.umask(0o177)  # there is no instant at which others could connect
    try:
        listener.bind(path)
    except OSError as error:
        raise SocketPathError(f"Can't make the socket {path}: {error.strerror or error}", hint=_HINT) from error
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    listener.setblocking(False)


_HINT = "Set ROOST_SOCKET to a short path in a folder of your own."


def _private_folder(folder: str, own: bool) -> None:
    os.makedirs(folder, mode=0o700, exist_ok=True)
    state = os.lstat(folder)
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
        raise SocketPathError(f"The socket's folder {folder} belongs to somebody else", hint=_HINT)
    if state.st_mode & 0o077:
        _close_folder(folder, state.st_mode, own)


def _close_folder(folder: str, mode: int, own: bool) -> None:
    if not own or mode & stat.S_ISVTX:  # a sticky folder, such as /tmp, is everybody's whoever owns it
        raise SocketPathError(f"Others can enter the socket's folder {folder} (mode {mode & 0o7777:o})", hint=_HINT)
    os.chmod(folder, 0o700)


def _remove_stale(path: str) -> None:
    try:
        state = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(state.st_mode):
        raise SocketPathError(f"{path} is there and is no socket", hint=f"Move it away. {_HINT}")
    os.unlink(path)


def listens(path: str) -> bool:
    """Whether somebody takes connections at ``path``. Blocks."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def remove_socket(path: str) -> None:
    """Take the name away; the root's lock must still be held."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def notifier(environ: MutableMapping[str, str]) -> Callable[[str], None]:
    """Tells systemd a state such as ``READY=1`` (sd_notify(3)); does nothing elsewhere. ``NOTIFY_SOCKET`` is taken out
    of ``environ``."""
    address = environ.pop("NOTIFY_SOCKET", "")
    if not address:
        return lambda state: None
    if address.startswith("@"):
        address = "\0" + address[1:]
    return lambda state: _notify(address, state)


def _notify(address: str, state: str) -> None:
    # nobody may listen any more: the daemon's work does not depend on it
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(state.encode(), address)
