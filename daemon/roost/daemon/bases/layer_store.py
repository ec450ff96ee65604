"""Layers of base images on this machine: storing them, and a folder for images in transit."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from roost.daemon.oci.manifests import OCI_LAYER_GZIP
from roost.model.records import BaseLayer, BaseRecord, LayerRecord
from roost.store.cancellation import finish_despite_cancel
from roost.store.disk.layer_files import blob_path, place_blob
from roost.store.disk.layout import Layout
from roost.store.index.index import Index


class LayerStore:
    """Files of layers in the store, and their rows in the index."""

    def __init__(self, index: Index, layout: Layout) -> None:
        self._index = index
        self._layout = layout

    @asynccontextmanager
    async def staging_folder(self) -> AsyncIterator[str]:
        """Provide a temporary folder; recovery deletes those of a daemon that was killed."""
        path = os.path.join(self._layout.stage, f"image-{secrets.token_hex(6)}")
        await asyncio.to_thread(os.mkdir, path, 0o700)
        try:
            yield path
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, path, ignore_errors=True))

    def layer_path(self, digest: str) -> str:
        """Return the path of a stored layer. ``digest``: of its compressed file."""
        return blob_path(self._layout, digest)

    async def find_obtainable(self, base: BaseRecord) -> list[bool]:
        """Return for each layer of ``base`` whether it is stored here, or can be fetched from the base's registry."""
        return await asyncio.to_thread(lambda: [self._is_obtainable(layer, base) for layer in base.layers])

    def _is_obtainable(self, layer: BaseLayer, base: BaseRecord) -> bool:
        if layer.digest is None:
            return False
        if not layer.stored:
            return base.reference is not None
        try:
            return os.stat(self.layer_path(layer.digest)).st_size == layer.size
        except FileNotFoundError:
            return False

    async def store_layer(self, tar: str, diff_id: str) -> BaseLayer:
        """Compress the layer in the file ``tar`` and store it."""
        from roost.daemon.layers.tar import compress_tar

        stop = threading.Event()
        try:
            packed = await asyncio.shield(asyncio.to_thread(compress_tar, tar, f"{tar}.gz", stop))
        except asyncio.CancelledError:
            stop.set()
            raise
        # Must not be cancelled in between: a file that no row refers to would stay until the next start.
        place = self._place_layer(f"{tar}.gz", diff_id, packed.digest, packed.size)
        return await finish_despite_cancel(asyncio.create_task(place))

    async def adopt_blob(self, path: str, layer: BaseLayer) -> None:
        """Move the blob of ``layer`` at ``path``, whose digest was checked and which is synced, into the store."""
        assert layer.digest is not None
        # With its digest: the same layer may be here, packed differently, and another base may refer to that.
        place = self._place_layer(path, layer.diff_id, layer.digest, layer.size, f"@{layer.digest}")
        await finish_despite_cancel(asyncio.create_task(place))

    async def _place_layer(self, path: str, diff_id: str, digest: str, size: int, variant: str = "") -> BaseLayer:
        stamp = await asyncio.to_thread(place_blob, self._layout, path, digest)
        await self._index.layers.put(
            LayerRecord(key=f"steps:{diff_id}{variant}", diff_id=diff_id, digest=digest, size=size, stamp=stamp)
        )
        return BaseLayer(diff_id=diff_id, digest=digest, size=size, media_type=OCI_LAYER_GZIP, stored=True)
