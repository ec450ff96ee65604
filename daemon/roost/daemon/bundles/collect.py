"""All that a bundle needs as files of this machine: what the caches have, and the rest from where the lock says."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

import msgspec

from roost.daemon.bases.bases import Bases
from roost.daemon.bundles.contents import describe_package, describe_wheel
from roost.daemon.credentials.substitution import map_masked_urls, substitute
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.progress import Progress
from roost.daemon.locks.missing_packages import explain_missing_package
from roost.daemon.oci.manifests import Descriptor
from roost.model.errors import CodedError
from roost.model.locks.lock import Lock
from roost.model.records import BaseRecord


class CollectedFile(msgspec.Struct, frozen=True):
    """A file of a bundle, and where it is on this machine."""

    blob: Descriptor
    path: str


async def collect_packages(
    engines: Engines, lock: Lock, environ: Mapping[str, str], credentials: Mapping[str, str], progress: Progress
) -> list[CollectedFile]:
    """Return the files of all packages of ``lock``, after fetching those that this machine lacks.

    ``credentials`` are by origin. Raises the errors of channels and indexes; of a package that is no longer to be had,
    LockedPackageMissingError.
    """
    substituted = substitute(lock, environ)
    credentials = {**credentials, **map_masked_urls(lock, substituted)}
    paths: dict[str, str] = {}
    try:
        if lock.conda:
            conda = await engines.conda()
            paths |= await conda.fetch_archives(substituted.conda, progress=progress, credentials=credentials)
        if lock.wheels:
            pip = await engines.pip()
            paths |= await pip.fetch_wheel_files(substituted.wheels, progress=progress, credentials=credentials)
    except CodedError as error:
        raise explain_missing_package(error, lock) from error
    return await asyncio.to_thread(_describe_files, lock, paths)


def _describe_files(lock: Lock, paths: Mapping[str, str]) -> list[CollectedFile]:
    sizes = {sha256: os.stat(path).st_size for sha256, path in paths.items()}
    packages = [describe_package(package, sizes[package.sha256]) for package in lock.conda]
    wheels = [describe_wheel(wheel, sizes[wheel.sha256]) for wheel in lock.wheels]
    return [CollectedFile(blob, paths[blob.digest.removeprefix("sha256:")]) for blob in (*packages, *wheels)]


async def collect_base(
    bases: Bases, top: BaseRecord, folder: str, progress: Progress
) -> tuple[BaseRecord, list[CollectedFile]]:
    """Return the record of a base with the digests of all its layers, and the layers as files.

    Those that are not stored are fetched or exported into ``folder``. Raises BaseLostError, and the errors of the
    registry and the engine.
    """
    complete, paths = await bases.loader.obtain_blobs(top, folder, progress)
    layers = {layer.digest: layer for layer in complete.layers}
    files = [
        CollectedFile(Descriptor(media_type=layer.media_type, digest=digest, size=layer.size), paths[digest])
        for digest, layer in layers.items()
        if digest is not None
    ]
    # In a store of its own the base needs nothing of this machine's.
    layers_here = tuple(msgspec.structs.replace(layer, stored=True) for layer in complete.layers)
    return msgspec.structs.replace(complete, layers=layers_here, below=None), files
