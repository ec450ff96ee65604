"""The sources of one resolution: each is fetched once, compared with all its digests, and only then read or built."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Sequence, Set

import msgspec

from roost.daemon.engines.uv.errors import WheelBuildError
from roost.daemon.engines.uv.fetch import Fetcher
from roost.daemon.engines.uv.pylock import Archive, PylockPackage, without_credentials
from roost.daemon.engines.uv.secrets import Secrets
from roost.daemon.engines.uv.sources.archives import read_static_sdist, read_wheel_metadata, require_digests
from roost.daemon.engines.uv.sources.builds import WheelBuilder
from roost.daemon.engines.uv.sources.digests import DigestRules
from roost.daemon.engines.uv.sources.metadata import SourceMetadata
from roost.daemon.engines.uv.wheels import StoredWheel, WheelStore
from roost.model.locks.lock import WheelSource


class CheckedArchive(msgspec.Struct, frozen=True, kw_only=True):
    """A file in the folder of the resolution, which has all digests that are known of it."""

    path: str
    sha256: str


class CheckedSources:
    """Sources of one resolution. ``folder`` is private to it, ``rules`` are the digests that its lines allow.

    Methods raise WheelDigestMismatchError before any code of a source with a wrong digest has run, and the errors of
    fetching and building.
    """

    def __init__(
        self,
        folder: str,
        store: WheelStore,
        fetcher: Fetcher,
        secrets: Secrets,
        rules: DigestRules,
        open_builder: Callable[[], Awaitable[WheelBuilder]],
    ) -> None:
        self._folder = os.path.join(folder, "sources")
        self._store = store
        self._fetcher = fetcher
        self._secrets = secrets
        self._rules = rules
        self._open_builder = open_builder
        self._paths: dict[str, str] = {}

    async def read_metadata(self, package: PylockPackage) -> SourceMetadata:
        """Return the metadata of a source; it is built if only a build can tell."""
        archive = self._find_archive(package)
        expected = self._rules.find_expected(package, archive)
        if archive is not None and not archive.subdirectory:
            checked = await self._check_archive(archive, expected)
            if static := await asyncio.to_thread(read_static_sdist, checked.path):
                return static
        stored, _ = await self.build(package)
        return await asyncio.to_thread(read_wheel_metadata, self._store.path(stored))

    async def build(self, package: PylockPackage) -> tuple[StoredWheel, str]:
        """Return the wheel of a source, and what it was built from: ``sha256:…`` of the sdist, or the commit. The error
        of a build names the package."""
        try:
            return await self._build(package)
        except WheelBuildError as error:
            error.fields.setdefault("package", package.name)
            raise

    async def _build(self, package: PylockPackage) -> tuple[StoredWheel, str]:
        archive = self._find_archive(package)
        expected = self._rules.find_expected(package, archive)
        if archive is not None:
            checked = await self._check_archive(archive, expected)
            builder = await self._open_builder()
            stored = await builder.build_sdist(checked.path, checked.sha256, archive.subdirectory)
            return stored, f"sha256:{checked.sha256}"
        assert package.git is not None
        builder = await self._open_builder()
        repository, revision, subdirectory = package.git
        repository = repository.removeprefix("git+")
        commit = await builder.find_commit(repository, revision)
        stored = await builder.build_commit(repository, commit, subdirectory)
        return stored, f"git+{repository}@{commit}"

    def describe(self, package: PylockPackage, stored: StoredWheel, origin: str) -> WheelSource:
        """Return the source of ``stored`` for its lock. ``origin`` is what ``build`` returned with it."""
        archive = self._find_archive(package)
        if archive is not None:
            return WheelSource(
                kind="sdist",
                url=archive.url,
                sha256=origin.removeprefix("sha256:"),
                subdirectory=archive.subdirectory or "",
                requires=stored.requires,
            )
        assert package.git is not None
        repository, _, commit = origin.removeprefix("git+").rpartition("@")
        subdirectory = package.git[2] or ""
        return WheelSource(
            kind="git", url=repository, commit=commit, subdirectory=subdirectory, requires=stored.requires
        )

    async def _check_archive(self, archive: Archive, expected: Sequence[Set[str]]) -> CheckedArchive:
        """Return the file of ``archive`` in the folder, fetched if this is the first request for it."""
        key = archive.url or archive.path or ""
        if key not in self._paths:
            path = os.path.join(self._folder, str(len(self._paths)), archive.file_name)
            await asyncio.to_thread(os.makedirs, os.path.dirname(path), exist_ok=True)
            if archive.url:
                await self._fetcher.fetch_file(archive.url, path, "")
            else:
                await asyncio.to_thread(shutil.copyfile, key, path)
            self._paths[key] = path
        path = self._paths[key]
        return CheckedArchive(path=path, sha256=await asyncio.to_thread(require_digests, path, expected))

    def _find_archive(self, package: PylockPackage) -> Archive | None:
        """Return the file of a source, with its URL as it may be stored; ``None`` if it is a commit."""
        archive = package.direct or package.sdist
        if archive is None or not archive.url:
            return archive
        return msgspec.structs.replace(archive, url=self._secrets.mask(without_credentials(archive.url)))
