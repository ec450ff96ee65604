"""File access for readers: content and digests of local files and folders, independent of their times and paths."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from roost.model.documents.dockerfile import DOCKERFILE
from roost.model.lock_files.lock_file import LOCK_FILE
from roost.model.syntax.dockerignore import DOCKERIGNORE as DOCKERIGNORE
from roost.model.syntax.dockerignore import parse_dockerignore
from roost.store.disk.regular_files import open_regular, read_regular

_VERSION_CONTROL = frozenset((".git", ".hg", ".svn"))
_CACHES = frozenset(("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints"))
_BUILD_FOLDERS = frozenset((".venv", "venv", ".tox", ".nox", ".eggs", "node_modules", ".DS_Store"))
_EXCLUDED = _VERSION_CONTROL | _CACHES | _BUILD_FOLDERS
_EXCLUDED_AT_TOP = frozenset(("build", "dist"))
_CHUNK_BYTES = 1 << 20


class LocalFiles:
    """Implements ``roost.model.readers.Files`` on the file system. Blocking: call it in a thread."""

    def __init__(self) -> None:
        self._special: dict[str, tuple[str, ...]] = {}
        """Folders whose digest left something out, and its names."""

    def read(self, path: str) -> bytes:
        return read_regular(path)

    def file_digest(self, path: str) -> str:
        with open_regular(path) as file:
            return "sha256:" + _hash_content(file).hexdigest()

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path)

    def covers(self, path: str) -> bool:
        return True

    def list_folder(self, path: str) -> list[str]:
        try:
            return sorted(os.listdir(path))
        except OSError:
            return []

    def resolve(self, path: str) -> str:
        return resolve_path(path)

    def resolve_links(self, path: str) -> str:
        return os.path.realpath(path)

    def tree_digest(self, path: str) -> str:
        """Return the digest of a Python project's folder, without files of version control, caches and builds."""
        special: list[str] = []
        digest = _digest_tree(path, _walk_names(path, "", _is_left_out, special=special))
        self._special[path] = tuple(sorted(special))
        return digest

    def special_files(self, path: str) -> tuple[str, ...]:
        return self._special.get(path, ())

    def tree_stamp(self, path: str) -> str:
        """Return a stamp that changes if any file in the tree changes: a digest of names and stats, without content."""
        stamp = hashlib.sha256()
        for name in sorted(_walk_names(path, "", _is_left_out), key=os.fsencode):
            status = os.lstat(os.path.join(path, name))
            fields = (status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            stamp.update(os.fsencode(name) + b"\0" + repr(fields).encode())
        return stamp.hexdigest()

    def context_digest(self, path: str, dockerfile: str = DOCKERFILE) -> str:
        """Return the digest of a build context. It includes folders, since ``COPY`` copies empty ones.

        ``dockerfile`` is the path of its Dockerfile in it.

        Raises:
            DockerignoreError: the ignore file is not valid.
        """
        special: list[str] = []
        names = _walk_names(path, "", _context_filter(path, dockerfile), folders=True, special=special)
        digest = _digest_tree(path, names)
        self._special[path] = tuple(sorted(special))
        return digest

    def list_context(self, path: str, dockerfile: str = DOCKERFILE) -> list[str]:
        """Return the names that ``context_digest`` covers, a folder before its content. A builder gets only these."""
        return sorted(_walk_names(path, "", _context_filter(path, dockerfile), folders=True), key=os.fsencode)

    def list_visible_context(self, path: str, dockerfile: str = DOCKERFILE) -> list[str]:
        """Return the names of a context that docker steps see: without a Dockerfile or ignore file that is itself
        ignored."""
        ignored, sent = _dockerignore_filter(path, dockerfile), _list_builder_files(path, dockerfile)
        return [name for name in self.list_context(path, dockerfile) if name not in sent or not ignored(name)]

    def list_tree(self, path: str) -> list[str]:
        """Return the names that ``tree_digest`` covers, relative to ``path``, sorted. Raises: OSError."""
        return sorted(_walk_names(path, "", _is_left_out))

    def list_below(self, path: str, limit: int) -> list[str]:
        """Return at most ``limit`` folders and files of a tree, folders first and from the top down, itself included:
        without those of version control, caches and builds, and without following links. What can't be read is left
        out."""
        folders, level, files = [path], [path], list[str]()
        while level and len(folders) + len(files) < limit:
            inner = [_list_entries(folder) for folder in level]
            level = [each for found, _ in inner for each in found]
            folders += level
            files += [each for _, found in inner for each in found]
        return [*folders, *files][:limit]

    def copy_file(self, path: str, target: str) -> None:
        """Copy a file with its mode and times to ``target``, which must not exist. Raises: OSError."""
        with open_regular(path) as file, open(target, "xb") as copy:
            shutil.copyfileobj(file, copy, _CHUNK_BYTES)
            status = os.fstat(file.fileno())
        _copy_metadata(target, status)

    def copy_tree(self, path: str, target: str) -> None:
        """Copy the files that ``tree_digest`` covers to the new folder ``target``. Raises: OSError."""
        self._copy(path, target, _walk_names(path, "", _is_left_out))

    def copy_context(self, path: str, target: str, dockerfile: str = DOCKERFILE) -> None:
        """Copy the files that ``context_digest`` covers to the new folder ``target``. Raises: OSError."""
        self._copy(path, target, self.list_context(path, dockerfile))

    def link_context(self, path: str, target: str, dockerfile: str = DOCKERFILE) -> None:
        """Copy the names of ``list_visible_context`` to the new folder ``target``, as hard links if the system allows
        them. Raises: OSError."""
        self._copy(path, target, self.list_visible_context(path, dockerfile), self._link_file)

    def _link_file(self, path: str, target: str) -> None:
        try:
            os.link(path, target, follow_symlinks=False)
        except OSError:  # another file system, or a file of another user
            self.copy_file(path, target)

    def _copy(
        self, root: str, target: str, names: Iterable[str], copy_file: Callable[[str, str], None] | None = None
    ) -> None:
        """Copy in reverse order of names: the times of a folder are set after its content is complete."""
        os.mkdir(target)
        for name in sorted(names, key=os.fsencode, reverse=True):
            source, copy = os.path.join(root, name), os.path.join(target, name)
            status = os.lstat(source)
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            if stat.S_ISDIR(status.st_mode):
                os.makedirs(copy, exist_ok=True)
                _copy_metadata(copy, status)
            elif stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(source), copy)
            else:
                (copy_file or self.copy_file)(source, copy)


def _list_entries(folder: str) -> tuple[list[str], list[str]]:
    """Return the folders in a folder, and the files and links."""
    folders, files = list[str](), list[str]()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name not in _EXCLUDED:
                    (folders if entry.is_dir(follow_symlinks=False) else files).append(entry.path)
    except OSError:
        return [], []
    return sorted(folders), sorted(files)


def _copy_metadata(copy: str, status: os.stat_result) -> None:
    """Set the mode and the times of the original on a copy, which its owner can always read."""
    least = stat.S_IRWXU if stat.S_ISDIR(status.st_mode) else stat.S_IRUSR
    os.chmod(copy, stat.S_IMODE(status.st_mode) | least)
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


def resolve_path(path: str) -> str:
    """Normalise a path. Links are resolved only if the path has a ``..``, whose meaning depends on them; any other path
    stays as the user wrote it."""
    return os.path.realpath(path) if ".." in path.split("/") else os.path.normpath(path)


def resolve_file_path(path: str) -> str:
    """Normalise the path of an environment file that a person names, as ``resolve_path`` does; but a link to a file
    keeps its own name however it is reached, since what belongs to it (its lock file) lies beside it."""
    folder, name = os.path.split(path)
    if ".." not in folder.split("/") or name in ("", ".", "..") or os.path.isdir(path):
        return resolve_path(path)
    return os.path.join(os.path.realpath(folder), name)


def is_lock_file(name: str) -> bool:
    """Whether ``name`` is the name of a lock file: no digest of a folder may depend on it, since it states a digest of
    the definition."""
    return name == LOCK_FILE or name.endswith(f".{LOCK_FILE}")


def _is_left_out(name: str) -> bool:
    first, last = name.partition("/")[0], name.rpartition("/")[2]
    if is_lock_file(last):
        return True
    return last in _EXCLUDED or last.endswith((".pyc", ".egg-info")) or (first == name and name in _EXCLUDED_AT_TOP)


def find_ignore_file(path: str, dockerfile: str = DOCKERFILE) -> str:
    """Return the name of the file whose rules apply to a context: one that is named after its Dockerfile comes before
    ``.dockerignore`` and replaces it, as in BuildKit (Docker's "Build context": "Filename and location")."""
    own = dockerfile + DOCKERIGNORE
    return own if os.path.lexists(os.path.join(path, own)) else DOCKERIGNORE


def _list_builder_files(path: str, dockerfile: str) -> tuple[str, ...]:
    """Return the files that Docker sends even if they are ignored; ignoring them only hides them from the steps."""
    return dockerfile, find_ignore_file(path, dockerfile)


def _context_filter(path: str, dockerfile: str) -> Callable[[str], bool]:
    ignored, sent = _dockerignore_filter(path, dockerfile), _list_builder_files(path, dockerfile)
    return lambda name: name not in sent and (is_lock_file(name.rpartition("/")[2]) or ignored(name))


def _dockerignore_filter(path: str, dockerfile: str) -> Callable[[str], bool]:
    """Return whether a name is ignored by the ignore file of a context.

    Raises:
        DockerignoreError: the file is not valid.
    """
    ignore_file = os.path.join(path, find_ignore_file(path, dockerfile))
    try:
        text = read_regular(ignore_file).decode(errors="surrogateescape")
    except FileNotFoundError:
        return lambda name: False
    return parse_dockerignore(text, ignore_file)


def _digest_tree(root: str, names: Iterable[str]) -> str:
    """Return a digest of names and content; each field is preceded by its length, so that no two trees have the same
    input."""
    total = hashlib.sha256(b"roost tree 1\n")
    for name in sorted(names, key=os.fsencode):
        for field in (os.fsencode(name), *_digest_entry(os.path.join(root, name))):
            total.update(len(field).to_bytes(8, "big") + field)
    return "sha256:" + total.hexdigest()


def _walk_names(
    root: str,
    folder: str,
    is_left_out: Callable[[str], bool],
    *,
    folders: bool = False,
    special: list[str] | None = None,
) -> Iterator[str]:
    """Yield the files and links below ``root``, with ``folders`` also folders. What is none of them (a socket, a pipe,
    a device) is added to ``special``.

    An ignored folder of a context is still walked: a ``!`` rule may include a part of it.
    """
    with os.scandir(os.path.join(root, folder)) as entries:
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            left_out = is_left_out(name)
            if entry.is_dir(follow_symlinks=False):
                if folders or not left_out:
                    yield from _walk_names(root, name, is_left_out, folders=folders, special=special)
                if folders and not left_out:
                    yield name
            elif not left_out and _is_file_or_link(entry):
                yield name
            elif not left_out and special is not None:
                special.append(name)


def _is_file_or_link(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry has content: not a socket, a pipe or a device."""
    return entry.is_symlink() or entry.is_file(follow_symlinks=False)


def _digest_entry(path: str) -> tuple[bytes, bytes]:
    """Return the kind of an entry (``file``, ``executable``, ``folder``, ``link``), and its digest or link target."""
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return b"link", os.fsencode(os.readlink(path))
    if stat.S_ISDIR(status.st_mode):
        return b"folder", b""
    kind = b"executable" if status.st_mode & 0o111 else b"file"
    with open_regular(path) as file:
        return kind, _hash_content(file).digest()


def _hash_content(file: BinaryIO) -> hashlib._Hash:
    content = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        content.update(chunk)
    return content


def describe_absence(path: str) -> str:
    """Return why there is nothing at ``path``, as the end of a sentence. Blocks."""
    try:
        return f"is a link to {os.readlink(path)}, which does not exist"
    except PermissionError as error:
        return f"can't be reached: {error.strerror}"
    except (OSError, ValueError):  # no link; a name that no file can have
        return "does not exist"
