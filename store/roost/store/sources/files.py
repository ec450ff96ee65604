"""The readers' sight of the disk: content and digests of local things, never their times or places."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from roost.model.syntax.dockerignore import DOCKERIGNORE as DOCKERIGNORE
from roost.model.syntax.dockerignore import parse_dockerignore

_VERSION_CONTROL = frozenset((".git", ".hg", ".svn"))
_CACHES = frozenset(("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints"))
_BUILDS = frozenset((".venv", "venv", ".tox", ".nox", ".eggs", "node_modules", ".DS_Store"))
_LEFT_OUT = _VERSION_CONTROL | _CACHES | _BUILDS
_LEFT_OUT_AT_TOP = frozenset(("build", "dist"))
_FOR_THE_BUILDER = ("Dockerfile", DOCKERIGNORE)
"""Docker sends them though they are ignored; what ignores them keeps them from the steps alone."""
_CHUNK = 1 << 20
LARGEST = 64 << 20
"""Bytes of a file that is read whole: no definition is as large, and who reads a model or a device is lost."""


class LocalFiles:
    """Implements ``roost.model.readers.Files`` on the file system. Blocking: call it in a thread."""

    def read(self, path: str) -> bytes:
        with _open(path) as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise OSError(errno.EFBIG, f"it is larger than {LARGEST >> 20} MiB")
        return data

    def file_digest(self, path: str) -> str:
        with _open(path) as file:
            return "sha256:" + _content(file).hexdigest()

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path)

    def resolve(self, path: str) -> str:
        return resolved(path)

    def tree_digest(self, path: str) -> str:
        """A Python project's folder, without what version control, caches and builds leave in it."""
        return _digest(path, _walk(path, "", _no_source))

    def tree_stamp(self, path: str) -> str:
        """What tells without reading them that the same files are as they were: digests their names and stats."""
        stamp = hashlib.sha256()
        for name in sorted(_walk(path, "", _no_source), key=os.fsencode):
            status = os.lstat(os.path.join(path, name))
            fields = (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            stamp.update(os.fsencode(name) + b"\0" + repr(fields).encode())
        return stamp.hexdigest()

    def context_digest(self, path: str) -> str:
        """Folders count too: ``COPY`` makes empty ones. Raises DockerignoreError."""
        return _digest(path, self.context_names(path))

    def context_names(self, path: str) -> list[str]:
        """What ``context_digest`` covers, a folder before what is in it; this and nothing else may go to a builder."""
        return sorted(_walk(path, "", _context_rule(path), folders=True), key=os.fsencode)

    def seen_names(self, path: str) -> list[str]:
        """What docker steps see of that: no Dockerfile or ``.dockerignore`` that is itself ignored."""
        ignored = _dockerignore(path)
        return [name for name in self.context_names(path) if name not in _FOR_THE_BUILDER or not ignored(name)]

    def tree_names(self, path: str) -> list[str]:
        """What ``tree_digest`` covers, relative to ``path``, in an order; raises ``OSError``."""
        return sorted(_walk(path, "", _no_source))

    def copy_file(self, path: str, target: str) -> None:
        """Make ``target``, new, with the content of ``path``, its mode and its times; raises ``OSError``."""
        with _open(path) as file, open(target, "xb") as copy:
            shutil.copyfileobj(file, copy, _CHUNK)
            status = os.fstat(file.fileno())
        _like(target, status)

    def copy_tree(self, path: str, target: str) -> None:
        """Make the folder ``target``, new, with what ``tree_digest`` of ``path`` covers; raises ``OSError``."""
        self._copy(path, target, _walk(path, "", _no_source))

    def copy_context(self, path: str, target: str) -> None:
        """The same of what ``context_digest`` covers."""
        self._copy(path, target, self.context_names(path))

    def link_context(self, path: str, target: str) -> None:
        """The same of ``seen_names``; its files are links where the system lets us."""
        self._copy(path, target, self.seen_names(path), self._link_file)

    def _link_file(self, path: str, target: str) -> None:
        try:
            os.link(path, target, follow_symlinks=False)
        except OSError:  # another file system, or somebody else's file
            self.copy_file(path, target)

    def _copy(
        self, root: str, target: str, names: Iterable[str], copy_file: Callable[[str, str], None] | None = None
    ) -> None:
        """The times of a folder are set after what is in it came there."""
        os.mkdir(target)
        for name in sorted(names, key=os.fsencode, reverse=True):
            source, copy = os.path.join(root, name), os.path.join(target, name)
            status = os.lstat(source)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            if stat.S_ISDIR(status.st_mode):
                os.makedirs(copy, exist_ok=True)
                _like(copy, status)
            elif stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(source), copy)
            else:
                (copy_file or self.copy_file)(source, copy)


def _like(copy: str, status: os.stat_result) -> None:
    """Give ``copy`` the mode and the times of what it is a copy of; its owner may always read it."""
    least = stat.S_IRWXU if stat.S_ISDIR(status.st_mode) else stat.S_IRUSR
    os.chmod(copy, stat.S_IMODE(status.st_mode) | least)
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


def resolved(path: str) -> str:
    """Links are followed only where ``..`` makes them count: elsewhere a path stays as people know it."""
    return os.path.realpath(path) if ".." in path.split("/") else os.path.normpath(path)


def _no_source(name: str) -> bool:
    first, last = name.partition("/")[0], name.rpartition("/")[2]
    return last in _LEFT_OUT or last.endswith((".pyc", ".egg-info")) or (first == name and name in _LEFT_OUT_AT_TOP)


def _context_rule(path: str) -> Callable[[str], bool]:
    ignored = _dockerignore(path)
    return lambda name: name not in _FOR_THE_BUILDER and ignored(name)


def _dockerignore(path: str) -> Callable[[str], bool]:
    """What the ``.dockerignore`` of the context ``path`` leaves out. Raises DockerignoreError."""
    place = os.path.join(path, DOCKERIGNORE)
    try:
        with _open(place) as file:
            text = file.read().decode(errors="surrogateescape")
    except FileNotFoundError:
        return lambda name: False
    return parse_dockerignore(text, place)


def _digest(root: str, names: Iterable[str]) -> str:
    """Each field with its length before it, so that no two trees have one text."""
    total = hashlib.sha256(b"roost tree 1\n")
    for name in sorted(names, key=os.fsencode):
        for field in (os.fsencode(name), *_entry(os.path.join(root, name))):
            total.update(len(field).to_bytes(8, "big") + field)
    return "sha256:" + total.hexdigest()


def _walk(root: str, folder: str, left_out: Callable[[str], bool], *, folders: bool = False) -> Iterator[str]:
    """Files and links below ``root``. An ignored folder of a context is still walked: a ``!`` rule may keep a part."""
    with os.scandir(os.path.join(root, folder)) as entries:
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            out = left_out(name)
            if entry.is_dir(follow_symlinks=False):
                if folders or not out:
                    yield from _walk(root, name, left_out, folders=folders)
                if folders and not out:
                    yield name
            elif not out and _counts(entry):
                yield name


def _counts(entry: os.DirEntry[str]) -> bool:
    """Sockets, pipes and devices are no content."""
    return entry.is_symlink() or entry.is_file(follow_symlinks=False)


def _entry(path: str) -> tuple[bytes, bytes]:
    """What a file is (``file``, ``executable``, ``folder``, ``link``), and its digest or where it points."""
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return b"link", os.fsencode(os.readlink(path))
    if stat.S_ISDIR(status.st_mode):
        return b"folder", b""
    kind = b"executable" if status.st_mode & 0o111 else b"file"
    with open(path, "rb") as file:
        return kind, _content(file).digest()


def _content(file: BinaryIO) -> hashlib._Hash:
    content = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        content.update(chunk)
    return content


def _open(path: str) -> BinaryIO:
    """Nothing without an end (a device, a pipe), and without waiting for somebody to write."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is no regular file")
    return open(file, "rb")
