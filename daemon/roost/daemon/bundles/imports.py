"""Import: everything that is in a bundle into the caches, and its locks into the index.

Nothing is used before all of it was compared with the manifest and checked (``trust``). Files come from ``stage/`` into
the caches by the renames with which downloads get there, each complete; the index comes last, in one transaction. An
import that ends anywhere leaves files that the caches may have anyway, and nothing else. No connection is made.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import msgspec

from roost.daemon.builds.builds import Builds
from roost.daemon.builds.job import BuildJob
from roost.daemon.bundles.contents import decode_contents
from roost.daemon.bundles.errors import BundleOutputError
from roost.daemon.bundles.exports import view_environment
from roost.daemon.bundles.format import CONDA_TYPE, CONTENTS_LIMIT, TITLE, BundleIndex, blob_name, damaged
from roost.daemon.bundles.pythons import provide_python
from roost.daemon.bundles.session import run_stoppable
from roost.daemon.bundles.tar_reader import BundleFile
from roost.daemon.bundles.trust import TrustedEnvironment, check_environment
from roost.daemon.decision.facts import Request
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.engine import choose_for_lock
from roost.daemon.engines.host_python.errors import NoInterpreterError
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.holds import EVERYTHING
from roost.daemon.jobs.reporter import BuildProgress
from roost.daemon.launch.folder import LaunchFolder, invalidate_launch_plans
from roost.daemon.planning.planner import Planner
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.daemon.workspace.versions import make_new_version
from roost.model.errors import CodedError, StoreFullError
from roost.model.locks.lock import Lock
from roost.model.names import derive_name, is_reserved
from roost.model.records import BaseRecord, Generation, NewGeneration, NewVersion, RegistrationResult
from roost.store.disk.file_ops import remove_tree, sync_filesystem, translate_full_disk
from roost.store.disk.regular_files import read_regular
from roost.store.failpoints import failpoint
from roost.store.store import Store
from roost.wire.builds import Message
from roost.wire.bundles import BundledView, BundleImportRequest, BundleResult
from roost.wire.plans import EnvironmentSelector
from roost.wire.protocol import WarningView

_Recorded = tuple[RegistrationResult, Generation]
"""What became of an environment in the index: its version, and the generation that has its lock."""


class BundleImporter:
    """Reads bundles."""

    def __init__(
        self,
        store: Store,
        engines: Engines,
        resolver: EnvironmentResolver,
        planner: Planner,
        builds: Builds,
        events: Events,
        launches: LaunchFolder,
        on_cached: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_cached`` is called when files have come into the caches."""
        self._store = store
        self._engines = engines
        self._resolver = resolver
        self._layers = planner.bases.loader.layers
        self._builds = builds
        self._events = events
        self._launches = launches
        self._on_cached = on_cached

    async def import_bundle(self, request: BundleImportRequest, publish: Callable[[Message], None]) -> BundleResult:
        """Use a bundle. Raises BundleInvalidError and the other errors of bundles, and StoreFullError."""
        if not os.path.isabs(request.path):
            raise BundleOutputError(f"{request.path[:200]!r} is not an absolute path", hint="Send the client's own.")
        progress = BuildProgress(publish)
        file = await asyncio.to_thread(BundleFile, request.path, request.expect)
        stage = os.path.join(self._store.layout.stage, f"bundle-{secrets.token_hex(6)}")
        async with AsyncExitStack() as stack:
            # While they wait for their row in the index, no collection may take the files away again.
            await stack.enter_async_context(self._engines.holds.hold([EVERYTHING]))
            try:
                await self._unpack(file, stage, progress)
                trusted = await self._check(file.index, stage)
                progress.start("publish")
                await self._publish_files(file.index, trusted, stage)
                recorded = await self._record(file.index, trusted, request.path)
            finally:
                file.close()
                self._on_cached()
                await asyncio.shield(asyncio.to_thread(remove_tree, stage))
        progress.finish("publish")
        warnings = await self._provide_pythons(trusted, recorded)
        return BundleResult(
            digest=file.index.digest,
            path=request.path,
            bytes=file.index.size,
            files=len(file.index.files),
            environments=[_view(each, row) for each, row in zip(trusted, recorded, strict=True)],
            warnings=warnings,
        )

    # ---------------------------------------------------------------- reading
    async def _unpack(self, file: BundleFile, stage: str, progress: BuildProgress) -> None:
        index = file.index
        archives = (await self._engines.conda()).archives
        present = await asyncio.to_thread(
            lambda: {
                blob.digest
                for blob in index.files
                if blob.media_type == CONDA_TYPE
                and archives.contains(blob.digest.removeprefix("sha256:"), blob.annotations.get(TITLE, ""), blob.size)
            }
        )
        needed = sum(blob.size for blob in index.blobs if blob.digest not in present)
        await asyncio.to_thread(_check_space, self._store.layout.root, needed)
        progress.start("unpack", index.content_size)

        def report(done: int) -> None:
            progress.advance("unpack", done, index.content_size)

        def unpack(stop: threading.Event) -> None:
            with translate_full_disk(self._store.layout.root):
                os.makedirs(stage, mode=0o700)
                file.unpack(stage, present, report, stop)
                sync_filesystem(stage)
            failpoint("bundle.staged")

        await run_stoppable(unpack)
        progress.finish("unpack")

    async def _check(self, index: BundleIndex, stage: str) -> list[TrustedEnvironment]:
        name = blob_name(index.contents.digest)
        path = os.path.join(stage, _hex(index.contents.digest))
        data = await asyncio.to_thread(read_regular, path, CONTENTS_LIMIT)
        contents = await asyncio.to_thread(decode_contents, data, name)
        if not contents.environments:
            raise damaged(name, "it has no environment")
        files = {blob.digest: blob for blob in index.files}
        # A Python that comes along fits nothing before it is here: it is judged like every other environment.
        snapshots = self._store.layout.snapshots
        return [await check_environment(self._engines, each, files, snapshots) for each in contents.environments]

    # ---------------------------------------------------------------- using
    async def _publish_files(self, index: BundleIndex, trusted: Sequence[TrustedEnvironment], stage: str) -> None:
        """Move the files of all environments to where downloads are. Those that are there already stay."""
        conda, pip = await self._engines.conda(), await self._engines.pip()
        packages = {package.sha256: package for each in trusted for package in each.bundled.lock.conda}
        wheels = {(wheel.sha256, wheel.kind): wheel for each in trusted for wheel in each.bundled.lock.wheels}
        layers = {layer.digest: layer for each in trusted if each.bundled.base for layer in each.bundled.base.layers}
        for sha256, package in packages.items():
            staged = os.path.join(stage, sha256)
            if await asyncio.to_thread(os.path.exists, staged):
                await asyncio.to_thread(conda.archives.add, staged, package)
        for (sha256, _), wheel in wheels.items():
            await pip.add_wheel_file(os.path.join(stage, sha256), wheel)
        for digest, layer in layers.items():
            if digest is not None:
                await self._layers.adopt_blob(os.path.join(stage, _hex(digest)), layer)
        failpoint("bundle.published")

    async def _record(self, index: BundleIndex, trusted: Sequence[TrustedEnvironment], path: str) -> list[_Recorded]:
        versions = [_new_version(each, index.digest, path) for each in trusted]
        async with invalidate_launch_plans(self._launches):
            recorded = await self._store.index.record_bundle(versions)
        failpoint("bundle.recorded")
        await self._events.append(
            "bundle-imported",
            digest=index.digest,
            path=path,
            environments=[f"{row.version.name}:{row.version.version}" for row, _ in recorded],
        )
        return recorded

    async def _provide_pythons(
        self, trusted: Sequence[TrustedEnvironment], recorded: Sequence[_Recorded]
    ) -> list[WarningView]:
        """Build the Pythons that came along if one is needed; return what is missing all the same."""
        needing = [each for each in trusted if each.missing_python is not None]
        warnings: list[WarningView] = []
        if needing:
            for each, row in zip(trusted, recorded, strict=True):
                if each.bundled.is_python:
                    warnings += await self._build_python(row)
        for each in needing:
            reason = await asyncio.to_thread(_find_missing_python, each.bundled.lock)
            if reason is not None:
                text = f"{each.bundled.name} can't be built here yet: {reason}"
                warnings.append(WarningView(code="python-needed", message=text))
        return warnings

    async def _build_python(self, row: _Recorded) -> list[WarningView]:
        version = row[0].version
        selector = EnvironmentSelector(cwd="/", environment=f"{version.name}:{version.version}")
        try:
            resolved = await self._resolver.resolve(selector)
            request = Request(definition=resolved.definition, target="local")
            job = BuildJob(resolved=resolved.for_prefix(), request=request, selector=selector)
            built = await self._builds.wait(job)
            # By its lock: if the prefix is altered and built again, the new one is pinned, and linked, too.
            await self._store.index.pins.add(built.lock_digest or "")
            await provide_python(self._engines, built.artifacts[0].path or "", version.name)
        except CodedError as error:
            return [WarningView(code=error.code, message=f"{version.name} could not be built: {error.message}")]
        return []


def _new_version(
    each: TrustedEnvironment, digest: str, path: str
) -> tuple[NewVersion, NewGeneration, Lock, BaseRecord | None]:
    bundled = each.bundled
    name = derive_name(bundled.name) if is_reserved(bundled.name) else bundled.name
    new = make_new_version(each.targeted, name, by_hand=bundled.version is not None, origin=path)
    generation = NewGeneration(
        definition_digest=bundled.definition_digest,
        platform=bundled.scope,
        base_digest=bundled.base_digest,
        steps_digest=bundled.steps_digest,
    )
    return (
        msgspec.structs.replace(new, number=bundled.version if name == bundled.name else None),
        generation,
        msgspec.structs.replace(bundled.lock, bundle=digest, unanswered={}),
        bundled.base,
    )


def _view(each: TrustedEnvironment, row: _Recorded) -> BundledView:
    (registered, generation), view = row, view_environment(each.bundled)
    return msgspec.structs.replace(
        view,
        name=registered.version.name,
        version=registered.version.version,
        generation=generation.number,
        current=generation.current,
    )


def _find_missing_python(lock: Lock) -> str | None:
    try:
        choose_for_lock(lock)
    except NoInterpreterError as error:
        return error.message
    return None


def _check_space(root: str, needed: int) -> None:
    free = os.statvfs(root)
    available = free.f_bavail * free.f_frsize
    if available < needed:
        raise StoreFullError(
            f"The bundle needs {needed:,} bytes, and the disk of {root} has {available:,} left",
            hint="Free some space there, or set ROOST_HOME to a folder on a larger disk.",
            fields={"path": root, "bytes": needed},
        )


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
