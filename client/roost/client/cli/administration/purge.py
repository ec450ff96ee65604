"""``cache purge``: remove the root with everything in it, while nothing uses it.

The root stays locked meanwhile, so that no daemon begins to work in it. ``format`` goes last: until then the folder is
a root, and a purge that was interrupted can be repeated. What is not of roost stays.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

from roost.client import paths
from roost.client.cli.context import Context
from roost.client.errors import ClientError, client_error
from roost.client.transport.connection import Daemon
from roost.client.transport.stopping import stop

Json = dict[str, Any]
_FIRST = ("launch", "bin")
"""The launcher finds nothing from then on."""
_KNOWN = re.compile(
    r"prefixes|packages|wheels|layers|stage|trash|logs|runs|snapshots|launch|workers|bin|bytecode|completions|lock|roost\.sock"
    r"|registries\.json|index\.db.*|.+\.[0-9a-f]{8}\.new"
)


def purge_command(context: Context) -> int:
    """Return 1 if something of roost could not be removed."""
    root = os.path.realpath(paths.root())
    if not os.path.lexists(root):
        raise client_error(
            "not-a-root", f"{root} does not exist. Nothing was removed.", "ROOST_HOME names the root.", 1
        )
    if not os.path.exists(os.path.join(root, "format")):
        raise client_error(
            "not-a-root",
            f"{root} is not a root of roost: it has no file `format`. Nothing was removed.",
            "ROOST_HOME names the root; `roost doctor` shows it.",
            1,
        )
    in_use = list(_find_users(root))
    if in_use and not context.options.force:
        raise client_error(
            "in-use",
            f"{root} is in use: {'; '.join(in_use)}. Nothing was removed.",
            "Wait, or end them: `roost runs cancel RUN`. With --force they go on without their environment's files.",
            1,
        )
    images = _list_images(context)
    _confirm(context, root, images)
    removed, kept = _remove_images(context, images) if images and context.options.images else ([], images)
    stop(Daemon(paths.socket_path()))
    left = _remove(root)
    _report(context, root, left, removed, kept)
    return 1 if any(_KNOWN.fullmatch(name) for name in left) else 0


def _find_users(root: str) -> Iterator[str]:
    """Yield what uses the root: runs whose folder is locked, and prefixes whose lease file is."""
    for name in _list_names(os.path.join(root, "runs")):
        if _is_locked(os.path.join(root, "runs", name, "lock")):
            yield f"run {name}"
    for name in _list_names(os.path.join(root, "prefixes")):
        if name.endswith(".lease") and _is_locked(os.path.join(root, "prefixes", name)):
            yield f"a process in {os.path.join(root, 'prefixes', name.removesuffix('.lease'))}"


def _list_names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _is_locked(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A lease of the kernel, which it refuses while anybody has the file open: the launcher's commands hold no lock.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # told of a break by what is ignored
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except BlockingIOError:
        return True
    except OSError:  # the file system has no such leases: then commands hold locks
        return False
    finally:
        os.close(descriptor)
    return False


def _list_images(context: Context) -> list[str]:
    """Return the names of the images in the engine that roost made, and refuse if one runs. Without a daemon that can
    start, none is known."""
    try:
        runs = context.request("GET", "/v1/runs?limit=1000")["runs"]
        rows = context.request("GET", "/v1/images")["images"]
    except ClientError as error:
        context.note(f"images and containers are not known: {error.body.get('message')}")
        return []
    alive = [run["id"] for run in runs if run["state"] in ("queued", "preparing", "running")]
    if alive and not context.options.force:
        raise client_error(
            "in-use",
            f"Runs have not ended: {', '.join(alive)}. Nothing was removed.",
            "Wait, or end them: `roost runs cancel RUN`.",
            1,
        )
    return [row["name"] for row in rows if row["in_engine"]]


def _confirm(context: Context, root: str, images: list[str]) -> None:
    """Ask for confirmation, unless it was given. Raises: ClientError without a terminal, or if it is not given."""
    if context.options.yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        message = f"This would remove {root} with all environments and records of runs."
        raise client_error("unconfirmed", message, "Confirm it: `roost cache purge --yes`.", 2)
    context.note(f"This removes {root}: all environments, their versions, packages, and records and outputs of runs.")
    if images and context.options.images:
        context.note(f"It also removes {len(images)} images: {', '.join(images)}")
    try:
        answer = input("Remove it? [y/N] ")
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise client_error("unconfirmed", "Nothing was removed.", "", 1)


def _remove(root: str) -> list[str]:
    """Remove what roost created in the root, and the root if nothing else is in it; return the names that are left.

    Raises: ClientError if a daemon has the root.
    """
    with ExitStack() as stack:
        for path in (root, os.path.join(root, "lock")):
            with suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, descriptor)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    hint = "Try again: another command started a daemon meanwhile."
                    raise client_error("in-use", f"A daemon has {root}.", hint, 1) from None
        names = [name for name in _list_names(root) if _KNOWN.fullmatch(name)]
        for name in sorted(names, key=lambda name: (name == "lock", name not in _FIRST, name)):
            _remove_tree(os.path.join(root, name))
        left = [name for name in _list_names(root) if name != "format"]
        if not any(_KNOWN.fullmatch(name) for name in left):
            _remove_tree(os.path.join(root, "format"))
        if not left:
            with suppress(OSError):  # the mount point of a file system stays
                os.rmdir(root)
        return left


def _remove_tree(path: str) -> None:
    """Remove a file or a folder; folders of prefixes are read-only, and packages may have such."""
    for _ in range(2):
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            return
        if not stat.S_ISDIR(mode):
            with suppress(OSError):
                os.unlink(path)
            return
        for folder, _folders, _files in os.walk(path):
            with suppress(OSError):
                os.chmod(folder, 0o700)
        shutil.rmtree(path, ignore_errors=True)


def _remove_images(context: Context, images: list[str]) -> tuple[list[str], list[str]]:
    """Have the daemon remove the images, and return the names that are gone, and those that stay."""
    try:
        answer = context.request("DELETE", "/v1/images")
    except ClientError as error:
        context.note(f"images were not removed: {error.body.get('message')}")
        return [], images
    for name, reason in answer["kept"].items():
        context.note(f"{name} stays: {reason}")
    return list(answer["removed"]), list(answer["kept"])


def _report(context: Context, root: str, left: list[str], removed: list[str], kept: list[str]) -> None:
    if context.json:
        context.print_json({"root": root, "left": left, "images": removed, "images_left": kept})
        return
    if left:
        context.print(f"{root} has more than what roost removes: {', '.join(left)}")
    else:
        context.print(f"{root} was removed")
    if removed:
        context.print(f"Images removed: {', '.join(removed)}")
    if kept:
        context.print("Images that roost made are still in the engine. To remove them:")
        context.print(f"  docker image rm {' '.join(kept)}")
