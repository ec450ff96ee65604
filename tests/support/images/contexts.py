"""A build context whose ``.dockerignore`` builders and libraries read each in a way of their own."""

from __future__ import annotations

import os
from pathlib import Path

from roost.store.sources.files import LocalFiles

RULES = """\ufeff# what is ignored
**/data
!data/keep.txt
**/.docker
build
**.log
 # odd
private*/**
!private/**/word
Dockerfile
"""
FILES = (
    *("# odd", ".docker/config.json", "Build/kept", "a.log", "build/secret", "data/keep.txt", "data/secret.bin"),
    *("data/sub/x", "kept/.docker/x", "kept/b.log", "kept/data/y", "kept/run", "private/a/word", "private/secret"),
)
SEEN = """\
.dockerignore
Build
Build/kept
data
data/keep.txt
empty
gone
kept
kept/link
kept/run
private
private/a
private/a/word"""
"""What ``COPY . /seen`` takes of it."""
LIST = "RUN cd /seen && find . -mindepth 1 | cut -c3- | LC_ALL=C sort && stat -c %A%u kept/run && readlink gone"
"""The step that tells so."""
TOLD = [*SEEN.splitlines(), "-rwxr-x---0", "data/secret.bin"]


def tricky_context(folder: Path, text: str) -> str:
    """Make it in ``folder``, with ``text`` as its Dockerfile."""
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    (folder / "empty").mkdir()
    (folder / "gone").symlink_to("data/secret.bin")
    (folder / "kept" / "link").symlink_to("run")
    os.chmod(folder / "kept" / "run", 0o750)
    (folder / ".dockerignore").write_text(RULES)
    (folder / "Dockerfile").write_text(text)
    covered = LocalFiles().list_context(str(folder))
    above = {"data", "private/a"}  # folders that are there for what is in them
    assert covered == sorted({*SEEN.splitlines(), "Dockerfile"} - above)
    return str(folder)
