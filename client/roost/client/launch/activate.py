"""Entering an environment: its changes to the variables, what a command's first word means, and the lease.

Part of the hot path: it imports what the interpreter has loaded already, and one small C module.
"""

from __future__ import annotations

import errno
import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing itself costs as much as the request does
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn, TypeAlias

    Launch: TypeAlias = Mapping[str, Any]
    """A ``wire.Launch`` as it came from JSON."""


class LeaseGoneError(Exception):
    """The prefix is being removed, or was: ask the daemon again."""


class CommandError(Exception):
    """The command can't be started. ``status`` is what shells end with: 127 not found, 126 not executable."""

    def __init__(self, message: str, status: int, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.hint = hint or (
            "Name it in the environment file, or give its path." if status == 127 else "Check its mode and its format."
        )


def environment(launch: Launch, base: Mapping[str, str], extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """``base`` after the activation's changes, then the settings' variables, then ``extra``."""
    environ = dict(base)
    for change in launch["changes"]:
        _apply(environ, change)
    environ.update(launch["variables"])
    environ.update(extra or {})
    return environ


def _apply(environ: dict[str, str], change: Mapping[str, str]) -> None:
    name, action, value = change["name"], change["action"], change.get("value", "")
    before = environ.get(name)
    if action == "unset":
        environ.pop(name, None)
    elif action == "set" or not before:
        environ[name] = value
    elif action == "prepend":
        environ[name] = value + change.get("separator", ":") + before
    else:
        environ[name] = before + change.get("separator", ":") + value


def resolve(command: Sequence[str], python: str | None, environ: Mapping[str, str], cwd: str = ".") -> list[str]:
    """``command`` with the absolute path of its program first: ``python`` is the environment's, ``x.py`` is a script
    for it, anything else is looked for on the environment's PATH. Raises ``CommandError``."""
    first = command[0]
    if python and first in ("python", "python3"):
        return [python, *command[1:]]
    if python and first.endswith(".py") and os.path.isfile(os.path.join(cwd, first)):
        return [python, *command]
    return [_search(first, environ), *command[1:]]


def _search(name: str, environ: Mapping[str, str]) -> str:
    """As execvp(3): the first that can be executed, and EACCES only if none can."""
    if "/" in name:
        return name
    refused = False
    for folder in environ.get("PATH", os.defpath).split(":"):
        path = os.path.join(folder or ".", name)
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            refused = True
    if refused:
        raise CommandError(f"{name}: found on PATH, but not executable", 126)
    missing = "no such file, and no such command" if name.endswith(".py") else "no such command"
    raise CommandError(f"{name}: {missing} in the environment or on PATH", 127)


def hold(lease: str | None) -> int | None:
    """Lock the lease (shared) for this process and all that inherit it, and note the use.

    Returns the descriptor. Raises ``LeaseGoneError`` where the prefix was removed meanwhile.
    """
    if lease is None:
        return None
    try:
        descriptor = os.open(lease, os.O_RDONLY)
    except FileNotFoundError as error:
        raise LeaseGoneError(lease) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.stat(lease)
    except (FileNotFoundError, BlockingIOError) as error:
        os.close(descriptor)
        raise LeaseGoneError(lease) from error
    os.utime(descriptor)
    os.set_inheritable(descriptor, True)
    return descriptor


def replace(command: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Become ``command``. Raises ``CommandError`` where that fails, with a shell's status."""
    try:
        os.execve(command[0], list(command), dict(environ))
    except OSError as error:
        if error.errno == errno.ENOEXEC:  # a script without a first line that names its interpreter
            os.execve("/bin/sh", ["/bin/sh", *command], dict(environ))
        raise start_error(command[0], error) from error


def start_error(name: str, error: OSError) -> CommandError:
    """What a failed exec means to a shell."""
    missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
    return CommandError(f"{name}: {error.strerror}", 127 if missing else 126)
