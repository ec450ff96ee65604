"""From pip lines to locked wheels: one request's way through uv."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence

import msgspec
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from roost.daemon.engines.host_python import engine
from roost.daemon.engines.uv.builds import Builder, changed_meanwhile, needs_build, static_project
from roost.daemon.engines.uv.choose import Choice, ResolutionRequest
from roost.daemon.engines.uv.errors import LockNeedsBuildError, WheelDigestMismatchError, url_conflict
from roost.daemon.engines.uv.fetch import Fetcher, RemoteFiles
from roost.daemon.engines.uv.process import Process, Secrets
from roost.daemon.engines.uv.pylock import Archive, PylockPackage
from roost.daemon.engines.uv.requirements import Translated, Translator, folder_url
from roost.daemon.engines.uv.wheels import StoredWheel, WheelStore
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.target_platforms import local_platform, split_platform
from roost.model.definition import PipItem
from roost.model.errors import BuildError
from roost.model.locks.lock import RemoteInput, Wheel
from roost.model.readers.source import MissingFileError
from roost.store.sources.files import LocalFiles


class PipLock(msgspec.Struct, frozen=True, kw_only=True):
    """What ``lock`` found. ``inputs`` are the remote files that were read for it."""

    wheels: list[Wheel]
    inputs: list[RemoteInput] = []


class EditableGoneError(BuildError):
    """The folder of an editable install is not there any more."""

    code = "editable-gone"


def _check_there(item: PipItem) -> None:
    """Blocks. Raises EditableGoneError, MissingFileError."""
    if item.path is None or item.kind not in ("wheel", "source", "editable") or os.path.exists(item.path):
        return
    if item.kind == "editable":
        raise EditableGoneError(
            f"{item.path} is gone, and its editable install is tied to that folder: nothing of it is kept",
            hint="Put the folder back where it was, or install from it without -e: that keeps its content.",
            location=item.location,
            fields={"path": item.path},
        )
    raise MissingFileError(
        f"{item.path} is gone", hint="Put it back where it was.", location=item.location, fields={"path": item.path}
    )


def flat(items: Sequence[PipItem]) -> Iterator[PipItem]:
    """Every line, those of nested files in their place."""
    for item in items:
        if item.kind in ("requirements", "constraints"):
            yield from flat(item.items)
        else:
            yield item


def _with_sources(items: Sequence[PipItem]) -> list[PipItem]:
    """Editable folders as folders whose content counts, as it is now. Blocks. Raises InvalidDefinitionError."""
    return [_with_source(item) for item in items]


def _with_source(item: PipItem) -> PipItem:
    if item.kind in ("requirements", "constraints"):
        return msgspec.structs.replace(item, items=tuple(_with_sources(item.items)))
    if item.kind != "editable" or item.path is None:
        return item
    try:
        digest = LocalFiles().tree_digest(item.path)
    except OSError as error:
        raise MissingFileError(
            f"{item.path} can't be read: {error.strerror or error}",
            hint="An image gets a wheel of the folder's content: put the folder there.",
            location=item.location,
        ) from error
    return msgspec.structs.replace(item, kind="source", digest=digest)


class Locking:
    """One request. ``folder`` is its private temporary folder."""

    def __init__(
        self, process: Process, store: WheelStore, folder: str, request: ResolutionRequest, progress: Progress
    ) -> None:
        self._process = process
        self._store = store
        self._folder = folder
        self._request = request
        self._progress = progress
        self._secrets = Secrets(request.credentials)
        self._kept: dict[int, StoredWheel] = {}
        self._places: dict[str, StoredWheel] = {}
        self._frozen: set[str | None] = set()
        self._folders: dict[str, PipItem] = {}
        """Place of a wheel that was built in place of an editable install to the folder's line."""
        self._translated = Translated()
        self._building: Builder | None = None

    async def run(self) -> PipLock:
        """The locked wheels. Raises the errors of ``uv_errors`` and InvalidDefinitionError."""
        remote = RemoteFiles(Fetcher(self._secrets, self._request.timeout))
        items = await remote.expand(self._request.items)
        if self._request.editables_as_wheels:
            self._frozen = {item.path for item in flat(items) if item.kind == "editable"}
            items = await asyncio.to_thread(_with_sources, items)
        self._translated = self._translate(items, placeholder=True)
        self._secrets = self._secrets.with_more(self._translated.credentials)
        await self._resolve_local(items)
        self._translated = self._translate(items, placeholder=False)
        self._refuse_overlaps()
        wheels = await self._sized(await self._wheels(await self._choice().run()))
        self._check_digests(wheels)
        return PipLock(wheels=sorted(wheels, key=lambda wheel: wheel.name), inputs=remote.inputs)

    def _translate(self, items: Sequence[PipItem], *, placeholder: bool) -> Translated:
        def resolve(item: PipItem) -> str:
            return "file:///placeholder-0-py3-none-any.whl" if placeholder else self._url(item)

        return Translator(self._request.variables, resolve, self._secrets.reveal).add(items)

    def _choice(self) -> Choice:
        return Choice(self._process, self._folder, self._request, self._translated, self._secrets, self._progress)

    def _url(self, item: PipItem) -> str:
        return folder_url(self._store.path(self._kept[id(item)]))

    async def _resolve_local(self, items: Sequence[PipItem]) -> None:
        """Wheels given as files go into the store, folders become wheels; an editable folder must speak for itself."""
        for item in flat(items):
            await asyncio.to_thread(_check_there, item)
            if item.kind == "wheel" and item.path:
                self._keep(item, await asyncio.to_thread(self._given, item))
            elif item.kind == "source" and item.path:
                self._keep(item, await self._built_local(item))
            elif item.kind == "editable" and not await self._speaks_for_itself(item):
                raise needs_build(item, item.text)

    async def _speaks_for_itself(self, item: PipItem) -> bool:
        """uv builds an editable folder without static metadata even where it is told to build nothing."""
        return self._request.allow_builds or await asyncio.to_thread(static_project, item.path or "") is not None

    def _keep(self, item: PipItem, kept: StoredWheel) -> None:
        self._kept[id(item)] = kept
        self._places[self._store.path(kept)] = kept
        if item.path in self._frozen:
            self._folders[self._store.path(kept)] = item

    def _given(self, item: PipItem) -> StoredWheel:
        kept = self._store.keep(item.path or "", built=False)
        if item.digest is not None and item.digest != f"sha256:{kept.sha256}":
            raise changed_meanwhile(item)
        return kept

    async def _built_local(self, item: PipItem) -> StoredWheel:
        if not self._request.allow_builds:
            raise needs_build(item, item.text)
        return await (await self._builder()).local(item)

    def _refuse_overlaps(self) -> None:
        for name, item in self._translated.origins.items():
            if name in self._request.provided:
                raise url_conflict(name, self._request.provided[name], item.text)

    async def _wheels(self, chosen: list[PylockPackage]) -> list[Wheel]:
        refused = {canonicalize_name(name) for name in self._translated.no_binary} & {one.name for one in chosen}
        if refused and not self._request.allow_builds:
            raise self._choice().build_refused(refused)
        return [await self._wheel(one) for one in chosen]

    async def _sized(self, wheels: list[Wheel]) -> list[Wheel]:
        """Many an index tells no sizes; the layers of images are arranged by them, and downloads announced."""
        unknown = [wheel.url for wheel in wheels if wheel.url is not None and not wheel.size]
        found = await Fetcher(self._secrets, self._request.timeout).sizes(unknown)
        return [msgspec.structs.replace(w, size=w.size or found.get(w.url or "", 0)) for w in wheels]

    async def _wheel(self, one: PylockPackage) -> Wheel:
        if one.editable:
            return await asyncio.to_thread(self._editable, one)
        if one.wheel is not None:
            return await self._found(one, one.wheel, "index")
        if one.direct is not None and one.direct.path in self._places:
            return self._local(one.name, one.direct.path)
        if one.direct is not None and one.direct.file_name.endswith(".whl"):
            return await self._found(one, one.direct, "url")
        return await self._build(one)

    def _local(self, name: str, place: str) -> Wheel:
        """A given wheel, or one of a folder."""
        kept, line = self._places[place], self._folders.get(place)
        wheel = _kept_wheel(name, kept, line.digest if line else None)
        wheel = msgspec.structs.replace(wheel, folder=line.path) if line else wheel
        return self._fits(wheel) if kept.built else wheel

    async def _found(self, one: PylockPackage, archive: Archive, kind: str) -> Wheel:
        """A wheel of an index (or a folder of links) or behind a URL, with its sha256 even where nobody told it."""
        if archive.path is not None:
            kept = await asyncio.to_thread(self._store.keep, archive.path, built=False)
            return _kept_wheel(one.name, kept, None)
        url = self._secrets.conceal(archive.url or "")
        archive = msgspec.structs.replace(archive, sha256=archive.sha256 or await self._measure(url))
        return Wheel(
            name=one.name,
            version=one.version,
            kind="url" if kind == "url" else "index",
            file_name=archive.file_name,
            url=url,
            sha256=archive.sha256,
            size=archive.size,
        )

    async def _measure(self, url: str) -> str:
        fetcher = Fetcher(self._secrets, self._request.timeout)
        return await fetcher.file(url, os.path.join(self._folder, "measured"), "")

    def _editable(self, one: PylockPackage) -> Wheel:
        project = static_project(one.folder or "") or {}
        item = next((i for i in flat(self._request.items) if i.kind == "editable" and i.path == one.folder), None)
        digest = (item.digest or "") if item else ""
        return Wheel(
            name=one.name,
            version=one.version or str(Version(project["version"]) if "version" in project else "0"),
            kind="editable",
            path=one.folder,
            sha256=digest.removeprefix("sha256:"),
        )

    async def _build(self, one: PylockPackage) -> Wheel:
        if not self._request.allow_builds:
            raise self._choice().build_refused({one.name})
        builder = await self._builder()
        if one.git is not None:
            kept = await builder.git(*one.git)
            origin = f"git+{one.git[0].removeprefix('git+')}@{one.git[1]}"
            return self._fits(_kept_wheel(one.name, kept, origin))
        archive = one.direct or one.sdist
        if archive is None:
            raise self._choice().build_refused({one.name})
        kept, origin = await builder.sdist(archive)
        return self._fits(_kept_wheel(one.name, kept, origin))

    def _fits(self, wheel: Wheel) -> Wheel:
        """A wheel with compiled parts, built here, is for no other platform."""
        subdir, local = split_platform(self._request.platform)[0], split_platform(local_platform({}))[0]
        if subdir != local and not wheel.file_name.endswith("-any.whl"):
            raise LockNeedsBuildError(
                f"{wheel.name} {wheel.version} has no wheel for {subdir}, and one built here is for {local}",
                hint=f"Choose a version with a wheel, or build on a machine that is {subdir}.",
                fields={"package": wheel.name},
            )
        return wheel

    async def _builder(self) -> Builder:
        if self._building is None:
            python = self._request.python
            minor = ".".join(python.version.split(".")[:2])
            found = python.executable or (await engine.find_interpreter(f"=={minor}.*")).executable
            self._building = Builder(
                self._process,
                self._store,
                self._secrets,
                Fetcher(self._secrets, self._request.timeout),
                interpreter=found,
                target=f"{minor} {split_platform(self._request.platform)[0]}",
                index=self._index_arguments,
                progress=self._progress,
            )
        return self._building

    def _index_arguments(self) -> list[str]:
        """Where a build's own requirements come from; credentials are in the netrc file."""
        out = self._translated
        index = out.index_url or self._request.index_url
        arguments = ["--default-index", index] if index else []
        arguments += [part for url in out.extra_index_urls for part in ("--index", url)]
        arguments += [part for place in out.find_links for part in ("--find-links", place)]
        return arguments + (["--no-index"] if out.no_index else []) + ["--index-strategy", "unsafe-best-match"]

    def _check_digests(self, wheels: list[Wheel]) -> None:
        allowed = self._translated.digests
        for wheel in wheels:
            digest = wheel.origin if wheel.kind == "built" else f"sha256:{wheel.sha256}"
            if wheel.name in allowed and digest not in allowed[wheel.name] and wheel.kind != "editable":
                raise WheelDigestMismatchError(
                    f"{wheel.file_name or wheel.name} has {digest}, which is none of the digests that its line allows",
                    hint="Take over the index's digest if you trust it, or ask for the version that was meant.",
                    fields={"package": wheel.name, "found": digest, "expected": sorted(allowed[wheel.name])},
                )
            if self._translated.require_digests and wheel.name not in allowed:
                raise WheelDigestMismatchError(
                    f"{wheel.name} {wheel.version} has no digest in the requirements, and --require-hashes is set",
                    hint=f"Add {wheel.name}=={wheel.version} --hash={digest}.",
                )


def _kept_wheel(name: str, kept: StoredWheel, origin: str | None) -> Wheel:
    _, version, _, _ = parse_wheel_filename(kept.file_name)
    return Wheel(
        name=name,
        version=str(version),
        kind="built" if kept.built else "local",
        file_name=kept.file_name,
        sha256=kept.sha256,
        size=kept.size,
        origin=origin,
    )
