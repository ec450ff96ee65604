"""The blobs of image layers under ``layers/``: put in place before their row, taken away after it.

Everything here blocks.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress

from roost.model.records import LayerRecord
from roost.store.disk.failpoints import failpoint
from roost.store.disk.layout import Layout, full_disk_named, lists, rename, sync_folder

_SUFFIX = ".tar.gz"
_CHUNK = 1 << 20
_STAMP = 315_532_800 * 10**9
"""1980-01-01 in ns: whatever is written into a blob later leaves another time."""


def blob_path(layout: Layout, digest: str) -> str:
    """Where the blob of ``digest`` lies."""
    return os.path.join(layout.layers, digest.removeprefix("sha256:") + _SUFFIX)


def place_blob(layout: Layout, staged: str, digest: str) -> int:
    """Move a blob, whole and synced, to its place; its stamp. One that is there already is replaced by the same."""
    target = blob_path(layout, digest)
    with full_disk_named(target):
        os.utime(staged, ns=(_STAMP, _STAMP))  # whoever writes this blob again leaves other rows' stamps valid
        failpoint("layer.staged")
        rename(staged, target)
        failpoint("layer.placed")
        sync_folder(layout.layers)
        failpoint("layer.synced")
        return os.stat(target).st_mtime_ns


def intact(layout: Layout, layer: LayerRecord, *, thorough: bool = False) -> bool:
    """Whether the blob is what was written: by size and time, and by its digest where these differ or if thorough."""
    path = blob_path(layout, layer.digest)
    try:
        status = os.stat(path)
        if status.st_size != layer.size:
            return False
        return (status.st_mtime_ns == layer.stamp and not thorough) or _digest(path) == layer.digest
    except OSError:
        return False


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def drop_blobs(layout: Layout, digests: Iterable[str]) -> None:
    """Remove blobs that no row names any more."""
    for digest in digests:
        with suppress(FileNotFoundError):
            os.unlink(blob_path(layout, digest))


def stray_blobs(layout: Layout, known: Iterable[str]) -> list[str]:
    """Digests of blobs that are in ``layers/`` and not among ``known``."""
    names = {digest.removeprefix("sha256:") for digest in known}
    found = (name.removesuffix(_SUFFIX) for name in lists(layout.layers) if name.endswith(_SUFFIX))
    return [f"sha256:{name}" for name in found if name not in names]
