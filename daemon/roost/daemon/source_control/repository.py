"""Find the git repository of a folder and read its commit from its files, as gitrepository-layout(5) has them.

No process is started, and nothing of the repository is executed. What these files don't say (another format of
references) is left to git itself. All functions block.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from roost.store.disk.regular_files import read_regular

_SMALL_FILE = 4096
"""Bytes of HEAD, of a reference, and of a file that leads to the repository."""
_PACKED_REFS = 64 << 20
_CONFIG = 1 << 20
_MAX_LINKS = 5
"""References that refer to another one, in a row."""
_OBJECT = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_CODE_SECTIONS = re.compile(rb"\[(filter|include|includeif)\b", re.IGNORECASE)
"""Sections of a repository's own configuration by which `git status` may run programs: filters, and files that are
included, which may have some."""


class Repository(NamedTuple):
    """A working tree (``root``), the folder with its HEAD, and the one with what all working trees share."""

    root: str
    git_folder: str
    common_folder: str


class Head(NamedTuple):
    """What is checked out. ``commit`` is ``None`` if there is none, or if only git can tell (``is_unreadable``)."""

    commit: str | None
    branch: str | None
    is_unreadable: bool = False


def find_repository(folder: str) -> Repository | None:
    """Return the repository whose working tree ``folder`` is in, on the same file system; ``None`` if it is in none."""
    try:
        device = os.stat(folder).st_dev
        while True:
            if (found := _open_repository(folder)) is not None:
                return found
            parent = os.path.dirname(folder)
            if parent == folder or os.stat(parent).st_dev != device:
                return None
            folder = parent
    except (OSError, ValueError):  # it no longer exists, or can't be entered
        return None


def _open_repository(root: str) -> Repository | None:
    """Return the repository of ``<root>/.git``: a folder, or a file that names one (worktrees, submodules)."""
    path = os.path.join(root, ".git")
    if not os.path.isdir(path):
        try:
            first, _, named = read_regular(path, _SMALL_FILE).decode("utf-8", "surrogateescape").partition(":")
        except OSError:
            return None
        if first != "gitdir" or not named.strip():
            return None
        path = os.path.normpath(os.path.join(root, named.strip()))
    try:
        common = read_regular(os.path.join(path, "commondir"), _SMALL_FILE).decode("utf-8", "surrogateescape").strip()
        shared = os.path.normpath(os.path.join(path, common))
    except OSError:
        shared = path
    is_one = os.path.lexists(os.path.join(path, "HEAD")) and os.path.isdir(os.path.join(shared, "objects"))
    return Repository(root, path, shared) if is_one else None


def find_other_owner(repository: Repository, user: int) -> str | None:
    """Return the first of its folders that is not of ``user``, whom git refuses then (`safe.directory`, git-config(1));
    ``None`` if all are."""
    for path in (repository.root, os.path.join(repository.root, ".git"), repository.git_folder):
        if os.lstat(path).st_uid != user:
            return path
    return None


def read_head(repository: Repository) -> Head:
    """Return the commit that is checked out. Raises: OSError if HEAD can't be read."""
    content = read_regular(os.path.join(repository.git_folder, "HEAD"), _SMALL_FILE).strip()
    if _OBJECT.fullmatch(content):
        return Head(content.decode(), None)
    reference = _parse_link(content)
    if reference is None or _has_other_format(repository):
        return Head(None, None, is_unreadable=True)
    branch = reference.removeprefix("refs/heads/") if reference.startswith("refs/heads/") else None
    for _ in range(_MAX_LINKS):
        target = _read_reference(repository, reference)
        if target is None:
            return Head(None, branch)
        if _OBJECT.fullmatch(target):
            return Head(target.decode(), branch)
        link = _parse_link(target)
        if link is None:
            break
        reference = link
    return Head(None, branch, is_unreadable=True)


def find_foreign_code(repository: Repository) -> str | None:
    """Return why `git status` might run programs that the repository names; ``None`` if it does not."""
    for path in (
        os.path.join(repository.common_folder, "config"),
        os.path.join(repository.git_folder, "config.worktree"),
    ):
        try:
            found = _CODE_SECTIONS.search(read_regular(path, _CONFIG))
        except FileNotFoundError:
            continue
        except OSError as error:
            return f"{path} can't be read: {error.strerror}"
        if found:
            section = found[1].decode().lower()
            what = "a filter" if section == "filter" else "other files"
            return f"{path} names {what} ([{section}]), which git might run"
    return None


def _parse_link(content: bytes) -> str | None:
    """Return the reference that ``ref: refs/…`` leads to; ``None`` if it is none, or none that git would write."""
    if not content.startswith(b"ref:"):
        return None
    name = content[4:].strip().decode("utf-8", "replace")
    parts = name.split("/")
    is_plain = len(parts) > 1 and parts[0] == "refs" and not {"", ".", ".."} & set(parts)
    return name if is_plain and name.isprintable() and "\ufffd" not in name else None


def _has_other_format(repository: Repository) -> bool:
    """Whether the references are in tables (reftable) and not in files."""
    return os.path.isdir(os.path.join(repository.common_folder, "reftable"))


def _read_reference(repository: Repository, name: str) -> bytes | None:
    """Return the content of a reference; ``None`` if it does not exist. Raises: OSError."""
    for folder in dict.fromkeys((repository.git_folder, repository.common_folder)):
        try:
            return read_regular(os.path.join(folder, name), _SMALL_FILE).strip()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            if os.path.isdir(os.path.join(folder, name)):  # emptied folders of branches stay
                continue
            raise
    try:
        packed = read_regular(os.path.join(repository.common_folder, "packed-refs"), _PACKED_REFS)
    except FileNotFoundError:
        return None
    found = re.search(rb"^([0-9a-f]+) " + re.escape(name.encode()) + rb"$", packed, re.MULTILINE)
    return found[1] if found else None
