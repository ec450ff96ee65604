"""The origin of a file on this machine: the repository that it lies in, with its remote.

Reads what git wrote into ``.git`` (gitrepository-layout(5)) and starts no git. Blocking.
"""

from __future__ import annotations

import os
from functools import lru_cache

from roost.model.origins import NameOrigin, choose_remote, make_key, parse_remotes
from roost.store.disk.regular_files import read_regular
from roost.store.sources.stops import REPOSITORY

_LARGEST_CONFIG = 1 << 20
"""Bytes of a repository's config."""


def find_origin(path: str, *, is_script: bool = False) -> NameOrigin:
    """Return the origin of a folder, or of a script. A repository that can't be read is none."""
    real = os.path.realpath(path)
    top = _find_top(os.path.dirname(real) if is_script else real)
    if top is None:
        return NameOrigin(key=make_key(None, real, ""), place=path, is_script=is_script)
    inside = os.path.relpath(real, top)
    home = _find_common_folder(os.path.join(top, REPOSITORY))
    remote = _read_remote(os.path.join(home, "config"))
    # Without a remote, worktrees belong to the folder of the first.
    main = os.path.dirname(home) if os.path.basename(home) == REPOSITORY else top
    return NameOrigin(key=make_key(remote, main, inside), place=path, is_script=is_script)


def _find_top(folder: str) -> str | None:
    """Return the folder of the work tree that ``folder`` is in."""
    while True:
        if os.path.lexists(os.path.join(folder, REPOSITORY)):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _find_common_folder(git: str) -> str:
    """Return the folder of the repository that ``git`` is or, as the file of a worktree or submodule, names; of a
    worktree, that which it shares with the others."""
    own = _read_line(git).removeprefix("gitdir:").strip().replace("\0", "") if not os.path.isdir(git) else git
    own = os.path.realpath(os.path.join(os.path.dirname(git), own))
    common = _read_line(os.path.join(own, "commondir")).replace("\0", "")
    return os.path.realpath(os.path.join(own, common)) if common else own


def _read_line(path: str) -> str:
    """Return the text of a file of one line; empty if it can't be read."""
    try:
        return os.fsdecode(read_regular(path, 4 * 4096)).strip()
    except (OSError, ValueError):
        return ""


def _read_remote(path: str) -> str | None:
    """Return the remote that a config names, which is read again once it has changed."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return None
    return _read_config(path, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@lru_cache(maxsize=256)
def _read_config(path: str, *state: int) -> str | None:
    try:
        return choose_remote(parse_remotes(os.fsdecode(read_regular(path, _LARGEST_CONFIG))))
    except (OSError, ValueError):
        return None
