"""Blobs of image layers under ``layers/``: moved into place before their index row, deleted after it.

All functions block.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress

from roost.model.records import LayerRecord
from roost.store.disk.file_ops import list_names, rename, sync_folder, translate_full_disk
from roost.store.disk.layout import Layout
from roost.store.failpoints import failpoint

_BLOB_SUFFIX = ".tar.gz"
_CHUNK_BYTES = 1 << 20
_BLOB_MTIME = 315_532_800 * 10**9
"""1980-01-01 in ns, the mtime of every blob: writing into a blob later leaves another time."""


def blob_path(layout: Layout, digest: str) -> str:
    """Return the path of the blob with that digest."""
    return os.path.join(layout.layers, digest.removeprefix("sha256:") + _BLOB_SUFFIX)


def digest_of_blob(path: str) -> str:
    """Return the digest of the blob at ``path``: the opposite of :func:`blob_path`."""
    return f"sha256:{os.path.basename(path).removesuffix(_BLOB_SUFFIX)}"


def place_blob(layout: Layout, staged: str, digest: str) -> int:
    """Move a complete and synced blob to its path and return its mtime in ns. Replaces an existing blob of the same
    digest, which has the same content."""
    target = blob_path(layout, digest)
    with translate_full_disk(target):
        # One mtime for all blobs: writing a blob of the same digest again keeps the stamps of other rows valid.
        os.utime(staged, ns=(_BLOB_MTIME, _BLOB_MTIME))
        failpoint("layer.staged")
        rename(staged, target)
        failpoint("layer.placed")
        sync_folder(layout.layers)
        failpoint("layer.synced")
        return os.stat(target).st_mtime_ns


def is_intact(layout: Layout, layer: LayerRecord, *, thorough: bool = False) -> bool:
    """Return whether a blob still has its content: by size and mtime, and by its digest if the mtime differs or if
    ``thorough``."""
    path = blob_path(layout, layer.digest)
    try:
        status = os.stat(path)
        if status.st_size != layer.size:
            return False
        return (status.st_mtime_ns == layer.stamp and not thorough) or _hash_blob(path) == layer.digest
    except OSError:
        return False


def read_stamp(layout: Layout, digest: str) -> int:
    """Return the mtime of a blob in ns; 0 if there is none."""
    try:
        return os.stat(blob_path(layout, digest)).st_mtime_ns
    except OSError:
        return 0


def _hash_blob(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def delete_blobs(layout: Layout, digests: Iterable[str]) -> None:
    """Delete blobs that no row names any more."""
    for digest in digests:
        with suppress(FileNotFoundError):
            os.unlink(blob_path(layout, digest))


def find_stray_blobs(layout: Layout, known: Iterable[str]) -> list[str]:
    """Return the digests of blobs in ``layers/`` that are not among ``known``."""
    names = {digest.removeprefix("sha256:") for digest in known}
    found = (name.removesuffix(_BLOB_SUFFIX) for name in list_names(layout.layers) if name.endswith(_BLOB_SUFFIX))
    return [f"sha256:{name}" for name in found if name not in names]
