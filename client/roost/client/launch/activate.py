"""Entering an environment: its changes to the variables, the program of a command, and the prefix's lease.

Part of the hot path: it imports what the interpreter has loaded already, and one small C module.
"""

from __future__ import annotations

import errno
import fcntl
import os

from roost.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing itself costs as much as the request does
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn, TypeAlias

    Launch: TypeAlias = Mapping[str, Any]
    """A ``wire.Launch`` as decoded from JSON."""


class LeaseGoneError(Exception):
    """The prefix was removed or is being removed: request the launch again."""


class CommandError(Exception):
    """The command can't be started. ``status`` is a shell's exit status: 127 not found, 126 not executable."""

    def __init__(self, message: str, status: int, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.hint = hint or (
            "Name it in the environment file, or give its path." if status == 127 else "Check its mode and its format."
        )

    def format(self) -> str:
        """Return the two lines that are printed."""
        from roost.wire.visible import make_visible  # a failure only: nobody waits for a command

        return f"roost: {make_visible(str(self))}\n  {make_visible(self.hint)}\n"


def activated_environment(
    launch: Launch, base: Mapping[str, str], extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the variables ``base`` after the activation's changes, the settings' variables, then ``extra``."""
    environ = dict(base)
    if "PATH" in environ:
        environ["PATH"] = _path_without_roost(environ["PATH"])
    if environ.get("CONDA_PREFIX"):
        _clear_hook_variables(environ, launch.get("hook_variables", ()))
    for change in launch["changes"]:
        _apply_change(environ, change)
    environ.update(launch["variables"])
    environ.update(extra or {})
    return environ


def _path_without_roost(path: str) -> str:
    """Return ``path`` without the bin folders of virtual environments that hold roost: their pip and pytest would
    answer for the environment's. ``<root>/bin``, which has a link to roost alone, takes their place.

    A folder that is not of a virtual environment (``~/.local/bin``, ``/usr/bin``, conda's) stays.
    """
    folders = path.split(":")
    kept = [_replacement() if _is_venv_with_roost(folder) else folder for folder in folders]
    return ":".join(folder for folder in kept if folder is not None) if kept != folders else path


def _replacement() -> str | None:
    """Return the folder with a link to roost alone; ``None`` if ROOST_SOCKET alone names the daemon of a process that
    has no home folder."""
    try:
        return os.path.join(paths.root(), "bin")
    except paths.NoHomeError:
        return None


def _is_venv_with_roost(folder: str) -> bool:
    return os.path.exists(folder + "/roost-client") and os.path.exists(folder + "/../pyvenv.cfg")


def _clear_hook_variables(environ: dict[str, str], names: Sequence[str]) -> None:
    """Clear the variables that conda packages of the caller's active environment set."""
    inside = environ["CONDA_PREFIX"] + "/"
    for name in names:
        if inside in environ.get(name, ""):
            del environ[name]


def _apply_change(environ: dict[str, str], change: Mapping[str, str]) -> None:
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


def resolve_command(
    command: Sequence[str], python: str | None, environ: Mapping[str, str], cwd: str = "."
) -> list[str]:
    """Return ``command`` with the path of its program first.

    1. ``python`` and ``python3`` are the environment's interpreter ``python``.
    2. An existing ``x.py`` is a script for that interpreter.
    3. Anything with a slash is a path; anything else is looked up on the environment's PATH.

    Raises: CommandError if the program is not found or not executable.
    """
    first = command[0]
    if python and first in ("python", "python3"):
        return [python, *command[1:]]
    if python and first.endswith(".py") and os.path.isfile(os.path.join(cwd, first)):
        return [python, *command]
    return [_find_program(first, environ, cwd), *command[1:]]


def _find_program(name: str, environ: Mapping[str, str], cwd: str) -> str:
    """Search like execvp(3): the first executable file wins, and EACCES is reported only if there is none."""
    if "/" in name:
        return name
    found_unexecutable = False
    for folder in environ.get("PATH", os.defpath).split(":"):
        path = os.path.join(folder or ".", name)
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            found_unexecutable = True
    if found_unexecutable:
        raise CommandError(f"{name}: found on PATH, but not executable", 126)
    if name.endswith(".py"):
        raise CommandError(f"{name}: no such file, and no such command in the environment or on PATH", 127)
    from roost.client.launch.missing import explain_missing  # a failure only: nobody waits for a command

    said, hint = explain_missing(name, cwd, environ)
    raise CommandError(f"{name}: {said}", 127, hint)


def foreign_program_note(name: str, path: str, prefix: str) -> str:
    """Return a note if command ``name`` is not of the environment ``prefix``, but a program at ``path`` that another
    Python runs by its first line; else an empty string. ``env python`` is the environment's.

    The same as in the launcher (``client/bin/roost``).
    """
    if "/" in name or path.startswith(prefix + "/") or name.endswith(".py"):
        return ""
    if not (name.startswith(("python", "pypy")) or _runs_other_python(path, prefix)):
        return ""
    from roost.wire.visible import make_visible

    name, path = make_visible(name), make_visible(path)
    return (
        f"roost: {name} is not in this environment; this is {path} of another Python\n"
        "  Name it in the environment file, or give its path.\n"
    )


def _runs_other_python(path: str, prefix: str) -> bool:
    if "/.pyenv/shims/" in path:
        return True
    try:
        with open(path, "rb") as file:
            first, _, rest = file.read(512).partition(b"\n")
    except OSError:
        return False
    if first == b"#!/bin/sh":  # as pip and uv begin scripts whose interpreter's path has a space or is long
        return rest.startswith(b"'''exec' ")
    words = first[2:].split()
    if not first.startswith(b"#!") or not words or words[0].startswith(os.fsencode(prefix) + b"/"):
        return False
    return words[0].rpartition(b"/")[2].startswith((b"python", b"pypy"))


def hold_lease(lease: str | None) -> int | None:
    """Lock the lease (shared) for this process and all that inherit it, and record the use.

    Return the descriptor, ``None`` without a lease. Raises: LeaseGoneError if the prefix was removed meanwhile.
    """
    if lease is None:
        return None
    try:
        descriptor = os.open(lease, os.O_RDONLY)
    except FileNotFoundError as error:
        raise LeaseGoneError(lease) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # Deletion unlinks the lease while it holds the exclusive lock: whoever opened the file before that and
        # locks it afterwards holds a lease of nothing.
        os.stat(lease)
    except (FileNotFoundError, BlockingIOError) as error:
        os.close(descriptor)
        raise LeaseGoneError(lease) from error
    os.utime(descriptor)
    os.set_inheritable(descriptor, True)
    return descriptor


def replace_process(command: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Become ``command``. Raises: CommandError if that fails, with a shell's status."""
    try:
        os.execve(command[0], list(command), dict(environ))
    except OSError as error:
        if error.errno == errno.ENOEXEC:  # a script whose first line names no interpreter
            os.execve("/bin/sh", ["/bin/sh", *command], dict(environ))
        raise command_error(command[0], error) from error


def command_error(name: str, error: OSError) -> CommandError:
    """Translate a failed exec to a shell's exit status."""
    missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
    return CommandError(f"{name}: {error.strerror}", 127 if missing else 126)
