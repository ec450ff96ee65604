"""The tree of a venv in memory, read from one that uv has made, and written under another name. All functions block."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import msgspec

_MOST_BYTES = 1 << 20
"""Of all files: a venv that has more is not one that uv has just made."""


class VenvTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """A venv by relative paths. ``name``: the last part of its path, random enough to stand nowhere by chance."""

    name: bytes
    folders: tuple[tuple[str, int], ...]
    """With their modes; those above first."""
    files: tuple[tuple[str, int, bytes], ...]
    links: tuple[tuple[str, str], ...]


def read_template(prefix: str) -> VenvTemplate | None:
    """Return the tree of the venv ``prefix``, which uv has just made; ``None`` if it is not one that can be copied."""
    folders: list[tuple[str, int]] = []
    files: list[tuple[str, int, bytes]] = []
    links: list[tuple[str, str]] = []
    room = _MOST_BYTES
    name = os.path.basename(prefix)
    for path in _list_below(prefix, ""):
        status = os.lstat(os.path.join(prefix, path))
        if stat.S_ISLNK(status.st_mode):
            links.append((path, os.readlink(os.path.join(prefix, path))))
        elif stat.S_ISDIR(status.st_mode):
            folders.append((path, stat.S_IMODE(status.st_mode)))
        elif not stat.S_ISREG(status.st_mode) or status.st_size > room:
            return None
        else:
            with open(os.path.join(prefix, path), "rb") as stream:
                files.append((path, stat.S_IMODE(status.st_mode), stream.read()))
            room -= status.st_size
    if any(name in path or name in target for path, target in links):
        return None
    return VenvTemplate(name=name.encode(), folders=tuple(folders), files=tuple(files), links=tuple(links))


def _list_below(prefix: str, below: str) -> Iterator[str]:
    for name in sorted(os.listdir(os.path.join(prefix, below))):
        path = os.path.join(below, name)
        yield path
        if os.path.isdir(os.path.join(prefix, path)) and not os.path.islink(os.path.join(prefix, path)):
            yield from _list_below(prefix, path)


def write_template(template: VenvTemplate, prefix: str) -> None:
    """Write the venv at ``prefix`` (new, or an empty folder), with that name in place of its own.

    Raises:
        OSError: something can't be written, or exists.
    """
    name = os.path.basename(prefix).encode()
    os.makedirs(prefix, exist_ok=True)
    for path, mode in template.folders:
        os.mkdir(os.path.join(prefix, path), mode)
    for path, mode, content in template.files:
        descriptor = os.open(os.path.join(prefix, path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as stream:
            stream.write(content.replace(template.name, name))
    for path, target in template.links:
        os.symlink(target, os.path.join(prefix, path))
