"""Which processes use files below a path, by one look at ``/proc`` (proc(5)).

Seen are the executable, the working folder, the root, open files and mapped files; the name by which a program was
called (a virtual environment's interpreter is a link that leads elsewhere); an environment that is active in a process
(PATH of a shell); and a mount of the path, as containers have it. A process that can't be read counts as a user only if
it could be one: the root of a store lets no other user in but root, whose processes count as far as they can be read.
One of this user that hides itself (``PR_SET_DUMPABLE``, as agents of keys do) counts if its command line or its name is
one of the path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress

_LINKS = ("exe", "cwd", "root")
_ENDS = rb"(?=[/:]|$)"
"""What follows a path that is named in PATH or as a program."""
_ACTIVATIONS = (b"PATH=", b"VIRTUAL_ENV=", b"CONDA_PREFIX=")
"""Variables by which an environment is active in a process."""


def find_process_uses(paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return which processes use each of ``paths`` or anything below it: ``process:<pid>``, or ``process:unknown`` for
    one that may. Without a ``/proc`` nobody can tell, and every path has ``process:unknown``. Blocks for some 10 ms."""
    try:
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        pids = []
    if not pids:
        return dict.fromkeys(paths, ("process:unknown",))
    users: dict[str, list[str]] = {path: [] for path in paths}
    mounted: dict[str, frozenset[str]] = {}
    for pid in pids:
        if pid != str(os.getpid()):  # what the caller has open is the caller's to know
            for path, user in _find_uses_of(pid, paths, mounted):
                users[path].append(user)
    return {path: tuple(dict.fromkeys(found)) for path, found in users.items()}


def _find_uses_of(pid: str, paths: Sequence[str], mounted: dict[str, frozenset[str]]) -> list[tuple[str, str]]:
    """``mounted``: what each mount namespace that was looked at has of folders, by their names."""
    folder = f"/proc/{pid}"
    try:
        names = [os.readlink(f"{folder}/{name}") for name in _LINKS]
        for number in os.listdir(f"{folder}/fd"):
            with suppress(FileNotFoundError):
                names.append(os.readlink(f"{folder}/fd/{number}"))
        with open(f"{folder}/maps", "rb") as stream:
            mapped = stream.read()
        named = [_read(f"{folder}/cmdline").partition(b"\0")[0]]
        named += [each for each in _read(f"{folder}/environ").split(b"\0") if each.startswith(_ACTIVATIONS)]
        folders = _find_mounted_folders(folder, mounted)
    except (FileNotFoundError, ProcessLookupError):
        return []  # it has just ended, or is one of the kernel
    except OSError:
        return [(path, "process:unknown") for path in paths if _could_use(folder, path)]
    return [
        (path, f"process:{pid}")
        for path in paths
        if _uses(names, mapped, path)
        or any(re.search(re.escape(os.fsencode(path)) + _ENDS, each) for each in named)
        or os.path.basename(path) in folders
    ]


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _find_mounted_folders(folder: str, mounted: dict[str, frozenset[str]]) -> frozenset[str]:
    """Return the names of the folders of file systems that are mounted for a process by themselves, and of those above
    them. Their paths begin at the root of their own file system, so that only the names can be compared."""
    namespace = os.readlink(f"{folder}/ns/mnt")
    if namespace not in mounted:
        roots = [line.split()[3] for line in _read(f"{folder}/mountinfo").splitlines()]
        mounted[namespace] = frozenset(os.fsdecode(name) for root in roots for name in root.split(b"/"))
    return mounted[namespace]


def _uses(names: Sequence[str], mapped: bytes, path: str) -> bool:
    below = path + os.sep
    # maps escapes line feeds only, as \\012
    escaped = os.fsencode(below).replace(b"\n", rb"\012")
    return any(name == path or name.startswith(below) for name in names) or escaped in mapped


def _could_use(folder: str, path: str) -> bool:
    """Return whether a process that can't be read may use ``path``. Its owner is in its status, as is its name: the
    owner of its folder is root while it hides itself."""
    try:
        with open(f"{folder}/status", "rb") as stream:
            status = dict(line.split(b":", 1) for line in stream.read().splitlines() if b":" in line)
        with open(f"{folder}/cmdline", "rb") as stream:
            command = stream.read()
    except OSError:
        return False  # it has just ended; proc may also be mounted so that others' processes are not listed at all
    if str(os.getuid()).encode() not in status.get(b"Uid", b"").split():
        return False
    name = os.fsdecode(status.get(b"Name", b"").strip())
    return os.fsencode(path) in command or os.path.exists(os.path.join(path, "bin", name))
