"""The commit of a repository, by its files: nothing of git runs. Pure: files are read by a callable."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

Read = Callable[[str], bytes | None]
"""Returns the content of a file by its path, absolute or relative to the project; ``None`` if there is none."""
_REFERENCE = re.compile(rb"ref: (refs/[\w./+@-]+)\s*")
_COMMIT = re.compile(rb"[0-9a-f]{40,64}")


def find_commit(read: Read, folder: str) -> bytes:
    """Return what HEAD of the repository around ``folder`` names; empty outside of one.

    Source: gitrepository-layout(5).
    """
    while True:
        git = posixpath.join(folder, ".git")
        if (linked := read(git)) is not None and linked.startswith(b"gitdir: "):
            git = posixpath.join(folder, linked[8:].strip().decode(errors="surrogateescape"))
        if (head := read(posixpath.join(git, "HEAD"))) is not None:
            return _resolve_head(read, git, head)
        if posixpath.dirname(folder) == folder:
            return b""
        folder = posixpath.dirname(folder)


def _resolve_head(read: Read, git: str, head: bytes) -> bytes:
    reference = _REFERENCE.fullmatch(head)
    if reference is None:
        return head.strip()
    name = reference[1].decode()
    common = posixpath.join(git, (read(posixpath.join(git, "commondir")) or b".").strip().decode(errors="replace"))
    for place in (git, common):
        found = read(posixpath.normpath(posixpath.join(place, name)))
        if found is not None and _COMMIT.match(found):
            return found.strip()
    packed = read(posixpath.normpath(posixpath.join(common, "packed-refs"))) or b""
    lines = (line.split() for line in packed.splitlines())
    return next((words[0] for words in lines if len(words) == 2 and words[1] == reference[1]), b"")
