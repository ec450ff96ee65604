"""From pip lines to locked wheels: one request through uv."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence

import msgspec
from packaging.utils import canonicalize_name, parse_wheel_filename

from roost.daemon.background.code import KnownCode
from roost.daemon.engines.host_python import engine as host_python
from roost.daemon.engines.uv.errors import (
    LockNeedsBuildError,
    PipUnsatisfiableError,
    WheelBuildError,
    WheelDigestMismatchError,
)
from roost.daemon.engines.uv.fetch import Fetcher, RemoteFiles
from roost.daemon.engines.uv.process import UvProcess
from roost.daemon.engines.uv.pylock import Archive, PylockPackage
from roost.daemon.engines.uv.request import PipLock, PipLockRequest, PythonFacts, describe_python
from roost.daemon.engines.uv.requirements import RequirementsTranslator, UvInputs, path_url, select_build_options
from roost.daemon.engines.uv.resolve import Resolver
from roost.daemon.engines.uv.secrets import Secrets
from roost.daemon.engines.uv.sources.build_requirements import (
    BuildContext,
    BuildRequirements,
    list_index_options,
)
from roost.daemon.engines.uv.sources.builds import (
    WheelBuilder,
    build_needed,
    read_static_metadata,
    read_static_project,
    source_changed,
)
from roost.daemon.engines.uv.sources.checked import CheckedSources
from roost.daemon.engines.uv.sources.code import editable_code
from roost.daemon.engines.uv.sources.digests import DigestRules, missing_digest, wrong_digest
from roost.daemon.engines.uv.sources.links import LinkPlaces
from roost.daemon.engines.uv.sources.local import check_exists, check_name, editables_to_sources, require_name
from roost.daemon.engines.uv.translation import url_conflict
from roost.daemon.engines.uv.wheels import StoredWheel, WheelStore
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.target_platforms import local_platform, split_platform
from roost.model.definition import PipItem
from roost.model.locks.lock import SourceKind, Wheel, WheelSource

_DEEPEST_BUILD = 10
"""Builds that need other builds for their requirements, one for the other."""
_PLACEHOLDER_URL = "file:///placeholder-0-py3-none-any.whl"


def flatten_items(items: Sequence[PipItem]) -> Iterator[PipItem]:
    """Yield every line, with those of nested files in place of the files."""
    for item in items:
        if item.kind in ("requirements", "constraints"):
            yield from flatten_items(item.items)
        else:
            yield item


class PipLockSession:
    """Locks one request. ``folder`` is its private temporary folder."""

    def __init__(
        self,
        process: UvProcess,
        store: WheelStore,
        folder: str,
        request: PipLockRequest,
        progress: Progress,
        known_code: KnownCode,
        *,
        depth: int = 0,
    ) -> None:
        self._process = process
        self._store = store
        self._folder = folder
        self._request = request
        self._progress = progress
        self._known_code = known_code
        self._secrets = Secrets(request.credentials)
        self._inputs = UvInputs()
        self._depth = depth
        """How many builds need this lock for their requirements, one for the other."""
        self._editable_names: dict[str | None, str] = {}
        """Folder to the name of its project, as far as it is static."""
        self._links: LinkPlaces | None = None
        self._build_unanswered: dict[str, str] = {}
        """Places of links that did not answer when the requirements of builds were locked."""
        self._items: Sequence[PipItem] = ()
        """All lines, with those of remote files."""
        self._builder: WheelBuilder | None = None
        self._sources: CheckedSources | None = None
        self._build_locks: dict[tuple[str, ...], Sequence[Wheel]] = {}
        self._local_wheels: dict[int, StoredWheel] = {}
        """``id`` of a line that names a local wheel or source to its wheel."""
        self._wheels_by_path: dict[str, StoredWheel] = {}
        """Path in the store to the wheel, for the wheels of local lines."""
        self._local_sources: dict[str, PipItem] = {}
        """Path in the store to the line that names the file or folder."""
        self._editables: dict[str, PipItem] = {}
        """Path in the store of a wheel that replaces an editable install to the folder's line."""

    async def run(self) -> PipLock:
        """Return the locked wheels, by name. Raises the errors of the engine and InvalidDefinitionError."""
        remote = RemoteFiles(self._fetcher())
        items = await remote.expand(self._request.items)
        editable_paths: set[str | None] = set()
        if self._request.editables_as_wheels:
            editable_paths = {item.path for item in flatten_items(items) if item.kind == "editable"}
            items = await asyncio.to_thread(editables_to_sources, items)
        # Translated twice: local sources are built with the credentials and indexes of all lines, and only then are
        # the URLs of their wheels known.
        self._items = items
        self._inputs = self._translate_lines(items, with_placeholders=True)
        self._secrets = self._secrets.with_more(self._inputs.credentials)
        self._links = LinkPlaces(self._fetcher(), self._folder)
        await self._links.examine(self._inputs.find_links)
        self._inputs.find_links = self._links.select(self._inputs.find_links)
        await self._store_local_wheels(items, editable_paths)
        self._inputs = self._translate_lines(items, with_placeholders=False)
        self._inputs.find_links = self._links.select(self._inputs.find_links)
        for name, item in self._inputs.origins.items():
            if name in self._request.provided:
                raise url_conflict(name, self._request.provided[name], item.text)
        build_requirements = BuildRequirements(
            self._lock_build_requirements, self._store, self._folder, self._known_code
        )
        chosen = await self._resolve(build_requirements)
        refused = {canonicalize_name(name) for name in self._inputs.no_binary} & {package.name for package in chosen}
        if refused and not self._request.allow_builds:
            raise self._resolver().build_refused(refused)
        wheels = await self._add_sizes([await self._lock_package(package) for package in chosen])
        self._check_digests(wheels)
        unanswered = {self._secrets.mask(place): fault for place, fault in self._unanswered().items()}
        return PipLock(wheels=sorted(wheels, key=lambda wheel: wheel.name), inputs=remote.inputs, unanswered=unanswered)

    async def _resolve(self, build_requirements: BuildRequirements) -> list[PylockPackage]:
        try:
            return await self._resolver().resolve(self._open_sources(), build_requirements)
        except PipUnsatisfiableError as error:
            if unanswered := self._unanswered():
                places = ", ".join(self._secrets.mask(place) for place in unanswered)
                error.hint = (
                    f"{places} did not answer, which --find-links names: check it, then try again. {error.hint}"
                )
            raise

    def _unanswered(self) -> dict[str, str]:
        return {**self._build_unanswered, **(self._links.unanswered if self._links else {})}

    def _open_sources(self) -> CheckedSources:
        """Return the sources of this request, with the digests that its lines allow."""
        if self._sources is None:
            inputs = self._inputs
            rules = DigestRules(
                by_name=inputs.digests,
                by_url={self._secrets.mask(url): digests for url, digests in inputs.url_digests.items()},
                required=inputs.require_digests,
            )
            self._sources = CheckedSources(
                self._folder, self._store, self._fetcher(), self._secrets, rules, self._open_builder
            )
        return self._sources

    def _fetcher(self) -> Fetcher:
        return Fetcher(self._secrets, self._process.timeout)

    def _resolver(self) -> Resolver:
        return Resolver(self._process, self._folder, self._request, self._inputs, self._secrets, self._progress)

    def _translate_lines(self, items: Sequence[PipItem], *, with_placeholders: bool) -> UvInputs:
        def resolve(item: PipItem) -> str:
            return _PLACEHOLDER_URL if with_placeholders else path_url(self._store.path(self._local_wheels[id(item)]))

        def find_name(item: PipItem) -> str:
            return item.name or self._editable_names.get(item.path, "unnamed")

        return RequirementsTranslator(self._request.variables, resolve, self._secrets.substitute, find_name).add(items)

    # ------------------------------------------------------------------ local wheels, sources and editable folders
    async def _store_local_wheels(self, items: Sequence[PipItem], editable_paths: set[str | None]) -> None:
        """Put wheels given as files into the store and build those of folders; check that editable folders are static.

        uv would build an editable folder without static metadata even if it is told to build nothing.
        """
        for item in flatten_items(items):
            if item.path is None and item.kind != "editable":
                continue
            await asyncio.to_thread(check_exists, item)
            if item.kind == "wheel" and item.path:
                stored = await asyncio.to_thread(self._add_given, item)
                self._check_local_digest(item, f"sha256:{stored.sha256}")
            elif item.kind == "source" and item.path:
                if not self._request.allow_builds:
                    raise build_needed(item, item.text)
                self._check_local_digest(item, None)
                allowed = self._inputs.local_digests.get(id(item), set())
                stored = await (await self._open_builder()).build_local(item, allowed)
            elif item.kind == "editable":
                static = await asyncio.to_thread(read_static_project, item.path or "")
                if not self._request.allow_builds and not static:
                    raise build_needed(item, item.text)
                if not static:
                    await self._known_code.require(await asyncio.to_thread(editable_code, item))
                self._editable_names[item.path] = require_name(item, static.name if static else "")
                continue
            else:
                continue
            check_name(item, stored)
            path = self._store.path(stored)
            self._local_wheels[id(item)] = self._wheels_by_path[path] = stored
            self._local_sources[path] = item
            if item.path in editable_paths:
                self._editables[path] = item

    def _check_local_digest(self, item: PipItem, digest: str | None) -> None:
        """Raise WheelDigestMismatchError if a local file lacks a digest that is required, or has another ``digest``."""
        allowed = self._inputs.local_digests.get(id(item), set())
        if self._inputs.require_digests and not allowed:
            raise missing_digest(item.text, "")
        if allowed and digest is not None and digest not in allowed:
            raise wrong_digest(item.text, allowed, digest)

    def _add_given(self, item: PipItem) -> StoredWheel:
        stored = self._store.add(item.path or "", built=False)
        if item.digest is not None and item.digest != f"sha256:{stored.sha256}":
            raise source_changed(item)
        return stored

    async def _open_builder(self) -> WheelBuilder:
        """Return the builder of this request; conda's Python is replaced by one of this machine with the same minor."""
        if self._builder is None:
            python = await self._find_build_python()
            minor = ".".join(python.version.split(".")[:2])
            self._builder = WheelBuilder(
                self._process,
                self._store,
                self._secrets,
                self._lock_build_requirements,
                self._known_code,
                interpreter=python.executable or "",
                target=f"{minor} {split_platform(self._request.platform)[0]}",
                index_options=list_index_options(self._inputs, self._request.index),
                progress=self._progress,
            )
        return self._builder

    async def prepare_build(self) -> BuildContext:
        """Return with what a project is built that is no line of this request: by its options, which are resolved."""
        self._items = select_build_options(flatten_items(self._request.items))
        self._inputs = self._translate_lines(self._items, with_placeholders=True)
        self._secrets = self._secrets.with_more(self._inputs.credentials)
        self._links = LinkPlaces(self._fetcher(), self._folder)
        await self._links.examine(self._inputs.find_links)
        self._inputs.find_links = self._links.select(self._inputs.find_links)
        options = [*list_index_options(self._inputs, self._request.index), *self._inputs.options()]
        return BuildContext(self._lock_build_requirements, options, self._secrets)

    async def _find_build_python(self) -> PythonFacts:
        """Return the Python that runs builds: one of this machine, of the request's minor version."""
        if self._request.python.executable:
            return self._request.python
        minor = ".".join(self._request.python.version.split(".")[:2])
        return describe_python(await host_python.find_interpreter(f"=={minor}.*"))

    async def _lock_build_requirements(self, lines: Sequence[str]) -> Sequence[Wheel]:
        """Return the wheels of what a build needs, from the indexes of this request, sources checked and built.

        Raises WheelBuildError if builds need each other without end, and the errors of locking.
        """
        key = tuple(sorted(lines))
        if key not in self._build_locks:
            if self._depth >= _DEEPEST_BUILD:
                raise WheelBuildError(
                    f"Building {', '.join(lines)} needs {_DEEPEST_BUILD} other builds first, one for the other",
                    hint="Choose versions that have wheels.",
                )
            options = select_build_options(flatten_items(self._items))
            requirements = [PipItem(kind="url" if " @ " in line else "requirement", text=line) for line in lines]
            request = msgspec.structs.replace(
                self._request,
                items=[*options, *requirements],
                python=await self._find_build_python(),
                platform=split_platform(local_platform({}))[0],
                provided={},
                preferences={},
                allow_builds=True,
                editables_as_wheels=False,
            )
            folder = os.path.join(self._folder, f"build-{len(self._build_locks)}")
            await asyncio.to_thread(os.makedirs, folder, exist_ok=True)
            session = PipLockSession(
                self._process,
                self._store,
                folder,
                request,
                self._progress,
                self._known_code,
                depth=self._depth + 1,
            )
            locked = await session.run()
            self._build_locks[key] = locked.wheels
            self._build_unanswered.update(locked.unanswered)
        return self._build_locks[key]

    # ------------------------------------------------------------------ from uv's choice to locked wheels
    async def _lock_package(self, package: PylockPackage) -> Wheel:
        if package.editable:
            return await asyncio.to_thread(self._lock_editable, package)
        if package.wheel is not None:
            return await self._lock_archive(package, package.wheel, is_url=False)
        if package.direct is not None and package.direct.path in self._wheels_by_path:
            return await asyncio.to_thread(self._lock_local, package.name, package.direct.path)
        if package.direct is not None and package.direct.file_name.endswith(".whl"):
            return await self._lock_archive(package, package.direct, is_url=True)
        return await self._lock_built(package)

    def _lock_editable(self, package: PylockPackage) -> Wheel:
        project = read_static_metadata(package.folder or "")
        lines = (i for i in flatten_items(self._request.items) if i.kind == "editable" and i.path == package.folder)
        item = next(lines, None)
        digest = (item.digest or "") if item else ""
        return Wheel(
            name=package.name,
            version=package.version or (project.version if project is not None else "0"),
            kind="editable",
            path=package.folder,
            sha256=digest.removeprefix("sha256:"),
        )

    async def _lock_archive(self, package: PylockPackage, archive: Archive, *, is_url: bool) -> Wheel:
        """Lock a wheel of an index, of a folder of links, or behind a URL; its sha256 is computed if it is unknown."""
        if archive.path is not None:
            stored = await asyncio.to_thread(self._store.add, archive.path, built=False)
            return _to_wheel(package.name, stored, None)
        url = self._secrets.mask(archive.url or "")
        sha256 = archive.sha256 or await self._fetcher().fetch_file(url, os.path.join(self._folder, "measured"), "")
        return Wheel(
            name=package.name,
            version=package.version,
            kind="url" if is_url else "index",
            file_name=archive.file_name,
            url=url,
            sha256=sha256,
            size=archive.size,
        )

    def _lock_local(self, name: str, path: str) -> Wheel:
        """Lock a wheel that was given as a file or built from a local source. Blocks."""
        stored, line = self._wheels_by_path[path], self._editables.get(path)
        wheel = _to_wheel(name, stored, line.digest if line else None)
        wheel = msgspec.structs.replace(wheel, folder=line.path) if line else wheel
        if not stored.built:
            return wheel
        source = _describe_local(self._local_sources[path], stored)
        return self._check_platform(msgspec.structs.replace(wheel, source=source))

    async def _lock_built(self, package: PylockPackage) -> Wheel:
        if not self._request.allow_builds:
            raise self._resolver().build_refused({package.name})
        if package.git is None and package.direct is None and package.sdist is None:
            raise self._resolver().build_refused({package.name})
        stored, origin = await self._open_sources().build(package)
        source = self._open_sources().describe(package, stored, origin)
        wheel = _to_wheel(package.name, stored, origin)
        return self._check_platform(msgspec.structs.replace(wheel, source=source))

    def _check_platform(self, wheel: Wheel) -> Wheel:
        """Raise LockNeedsBuildError if ``wheel``, built here, has compiled parts and another platform is locked."""
        subdir, local = split_platform(self._request.platform)[0], split_platform(local_platform({}))[0]
        if subdir != local and not wheel.file_name.endswith("-any.whl"):
            raise LockNeedsBuildError(
                f"{wheel.name} {wheel.version} has no wheel for {subdir}, and one built here is for {local}",
                hint=f"Choose a version with a wheel, or build on a {subdir} machine.",
                fields={"package": wheel.name},
            )
        return wheel

    async def _add_sizes(self, wheels: list[Wheel]) -> list[Wheel]:
        """Ask the servers for sizes that the indexes do not state: image layers and progress depend on them."""
        unknown = [wheel.url for wheel in wheels if wheel.url is not None and not wheel.size]
        sizes = await self._fetcher().fetch_sizes(unknown)
        return [msgspec.structs.replace(w, size=w.size or sizes.get(w.url or "", 0)) for w in wheels]

    def _check_digests(self, wheels: list[Wheel]) -> None:
        """Raise WheelDigestMismatchError if a wheel has none of the digests that its line allows."""
        by_url = {self._secrets.mask(url): digests for url, digests in self._inputs.url_digests.items()}
        allowed = self._inputs.digests | {w.name: by_url[w.url] for w in wheels if w.url in by_url}
        for wheel in wheels:
            if wheel.kind in ("built", "local") and wheel.origin is None:
                continue  # a local file was compared with its digests before it was used
            digest = wheel.origin if wheel.kind == "built" else f"sha256:{wheel.sha256}"
            if wheel.name in allowed and digest not in allowed[wheel.name] and wheel.kind != "editable":
                raise WheelDigestMismatchError(
                    f"{wheel.file_name or wheel.name} has {digest}, which is not one of the digests that its line "
                    "allows",
                    hint="Use the index's digest if you trust it, or request the intended version.",
                    fields={"package": wheel.name, "found": digest, "expected": sorted(allowed[wheel.name])},
                )
            if self._inputs.require_digests and wheel.name not in allowed:
                raise WheelDigestMismatchError(
                    f"{wheel.name} {wheel.version} has no digest in the requirements, and --require-hashes is set",
                    hint=f"Add {wheel.name}=={wheel.version} --hash={digest}.",
                )


def _describe_local(item: PipItem, stored: StoredWheel) -> WheelSource | None:
    """Return the source of a wheel that was built from a local file or folder; ``None`` if its content is unknown.
    Blocks."""
    if item.digest is None:
        return None
    kind: SourceKind = "folder" if os.path.isdir(item.path or "") else "sdist"
    return WheelSource(kind=kind, sha256=item.digest.removeprefix("sha256:"), requires=stored.requires)


def _to_wheel(name: str, stored: StoredWheel, origin: str | None) -> Wheel:
    _, version, _, _ = parse_wheel_filename(stored.file_name)
    return Wheel(
        name=name,
        version=str(version),
        kind="built" if stored.built else "local",
        file_name=stored.file_name,
        sha256=stored.sha256,
        size=stored.size,
        origin=origin,
    )
