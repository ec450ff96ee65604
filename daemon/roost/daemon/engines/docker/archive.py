"""Images on their way into an engine and out of it: the archive of ``docker load`` and ``docker save``.

``manifest.json`` names the config and one file for each layer; ``docker load`` asks for the file of a layer only where
it does not have it, so those may be left out (moby, image/tarexport/load.go). Layers may be compressed.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from roost.daemon.jobs.progress import Progress
from roost.model.errors import BuildError

CHUNK = 2**20
BLOCK = tarfile.BLOCKSIZE
_GZIP = 31  # window bits of zlib.h: 15, and 16 for a gzip header
_GZIP_HEAD = b"\x1f\x8b\x08"


class LayerFileMissingError(BuildError):
    """The engine needs a layer, and its file is not here; ``fields["diff_ids"]`` lists those that are missing."""

    code = "layer-file-missing"
    retryable = True


@dataclass(frozen=True)
class LayerFile:
    """A layer of an image: its uncompressed digest, and a file of it (plain or gzip) where there is one."""

    diff_id: str
    path: str | None = None

    @property
    def size(self) -> int:
        return os.path.getsize(self.path) if self.path else 0


@dataclass(frozen=True)
class SavedImage:
    """What came out: the config's bytes, and plain tars by diff_id."""

    config: bytes
    layers: dict[str, str]


def docker_archive(
    config: bytes, layers: Sequence[LayerFile], there: Collection[str], tags: Sequence[str], progress: Progress
) -> Callable[[], Iterator[bytes]]:
    """The archive without the layers whose diff_id is ``there``, in pieces. Raises LayerFileMissingError."""
    sent = [layer for layer in layers if layer.diff_id not in there]
    missing = [layer.diff_id for layer in sent if layer.path is None]
    if missing:
        raise LayerFileMissingError(
            f"The engine lacks {len(missing)} layers of the base image that are not on this machine either",
            hint="Pull the base image again.",
            fields={"diff_ids": missing},
        )
    return lambda: _archive(config, layers, sent, tags, progress)


def _archive(
    config: bytes, layers: Sequence[LayerFile], sent: Sequence[LayerFile], tags: Sequence[str], progress: Progress
) -> Iterator[bytes]:
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    yield from _member(name, config)
    done = 0
    for layer in dict.fromkeys(sent):
        assert layer.path is not None
        for chunk in _file(_layer_name(layer.diff_id), layer.path):
            done += len(chunk)
            progress.advance("load", done)
            yield chunk
    manifest = [{"Config": name, "RepoTags": list(tags), "Layers": [_layer_name(layer.diff_id) for layer in layers]}]
    yield from _member("manifest.json", json.dumps(manifest).encode())
    yield bytes(2 * BLOCK)


def _layer_name(diff_id: str) -> str:
    return f"{diff_id.removeprefix('sha256:')}/layer.tar"


def _member(name: str, data: bytes) -> Iterator[bytes]:
    yield _header(name, len(data))
    yield data + bytes(-len(data) % BLOCK)


def _file(name: str, path: str) -> Iterator[bytes]:
    size = os.path.getsize(path)
    yield _header(name, size)
    with open(path, "rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk
    yield bytes(-size % BLOCK)


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def read_archive(stream: IO[bytes], folder: str, wanted: Collection[str]) -> SavedImage:
    """Take an archive of ``docker save`` apart as it comes; layers that are not ``wanted`` are let fall. Blocks."""
    small: dict[str, bytes] = {}
    layers: dict[str, str] = {}
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            if member.isfile():
                _take(archive, member, folder, wanted, small, layers)
    manifest = json.loads(small["manifest.json"])[0]
    return SavedImage(config=small[manifest["Config"]], layers=layers)


def _take(
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    folder: str,
    wanted: Collection[str],
    small: dict[str, bytes],
    layers: dict[str, str],
) -> None:
    """Whether a member is a layer shows by its bytes: names differ between versions of the engine."""
    source = archive.extractfile(member)
    assert source is not None
    head = source.read(min(member.size, BLOCK))
    if member.name.endswith(".json") or head.startswith((b"{", b"[")):
        small[member.name] = head + source.read()
        return
    if not wanted:
        return
    path = os.path.join(folder, f"layer-{len(layers)}-{os.urandom(4).hex()}.tar")
    diff_id = _copy(head, source, path)
    if diff_id in wanted and diff_id not in layers:
        layers[diff_id] = path
    else:
        os.unlink(path)


def _copy(head: bytes, source: Any, path: str) -> str:  # noqa: ANN401 - tarfile's own reader
    """Uncompressed: containerd's store gives layers as it keeps them."""
    gzip = zlib.decompressobj(_GZIP) if head.startswith(_GZIP_HEAD) else None
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
