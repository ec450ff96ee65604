"""The stage of an image: the packages of a lock, linked and installed for the path in the image, split by package."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping

import msgspec

from roost.daemon.credentials.substitution import map_masked_urls
from roost.daemon.engines.conda.activation import compute_activation
from roost.daemon.engines.conda.engine import CondaEngine
from roost.daemon.engines.uv.engine import PipEngine
from roost.daemon.jobs.progress import Progress
from roost.daemon.layers.bytecode import Compiler, add_bytecode
from roost.daemon.layers.conda_packages import IMAGE_ROOT, StagedPackages, has_link_script
from roost.daemon.layers.grouping import PREFIX_IN_IMAGE, LayerPackage, find_python
from roost.daemon.layers.tar import LayerEntry
from roost.daemon.layers.wheels import install_wheel
from roost.model.locks.lock import CondaPackage, Lock
from roost.model.records import VariableChange
from roost.store.cancellation import finish_thread_despite_cancel
from roost.store.disk.file_ops import translate_full_disk

_IMAGE_USER = {"HOME": "/root", "USER": "root", "LOGNAME": "root"}
"""The user that activation scripts see: not that of this machine."""


class Stage:
    """Fills ``folder``, which is empty and on the file system of the package cache; the caller deletes it.

    ``fetched`` is ``lock`` with the URLs that are really requested.
    """

    def __init__(
        self,
        folder: str,
        lock: Lock,
        fetched: Lock,
        conda: CondaEngine,
        pip: PipEngine,
        progress: Progress,
        credentials: Mapping[str, str],
    ) -> None:
        self._folder = folder
        self._lock = lock
        self._fetched = fetched
        self._conda = conda
        self._pip = pip
        self._progress = progress
        self._credentials = credentials
        self._prefix = os.path.join(folder, IMAGE_ROOT)
        self._python = find_python(lock)
        self._conda_entries: dict[str, list[LayerEntry]] = {}
        self._wheel_paths: dict[str, str] = {}
        self._packages: dict[str, CondaPackage] = {package.name: package for package in lock.conda}

    def own_compiler(self) -> Compiler | None:
        """Return the lock's own Python in the stage as the compiler, if the lock has one."""
        if self._python is None:
            return None
        minor = ".".join(self._python[0].split(".")[:2])
        return Compiler(executable=os.path.join(self._prefix, "bin", f"python{minor}"), version=self._python[0])

    async def fill(self, missing: Collection[tuple[str, str]]) -> None:
        """Link all conda packages, and fetch the wheels in ``missing`` (pairs of kind and name).

        Conda packages can only be linked together; but only those in ``missing`` are listed.
        """
        credentials = self._credentials
        await self._conda.stage(
            self._fetched.conda,
            self._prefix,
            PREFIX_IN_IMAGE,
            progress=self._progress,
            credentials={**credentials, **map_masked_urls(self._lock, self._fetched)},
        )
        listed = [package for package in self._lock.conda if ("conda", package.name) in missing]
        async with self._conda.hold_cache():
            self._conda_entries = await asyncio.to_thread(self._list_conda_entries, listed)
        wheels = [wheel for wheel in self._fetched.wheels if ("wheel", wheel.name) in missing]
        if wheels:
            self._wheel_paths = await self._pip.fetch_wheel_files(
                wheels, progress=self._progress, credentials=credentials
            )

    def _list_conda_entries(self, packages: list[CondaPackage]) -> dict[str, list[LayerEntry]]:
        site = self._python[1] if self._python else ""
        staged = StagedPackages(self._prefix, self._conda.packages_dir, site)
        return {package.name: staged.entries(package) for package in packages}

    async def entries(self, part: LayerPackage, compiler: Compiler | None) -> list[LayerEntry]:
        """Return the entries of ``part``, which :meth:`fill` was called with, and its byte-code."""
        if part.kind == "conda":
            found = self._conda_entries[part.name]
        else:
            found = await finish_thread_despite_cancel(self._install_wheel, part.name)
        if not part.python or self._python is None:
            return found
        folder = os.path.join(self._folder, f"bytecode-{part.kind}-{part.name}")
        with translate_full_disk(folder):
            return await add_bytecode(found, compiler, folder)

    def _install_wheel(self, name: str) -> list[LayerEntry]:
        (wheel,) = (wheel for wheel in self._lock.wheels if wheel.name == name)
        assert self._python is not None  # the writer refuses a lock with wheels and without a Python
        folder = os.path.join(self._folder, f"wheel-{name}")
        with translate_full_disk(folder):
            return install_wheel(wheel, self._wheel_paths[wheel.sha256], folder, self._python[1])

    def has_script(self, part: LayerPackage) -> bool:
        """Return whether ``part``, whose entries were listed before, has a post-link script."""
        if part.kind == "wheel":
            return False
        return has_link_script(self._packages[part.name], self._conda_entries[part.name])

    async def activation(self) -> tuple[VariableChange, ...]:
        """Return the changes that activation makes, in terms of the path in the image."""
        changes = await compute_activation(self._prefix, _IMAGE_USER)
        return tuple(
            msgspec.structs.replace(change, value=change.value.replace(self._prefix, PREFIX_IN_IMAGE))
            for change in changes
        )
