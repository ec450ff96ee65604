"""All that a bundle needs as files of this machine: what the caches have, and the rest from where the lock says."""

from __future__ import annotations

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
    found: list[CollectedFile] = []
    try:
        if lock.conda:
            conda = await engines.conda()
            paths = await conda.fetch_archives(substituted.conda, progress=progress, credentials=credentials)
            for package in lock.conda:
                path = paths[package.sha256]
                found.append(CollectedFile(describe_package(package, os.stat(path).st_size), path))
        if lock.wheels:
            pip = await engines.pip()
            files = await pip.fetch_wheel_files(substituted.wheels, progress=progress, credentials=credentials)
            for wheel in lock.wheels:
                path = files[wheel.sha256]
                found.append(CollectedFile(describe_wheel(wheel, os.stat(path).st_size), path))
    except CodedError as error:
        raise explain_missing_package(error, lock) from error
    return found


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
