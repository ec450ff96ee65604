"""Conda packages as files, as a channel serves them: for bundles, which bring them to machines without their channel.

They are ``<sha256>/<file name>`` below one folder. What linking finds there it does not fetch. A folder that exists is
complete: the file is written at a temporary path on the same file system, synced, and renamed. The methods
of the store block.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from roost.daemon.engines.conda.cache import file_digest
from roost.daemon.engines.conda.errors import PackageDigestMismatchError
from roost.daemon.engines.conda.link import check_local_packages
from roost.daemon.jobs.progress import Progress
from roost.model.locks.lock import CondaPackage
from roost.store.disk.file_ops import rename, sync_file, sync_folder
from roost.store.failpoints import failpoint


class PackageArchives:
    """The files of packages below ``folder``, which only this store has."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def path(self, package: CondaPackage) -> str:
        """Return where the file of ``package`` is, or would be."""
        return os.path.join(self._folder, package.sha256, package.file_name)

    def contains(self, sha256: str, file_name: str, size: int) -> bool:
        """Return whether a file of this name and size is stored under ``sha256``; its content is not read."""
        if not file_name or "/" in file_name:
            return False
        try:
            return os.stat(os.path.join(self._folder, sha256, file_name)).st_size == size
        except OSError:
            return False

    def find(self, package: CondaPackage) -> str | None:
        """Return the path of a stored file, after checking its sha256. A damaged one is deleted."""
        if not package.sha256:
            return None
        path = self.path(package)
        try:
            if file_digest(path, "sha256") == package.sha256:
                return path
        except FileNotFoundError:
            return None
        except OSError:
            pass
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)
        return None

    def find_all(self, packages: Iterable[CondaPackage]) -> dict[str, str]:
        """Return the paths of those of ``packages`` that are stored, by URL."""
        if not os.path.isdir(self._folder):
            return {}
        found = {package.url: self.find(package) for package in packages}
        return {url: path for url, path in found.items() if path is not None}

    def stage_path(self, package: CondaPackage) -> str:
        """Return a new path at which the file of ``package`` may be written before it is added."""
        os.makedirs(self._folder, exist_ok=True)
        return os.path.join(self._folder, f".{package.sha256[:16]}-{secrets.token_hex(6)}")

    def add(self, path: str, package: CondaPackage) -> str:
        """Move the file at ``path``, which is complete, synced and has the sha256 of ``package``, into the store.
        Returns its new path. If the file is stored already, that one stays."""
        target = self.path(package)
        folder = os.path.dirname(target)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        rename(path, target)
        failpoint("archive.placed")
        sync_folder(folder)
        sync_folder(self._folder)
        return target

    def delete_unfinished(self) -> None:
        """Delete what killed downloads left. Nothing else may use the store meanwhile."""
        if not os.path.isdir(self._folder):
            return
        with os.scandir(self._folder) as entries:
            for entry in [each for each in entries if each.name.startswith(".")]:
                os.unlink(entry.path)


async def fetch_archives(
    archives: PackageArchives,
    packages: Sequence[CondaPackage],
    fetch_url: Callable[[str], str],
    fetch: Callable[[Mapping[str, str]], Awaitable[None]],
    progress: Progress,
) -> dict[str, str]:
    """Return the path of the file of each of ``packages`` by sha256. What is not stored is taken from a folder of this
    machine that is its channel, or else fetched by ``fetch``, which gets the paths to write to by sha256."""
    stored = await asyncio.to_thread(archives.find_all, packages)
    found = {package.sha256: stored[package.url] for package in packages if package.url in stored}
    local = [(p, url) for p in packages if p.sha256 not in found and (url := fetch_url(p.url)).startswith("file://")]
    await asyncio.to_thread(check_local_packages, local)
    found |= {package.sha256: url.removeprefix("file://") for package, url in local}
    missing = [package for package in packages if package.sha256 not in found]
    if not missing:
        return found
    progress.start("download", sum(package.size for package in missing))
    paths = {package.sha256: await asyncio.to_thread(archives.stage_path, package) for package in missing}
    try:
        await fetch(paths)
        for package in missing:
            found[package.sha256] = await asyncio.to_thread(_add_checked, archives, package, paths[package.sha256])
    finally:
        await asyncio.to_thread(_delete_all, paths.values())
    progress.finish("download")
    return found


def _add_checked(archives: PackageArchives, package: CondaPackage, path: str) -> str:
    found = file_digest(path, "sha256")
    if found != package.sha256:
        raise PackageDigestMismatchError(
            f"{package.file_name} does not match its sha256: the channel serves a different file",
            hint="Try again; if the error persists, the channel or its mirror is broken.",
            fields={"url": package.url, "expected": package.sha256, "found": found},
        )
    sync_file(path)
    return archives.add(path, package)


def _delete_all(paths: Iterable[str]) -> None:
    for path in paths:
        with suppress(FileNotFoundError):
            os.unlink(path)
