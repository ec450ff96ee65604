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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO

from roost.daemon.engines.docker.errors import ContextTooLargeError, ContextUnreadableError
from roost.daemon.jobs.unpacking import UNPACKED_BYTES
from roost.model.documents.dockerfile import DOCKERFILE
from roost.store.disk.file_ops import FULL_DISK_ERRNOS, full_disk_error
from roost.store.disk.regular_files import open_regular
from roost.store.sources.files import LocalFiles, find_ignore_file

OWN_DOCKERFILE = ".roost.Dockerfile"
"""Name of the Dockerfile in a context whose own Dockerfile has another text."""
IGNORE = ".dockerignore"
EMPTY_IGNORE_FILE = "# What is ignored is not here.\n"
"""Text of ``Dockerfile.dockerignore`` beside a Dockerfile: BuildKit uses it instead of the context's own rules."""


@dataclass(frozen=True)
class DockerBuild:
    """A Dockerfile to build: its ``text``, an absolute ``context`` folder, and ``labels`` for the image."""

    text: str
    context: str | None = None
    platform: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False
    """Run every step, even if the engine has its result cached."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers with credentials for the parent images; the docker command of BuildKit builds has its own."""
    file: str = DOCKERFILE
    """Path of the Dockerfile in the context."""
    own: int = 0
    """Number of instructions at the beginning that roost wrote, and not the user."""


def find_context_need(context: str | None, file: str) -> str | None:
    """Return why a context needs BuildKit, if it does: only BuildKit knows ignore files that are named after their
    Dockerfile. Blocks."""
    if context is None or (name := find_ignore_file(context, file)) == IGNORE:
        return None
    return f"`{name}`"


def dockerfile_name(context: str | None, text: str, file: str = DOCKERFILE) -> str:
    """Return the name of the Dockerfile in the tar. Blocks."""
    return file if context is None or _has_dockerfile(context, text, file) else OWN_DOCKERFILE


def pack_context(build: DockerBuild, name: str, target: IO[bytes], stage: str) -> None:
    """Write the tar of a build's context, with its text as the Dockerfile ``name``, to ``target``. Blocks.

    Raises: ContextUnreadableError if a file can't be read; ContextTooLargeError; StoreFullError if the disk is full.
    """
    context, text = build.context, build.text
    with _translated_disk_errors(context, stage), tarfile.open(fileobj=target, mode="w") as archive:
        if context is None:
            _add_text(archive, name, text.encode())
            return
        if name == build.file:
            names = LocalFiles().list_context(context, name)
        else:
            visible = LocalFiles().list_visible_context(context, build.file)
            names = [each for each in visible if each not in (name, IGNORE)]
        _check_size(context, names)
        for each in names:
            _add_file(archive, context, each)
        if name != build.file:
            _add_text(archive, IGNORE, _ignore_rules(context))
            _add_text(archive, name, text.encode())


def prepare_context(context: str | None, folder: str, stage: str, file: str = DOCKERFILE) -> str:
    """Return a folder that BuildKit may send completely: the context itself if it ignores nothing, else ``folder``.

    ``folder`` is created with links to the context's files. Blocks. Raises: as ``pack_context``.
    """
    with _translated_disk_errors(context, stage):
        if context is None:
            os.mkdir(folder)
        elif not os.path.lexists(os.path.join(context, find_ignore_file(context, file))):
            return context
        else:
            LocalFiles().link_context(context, folder, file)
    return folder


def _check_size(context: str, names: Iterable[str]) -> None:
    """Raise ContextTooLargeError for a context whose copy would fill the disk. Sparse files are copied in full."""
    sizes = [(os.lstat(os.path.join(context, name)).st_size, name) for name in names]
    if sum(size for size, _ in sizes) <= UNPACKED_BYTES:
        return
    largest = ", ".join(f"{name} ({size:,} bytes)" for size, name in sorted(sizes, reverse=True)[:3])
    raise ContextTooLargeError(
        f"The build context {context} has more than {UNPACKED_BYTES:,} bytes; the largest files: {largest}",
        hint="List what the image does not need in the context's .dockerignore.",
        fields={"context": context, "limit": UNPACKED_BYTES},
    )


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


def _has_dockerfile(context: str, text: str, file: str) -> bool:
    path = os.path.join(context, file)
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
