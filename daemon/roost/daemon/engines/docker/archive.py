"""The archive of ``docker load`` and ``docker save``.

``manifest.json`` names the config and one file for each layer. ``docker load`` opens the file of a layer only if it
lacks that layer, so other files may be left out (moby, image/tarexport/load.go). Layers may be compressed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import IO, Any

from roost.daemon.engines.docker.errors import LayerFileMissingError
from roost.daemon.engines.docker.values import LayerFile, SavedImage
from roost.daemon.jobs.progress import Progress

CHUNK = 2**20
BLOCK = tarfile.BLOCKSIZE
_GZIP = 31  # window bits of zlib.h: 15, and 16 for a gzip header
_GZIP_MAGIC = b"\x1f\x8b\x08"


def docker_archive(
    config: bytes, layers: Sequence[LayerFile], there: Collection[str], tags: Sequence[str], progress: Progress
) -> Callable[[], Iterator[bytes]]:
    """Return a function that yields the archive of an image in pieces, without the layers that the engine has.

    ``there``: diff_ids of the layers that the engine has.

    Raises: LayerFileMissingError if another layer has no file.
    """
    sent = [layer for layer in layers if layer.diff_id not in there]
    missing = [layer.diff_id for layer in sent if layer.path is None]
    if missing:
        raise LayerFileMissingError(
            f"The engine lacks {len(missing)} layers of the base image that are not on this machine either",
            hint="Pull the base image again.",
            fields={"diff_ids": missing},
        )
    return lambda: _write_archive(config, layers, sent, tags, progress)


def _write_archive(
    config: bytes, layers: Sequence[LayerFile], sent: Sequence[LayerFile], tags: Sequence[str], progress: Progress
) -> Iterator[bytes]:
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    yield from _text_member(name, config)
    done = 0
    for layer in dict.fromkeys(sent):
        assert layer.path is not None
        for chunk in _file_member(_layer_name(layer.diff_id), layer.path):
            done += len(chunk)
            progress.advance("load", done)
            yield chunk
    manifest = [{"Config": name, "RepoTags": list(tags), "Layers": [_layer_name(layer.diff_id) for layer in layers]}]
    yield from _text_member("manifest.json", json.dumps(manifest).encode())
    yield bytes(2 * BLOCK)


def _layer_name(diff_id: str) -> str:
    return f"{diff_id.removeprefix('sha256:')}/layer.tar"


def _text_member(name: str, data: bytes) -> Iterator[bytes]:
    yield _member_header(name, len(data))
    yield data + bytes(-len(data) % BLOCK)


def _file_member(name: str, path: str) -> Iterator[bytes]:
    size = os.path.getsize(path)
    yield _member_header(name, size)
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk
    yield bytes(-size % BLOCK)


def _member_header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def read_archive(stream: IO[bytes], folder: str, wanted: Collection[str]) -> SavedImage:
    """Read an archive of ``docker save`` as a stream and write the layers in ``wanted`` (diff_ids) to ``folder``.

    Whether a member is a layer is recognised by its bytes: names differ between versions of the engine. Blocks.
    """
    documents: dict[str, bytes] = {}
    layers: dict[str, str] = {}
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            if not member.isfile():
                continue
            source = archive.extractfile(member)
            assert source is not None
            head = source.read(min(member.size, BLOCK))
            if member.name.endswith(".json") or head.startswith((b"{", b"[")):
                documents[member.name] = head + source.read()
                continue
            if not wanted:
                continue
            path = os.path.join(folder, f"layer-{len(layers)}-{os.urandom(4).hex()}.tar")
            diff_id = _extract_layer(head, source, path)
            if diff_id in wanted and diff_id not in layers:
                layers[diff_id] = path
            else:
                os.unlink(path)
    manifest = json.loads(documents["manifest.json"])[0]
    return SavedImage(config=documents[manifest["Config"]], layers=layers)


def _extract_layer(head: bytes, source: Any, path: str) -> str:  # noqa: ANN401 - tarfile's own reader
    """Write a layer to ``path``, decompressed (containerd's store returns layers as it stores them).

    Returns its diff_id.
    """
    gzip = zlib.decompressobj(_GZIP) if head.startswith(_GZIP_MAGIC) else None
    digest, chunk = hashlib.sha256(), head
    with open(path, "wb") as target:
        while chunk:
            plain = gzip.decompress(chunk) if gzip else chunk
            digest.update(plain)
            target.write(plain)
            chunk = source.read(CHUNK)
        target.write(rest := gzip.flush() if gzip else b"")
        digest.update(rest)
    return f"sha256:{digest.hexdigest()}"
