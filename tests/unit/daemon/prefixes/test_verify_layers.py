"""Image layers are compared with their digests; a repair forgets those that differ."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile

import pytest_asyncio

from roost.daemon.prefixes.verify import _verify_layers
from roost.model.records import LayerRecord
from roost.store.disk.layer_files import blob_path, place_blob
from roost.store.store import Store


@pytest_asyncio.fixture
async def store():
    path = tempfile.mkdtemp(prefix="r", dir="/tmp")
    opened = await Store.open(path)
    yield opened
    await opened.close()
    shutil.rmtree(path, ignore_errors=True)


async def put(store: Store, content: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    staged = os.path.join(store.layout.stage, "blob")
    with open(staged, "wb") as file:
        file.write(content)
    stamp = place_blob(store.layout, staged, digest)
    record = LayerRecord(key=f"k{digest}", diff_id=digest, digest=digest, size=len(content), stamp=stamp)
    await store.index.layers.put(record)
    return digest


async def test_an_altered_and_a_missing_layer_are_found_and_forgotten(store):
    whole, altered, missing = [await put(store, content) for content in (b"whole", b"altered", b"missing")]
    path = blob_path(store.layout, altered)
    state = os.stat(path)
    with open(path, "wb") as file:
        file.write(b"ALTERED")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # only its bytes show it
    os.unlink(blob_path(store.layout, missing))
    assert await _verify_layers(store, repair=False) == sorted([altered, missing])
    assert os.path.exists(path)
    assert await _verify_layers(store, repair=True) == sorted([altered, missing])
    assert await _verify_layers(store, repair=False) == []
    assert [layer.digest for layer in await store.index.layers.list_all()] == [whole]
    assert os.listdir(store.layout.layers) == [os.path.basename(blob_path(store.layout, whole))]
