"""Layers that an engine made, as blobs that can be kept, loaded and pushed again: plain tars are compressed."""

from __future__ import annotations

import hashlib
import os
import threading

from isal import isal_zlib

from roost.daemon.layers.tar import Packed
from roost.model.errors import BuildCancelledError
from roost.store.disk.file_ops import translate_full_disk

_CHUNK = 1 << 20
_LEVEL = 1
_GZIP = 31  # window bits of zlib.h: 15, and 16 for a gzip header, which holds no name and no time


def compress_tar(source: str, target: str, stop: threading.Event) -> Packed:
    """Write the tar archive ``source`` as the new blob ``target``, synced. Blocks.

    Raises ``StoreFullError``, ``OSError``, ``BuildCancelledError`` once ``stop`` is set.
    """
    tar, blob, gzip = hashlib.sha256(), hashlib.sha256(), isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)
    with translate_full_disk(target), open(source, "rb", buffering=0) as stream, open(target, "xb") as out:
        while data := stream.read(_CHUNK):
            if stop.is_set():
                raise BuildCancelledError("the layer is not wanted any more")
            tar.update(data)
            blob.update(packed := gzip.compress(data))
            out.write(packed)
        blob.update(packed := gzip.flush())
        out.write(packed)
        out.flush()
        os.fsync(out.fileno())
        size = out.tell()
    return Packed(diff_id=f"sha256:{tar.hexdigest()}", digest=f"sha256:{blob.hexdigest()}", size=size)
