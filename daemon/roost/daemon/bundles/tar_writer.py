"""Write the file of a bundle: as a stream, beside its final name, synced, and then renamed. Blocking.

The file has no name until it is complete, if the file system can do that (open(2), ``O_TMPFILE``), so that a killed
export leaves nothing.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import BinaryIO

from roost.daemon.bundles.errors import BundleInvalidError, BundleOutputError
from roost.daemon.bundles.format import (
    END,
    INDEX_NAME,
    LAYOUT,
    LAYOUT_NAME,
    BundleIndex,
    blob_name,
    describe_blob,
    encode_index,
    member_header,
    padding,
)
from roost.daemon.oci.manifests import Descriptor
from roost.model.errors import StoreFullError
from roost.store.disk.file_ops import rename, sync_folder, translate_full_disk
from roost.store.disk.regular_files import open_regular
from roost.store.failpoints import failpoint

CHUNK = 1 << 20


class WritingStoppedError(Exception):
    """The caller no longer wants the file."""


def write_bundle(
    output: str,
    index: BundleIndex,
    contents: bytes,
    paths: Mapping[str, str],
    report: Callable[[int], None],
    stop: threading.Event,
) -> None:
    """Write the bundle of ``index`` to ``output``, an absolute path; a file there is replaced once all is written.

    ``paths``: digest to path of every file. ``report`` gets the bytes so far. Raises BundleOutputError, StoreFullError,
    BundleInvalidError if a file is not what its digest says, and WritingStoppedError.
    """
    with _translate_output(output), _new_file(output, index.size) as file:
        _write_member(file, LAYOUT_NAME, LAYOUT)
        _write_member(file, INDEX_NAME, encode_index(index))
        _write_member(file, blob_name(index.digest), index.manifest)
        done = 0
        for blob in index.blobs:
            if blob is index.contents:
                _write_member(file, blob_name(blob.digest), contents)
                done += blob.size
                report(done)
                continue
            file.write(member_header(blob_name(blob.digest), blob.size))
            for size in _copy_checked(paths[blob.digest], blob, file, stop):
                report(done + size)
            file.write(padding(blob.size))
            done += blob.size
        file.write(END)
        failpoint("bundle.written")
        if stop.is_set():
            raise WritingStoppedError


def _write_member(file: BinaryIO, name: str, data: bytes) -> None:
    file.write(member_header(name, len(data)) + data + padding(len(data)))


def _copy_checked(path: str, blob: Descriptor, file: BinaryIO, stop: threading.Event) -> Iterator[int]:
    """Copy the file at ``path``, yielding the bytes so far. Raises BundleInvalidError if it is not ``blob``."""
    digest, size = hashlib.sha256(), 0
    with open_regular(path) as source:
        while chunk := source.read(CHUNK):
            if stop.is_set():
                raise WritingStoppedError
            digest.update(chunk)
            file.write(chunk)
            size += len(chunk)
            yield size
    if f"sha256:{digest.hexdigest()}" != blob.digest or size != blob.size:
        raise BundleInvalidError(
            f"{describe_blob(blob)} changed while the bundle was written: {path} is not what the lock says",
            hint="Try again; `roost cache verify --repair` repairs the caches.",
            fields={"path": path},
        )


@contextmanager
def _new_file(output: str, size: int) -> Iterator[BinaryIO]:
    """Provide a file that becomes ``output`` at the end of the block, and goes if that raises."""
    folder, name = os.path.split(output)
    free = os.statvfs(folder)
    if free.f_bavail * free.f_frsize < size:
        raise StoreFullError(
            f"The bundle has {size:,} bytes, and the disk of {folder} has {free.f_bavail * free.f_frsize:,} left",
            hint="Free some space there, or name a file on a larger disk with -o.",
            fields={"path": output, "bytes": size},
        )
    if os.path.lexists(output) and not os.path.isfile(output):
        raise BundleOutputError(f"{output} exists and is not a file", hint="Name a file with -o.")
    beside = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(4)}.part")
    descriptor, is_named = _open_unnamed(folder, beside)
    try:
        with open(descriptor, "wb", buffering=CHUNK) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            failpoint("bundle.synced")
            if not is_named:
                _name_file(file.fileno(), folder, beside)
        rename(beside, output)
        failpoint("bundle.renamed")
        sync_folder(folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _name_file(descriptor: int, folder: str, path: str) -> None:
    """Give a file without a name the name ``path`` (linkat(2), ``AT_SYMLINK_FOLLOW``)."""
    parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:  # only with the descriptor of a folder does Python follow the link in /proc
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=parent, follow_symlinks=True)
    finally:
        os.close(parent)


def _open_unnamed(folder: str, beside: str) -> tuple[int, bool]:
    """Return a new file, and whether it has the name ``beside`` already."""
    with suppress(OSError, AttributeError):
        return os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600), False
    return os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), True


@contextmanager
def _translate_output(output: str) -> Iterator[None]:
    try:
        with translate_full_disk(os.path.dirname(output)):
            yield
    except OSError as error:
        raise BundleOutputError(
            f"{output} can't be written: {error.strerror or error}", hint="Name another file with -o."
        ) from error
