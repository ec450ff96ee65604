"""A build context on its way to an engine: the files that its digest covers, and no others.

What is ignored is decided in one place (``LocalFiles.context_names``), never by a builder or a library with rules of
its own: else two contexts of one digest would make different layers, and what is ignored might get into them.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from typing import IO

from roost.daemon.engines.docker.errors import ContextUnreadableError
from roost.store.disk.file_ops import FULL_DISK_ERRNOS, full_disk_error
from roost.store.sources.files import LocalFiles

DOCKERFILE = "Dockerfile"
OWN_DOCKERFILE = ".roost.Dockerfile"
"""Beside the files of a context whose own Dockerfile is another one."""
IGNORE = ".dockerignore"
EMPTY_IGNORE_FILE = "# What is ignored is not here.\n"
"""As ``Dockerfile.dockerignore`` beside a Dockerfile: BuildKit takes it for the context's rules."""


def dockerfile_name(context: str | None, text: str) -> str:
    """What the Dockerfile is called in the tar. Blocks."""
    return DOCKERFILE if context is None or _is_own(context, text) else OWN_DOCKERFILE


def pack_context(context: str | None, text: str, name: str, target: IO[bytes], stage: str) -> None:
    """Write the tar of a context, with ``text`` as its Dockerfile ``name``. Blocks.

    Raises ContextUnreadableError, StoreFullError.
    """
    with _named(context, stage), tarfile.open(fileobj=target, mode="w") as archive:
        if context is None:
            _add_text(archive, name, text.encode())
        elif name == DOCKERFILE:
            _add_all(archive, context, LocalFiles().context_names(context))
        else:
            _add_all(
                archive, context, [each for each in LocalFiles().seen_names(context) if each not in (name, IGNORE)]
            )
            _add_text(archive, IGNORE, _hiding(context))
            _add_text(archive, name, text.encode())


def prepare_context(context: str | None, folder: str, stage: str) -> str:
    """A folder that BuildKit may have whole: the context itself where it ignores nothing, else ``folder``, made anew.
    Blocks; raises as ``pack_context``."""
    with _named(context, stage):
        if context is None:
            os.mkdir(folder)
        elif not os.path.lexists(os.path.join(context, IGNORE)):
            return context
        else:
            LocalFiles().link_context(context, folder)
    return folder


@contextlib.contextmanager
def _named(context: str | None, stage: str) -> Iterator[None]:
    """The errors of the disk, which are none of the engine's."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK_ERRNOS:
            raise full_disk_error(stage) from error
        raise ContextUnreadableError(
            f"The build context {context} can't be read: {error}",
            hint="Leave its files alone while it is built from, and name what can't be read in its .dockerignore.",
        ) from error


def _is_own(context: str, text: str) -> bool:
    path = os.path.join(context, DOCKERFILE)
    try:
        return not os.path.islink(path) and LocalFiles().read(path) == text.encode()
    except OSError:
        return False


def _hiding(context: str) -> bytes:
    """The rules of the context and one more: the builder reads a Dockerfile that is ignored, and then takes it away."""
    try:
        rules = LocalFiles().read(os.path.join(context, IGNORE))
    except FileNotFoundError:
        rules = IGNORE.encode()
    return rules + f"\n{OWN_DOCKERFILE}\n".encode()


def _add_all(archive: tarfile.TarFile, context: str, names: Iterable[str]) -> None:
    for name in names:
        _add(archive, context, name)


def _add_text(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def _add(archive: tarfile.TarFile, root: str, name: str) -> None:
    """As Docker sends it: with its mode and its time, owned by root, and a link as a link."""
    path = os.path.join(root, name)
    status = os.lstat(path)
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            info.size = os.fstat(file.fileno()).st_size
            archive.addfile(info, file)
        return
    info.type = tarfile.DIRTYPE
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
    archive.addfile(info)
