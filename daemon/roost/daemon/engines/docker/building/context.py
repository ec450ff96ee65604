"""Build contexts as they are sent to an engine: the files that the context's digest covers, and no others.

What is ignored is decided in one place (``LocalFiles.list_context``), never by a builder or a library with rules of
its own. Otherwise two contexts with one digest could produce different layers, and ignored files could get into them.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from typing import IO

from roost.daemon.engines.docker.errors import ContextUnreadableError
from roost.store.disk.file_ops import FULL_DISK_ERRNOS, full_disk_error
from roost.store.disk.regular_files import open_regular
from roost.store.sources.files import LocalFiles

DOCKERFILE = "Dockerfile"
OWN_DOCKERFILE = ".roost.Dockerfile"
"""Name of the Dockerfile in a context whose own Dockerfile has another text."""
IGNORE = ".dockerignore"
EMPTY_IGNORE_FILE = "# What is ignored is not here.\n"
"""Text of ``Dockerfile.dockerignore`` beside a Dockerfile: BuildKit uses it instead of the context's own rules."""


def dockerfile_name(context: str | None, text: str) -> str:
    """Return the name of the Dockerfile in the tar. Blocks."""
    return DOCKERFILE if context is None or _has_dockerfile(context, text) else OWN_DOCKERFILE


def pack_context(context: str | None, text: str, name: str, target: IO[bytes], stage: str) -> None:
    """Write the tar of a context, with ``text`` as its Dockerfile ``name``, to ``target``. Blocks.

    Raises: ContextUnreadableError if a file can't be read; StoreFullError if the disk is full.
    """
    with _translated_disk_errors(context, stage), tarfile.open(fileobj=target, mode="w") as archive:
        if context is None:
            _add_text(archive, name, text.encode())
            return
        if name == DOCKERFILE:
            names = LocalFiles().list_context(context)
        else:
            names = [each for each in LocalFiles().list_visible_context(context) if each not in (name, IGNORE)]
        for each in names:
            _add_file(archive, context, each)
        if name != DOCKERFILE:
            _add_text(archive, IGNORE, _ignore_rules(context))
            _add_text(archive, name, text.encode())


def prepare_context(context: str | None, folder: str, stage: str) -> str:
    """Return a folder that BuildKit may send completely: the context itself if it ignores nothing, else ``folder``.

    ``folder`` is created with links to the context's files. Blocks. Raises: as ``pack_context``.
    """
    with _translated_disk_errors(context, stage):
        if context is None:
            os.mkdir(folder)
        elif not os.path.lexists(os.path.join(context, IGNORE)):
            return context
        else:
            LocalFiles().link_context(context, folder)
    return folder


@contextlib.contextmanager
def _translated_disk_errors(context: str | None, stage: str) -> Iterator[None]:
    """Translate OSError of this machine's disk, which must not be reported as the engine's."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK_ERRNOS:
            raise full_disk_error(stage) from error
        raise ContextUnreadableError(
            f"The build context {context} can't be read: {error}",
            hint="Do not change its files during the build, and list unreadable files in its .dockerignore.",
        ) from error


def _has_dockerfile(context: str, text: str) -> bool:
    path = os.path.join(context, DOCKERFILE)
    try:
        return not os.path.islink(path) and LocalFiles().read(path) == text.encode()
    except OSError:
        return False


def _ignore_rules(context: str) -> bytes:
    """Return the context's rules and one for ``OWN_DOCKERFILE``, which the builder then reads and leaves out."""
    try:
        rules = LocalFiles().read(os.path.join(context, IGNORE))
    except FileNotFoundError:
        rules = IGNORE.encode()
    return rules + f"\n{OWN_DOCKERFILE}\n".encode()


def _add_text(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _add_file(archive: tarfile.TarFile, context: str, name: str) -> None:
    """Add a file, link or folder as Docker sends it: with its mode and mtime, owned by root, links as links."""
    path = os.path.join(context, name)
    status = os.lstat(path)
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
    if stat.S_ISREG(status.st_mode):
        with open_regular(path) as file:
            info.size = os.fstat(file.fileno()).st_size
            archive.addfile(info, file)
        return
    info.type = tarfile.DIRTYPE
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
    archive.addfile(info)
