"""The folders of a prefix that installing or removing a package by hand touches: which they are, and how they are
protected.

They are read-only (0555) once the prefix is complete, and their state guards every use of the prefix. Root passes
modes, so the guards have to hold alone. The folders of the packages below ``site-packages`` are read-only too, except
``__pycache__``: otherwise an installer would delete their files before it fails, and no guard would show it. Files keep
their modes: they are hard links into the package cache, and a chmod would change the cache and every other prefix. So
does the prefix's own folder, which is renamed to be deleted.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress

SEALED_MODE = 0o555
"""Mode of a guarded folder."""
_BACK_NS = 10 * 10**9
"""How far the mtime of a guarded folder is moved back: further than the coarsest time stamps of a file system (two
seconds), so that a change right after the prefix was published shows in the mtime."""

_PATTERNS = (
    "bin",
    "conda-meta",
    "lib*/python[0-9]*",
    "lib*/python[0-9]*/site-packages",
    "lib*/pypy[0-9]*",
    "lib*/pypy[0-9]*/site-packages",
    "lib/R/library",
)


def find_guarded_folders(prefix: str) -> list[str]:
    """Return the paths, relative to ``prefix`` and sorted, of the guarded folders that it has. Blocks.

    A symlink is none (``lib64`` of a virtual environment, ``lib/python3.1`` of conda's Python): its target is.
    """
    found = (path for pattern in _PATTERNS for path in glob.glob(pattern, root_dir=prefix))
    return sorted(path for path in found if _is_own_folder(prefix, path))


def _is_own_folder(prefix: str, path: str) -> bool:
    parts = path.split("/")
    names = (os.path.join(prefix, *parts[: n + 1]) for n in range(len(parts)))
    return all(stat.S_ISDIR(os.lstat(name).st_mode) for name in names)


def create_bytecode_folders(prefix: str, files: Iterable[str]) -> list[str]:
    """Create ``__pycache__`` beside every Python source among ``files`` (relative paths) that lacks it. Blocks.
    Returns the paths of those that were created.

    Python would create it at the first import, and so change the folder.
    """
    created = []
    for folder in {os.path.dirname(path) for path in files if path.endswith(".py")}:
        path = os.path.join(prefix, folder, "__pycache__")
        with suppress(FileExistsError):
            os.mkdir(path, 0o755)
            created.append(path)
    return created


def seal_folders(prefix: str, folders: Iterable[str], wheel_folders: Iterable[str] = ()) -> list[str]:
    """Make the guarded folders and those of packages read-only; return the paths of the former, absolute. Blocks.

    ``folders`` are the relative paths of all folders of the prefix that are no symlinks, without ``__pycache__``;
    ``wheel_folders`` those in which wheels have files, wherever they are. To be called again after their content was
    found unchanged, it moves the mtimes of the guarded folders again.
    """
    guarded = [os.path.join(prefix, folder) for folder in find_guarded_folders(prefix)]
    with_wheels = set(wheel_folders)
    for folder in folders:
        if "/site-packages/" in folder or folder in with_wheels:
            os.chmod(os.path.join(prefix, folder), SEALED_MODE)
    for path in guarded:
        status = os.stat(path)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - _BACK_NS))
        os.chmod(path, SEALED_MODE)
    return guarded


def find_unsealed(prefix: str) -> Iterator[tuple[str, int]]:
    """Yield the path, absolute, and the mode of each guarded folder that is not read-only. Blocks."""
    for folder in find_guarded_folders(prefix):
        path = os.path.join(prefix, folder)
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode != SEALED_MODE:
            yield path, mode
