"""The listening socket, bound here or inherited from systemd, and notifications to systemd."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, MutableMapping
from contextlib import suppress

from roost.daemon.config.paths import SocketPathError
from roost.store.disk.ownership import check_way

_FIRST_FD = 3  # SD_LISTEN_FDS_START, sd_listen_fds(3)
BACKLOG = 4096  # the kernel limits it to net.core.somaxconn; a thousand clients may connect at once
_HINT = "Set ROOST_SOCKET to a short path in a folder of your own."


def take_inherited_socket(environ: MutableMapping[str, str], first: int = _FIRST_FD) -> socket.socket | None:
    """Return the socket that systemd passed to this process, if any (sd_listen_fds(3)).

    Its variables are removed from ``environ`` in any case, so that no child process mistakes them for its own.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdigit() or int(count) < 1:
        return None
    listener = socket.socket(fileno=first)
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener


def bind_socket(path: str, *, own_folder: bool) -> socket.socket:
    """Listen at ``path``, with mode 0600 in a folder of mode 0700.

    The holder of the root's lock owns the path: a socket that a dead daemon left there is replaced. ``own_folder``: the
    folder is roost's, so its mode is corrected; another folder that others can enter is refused and left as it is.
    Raises: SocketPathError, RootOwnerError, RootSharedError.
    """
    try:
        _ensure_private_folder(os.path.dirname(path), own_folder)
        _remove_stale(path)
    except OSError as error:
        raise _create_bind_error(path, error) from error
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(listener, path)
    except BaseException:
        listener.close()
        raise
    return listener


def _bind(listener: socket.socket, path: str) -> None:
    before = os.umask(0o177)  # so that others can't connect at any time
    try:
        listener.bind(path)
    except OSError as error:
        raise _create_bind_error(path, error) from error
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    listener.setblocking(False)


def _create_bind_error(path: str, error: OSError) -> SocketPathError:
    return SocketPathError(f"Can't create the socket {path}: {error.strerror or error}", hint=_HINT)


def check_socket_folder(folder: str, own: bool) -> None:
    """Refuse a folder for a socket that belongs to another user or that others can enter or replace; ``own``: as for
    ``bind_socket``. Writes nothing. A folder that does not exist yet is created by ``bind_socket``.

    Raises: SocketPathError, RootOwnerError, RootSharedError.
    """
    try:
        state = os.lstat(folder)
    except FileNotFoundError:
        check_way(folder)
        return
    except OSError as error:
        raise SocketPathError(f"The socket's folder {folder} can't be read: {error.strerror}", hint=_HINT) from error
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
        raise SocketPathError(f"The socket's folder {folder} belongs to another user", hint=_HINT)
    mode = state.st_mode
    # A sticky folder, such as /tmp, is shared whoever owns it.
    if mode & 0o077 and (not own or mode & stat.S_ISVTX):
        raise SocketPathError(
            f"Other users can access the socket's folder {folder} (mode {mode & 0o7777:o})", hint=_HINT
        )
    check_way(folder)


def _ensure_private_folder(folder: str, own: bool) -> None:
    check_socket_folder(folder, own)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    check_socket_folder(folder, own)
    if os.lstat(folder).st_mode & 0o077:
        os.chmod(folder, 0o700)


def _remove_stale(path: str) -> None:
    try:
        state = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(state.st_mode):
        raise SocketPathError(f"{path} exists and is not a socket", hint=f"Move it away. {_HINT}")
    os.unlink(path)


def is_listening(path: str) -> bool:
    """Whether a process accepts connections at ``path``. Blocking."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def remove_socket(path: str) -> None:
    """Remove the socket at ``path``. The caller must still hold the root's lock."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def create_notifier(environ: MutableMapping[str, str]) -> Callable[[str], None]:
    """Return a function that notifies systemd of a state such as ``READY=1`` (sd_notify(3)), and does nothing without
    systemd. ``NOTIFY_SOCKET`` is removed from ``environ``."""
    address = environ.pop("NOTIFY_SOCKET", "")
    if not address:
        return lambda state: None
    if address.startswith("@"):
        address = "\0" + address[1:]
    return lambda state: _send_state(address, state)


def _send_state(address: str, state: str) -> None:
    # systemd may have stopped listening: the daemon does not depend on it
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.sendto(state.encode(), address)
