"""Imports environments from files, folders, archives, and conda environments of this machine.

Everything is read before anything is registered, and the registration is one transaction: an import that is killed
either has happened or has not. The content of an archive is in ``stage/`` meanwhile, which recovery empties.
"""

from __future__ import annotations

import asyncio
import os
import secrets

import msgspec

from roost.daemon.definitions.config_reloader import ConfigReloader
from roost.daemon.definitions.files import PathOutsideError
from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.exchange.archive_contents import (
    check_self_contained,
    find_definition,
    find_only_file,
    name_after_archive,
    outside_path_error,
    translate_stage_error,
)
from roost.daemon.exchange.archives import is_archive, unpack
from roost.daemon.jobs.progress import Silent
from roost.daemon.locks.solve import create_solve_job, solve_lock
from roost.daemon.planning.planner import Planner
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.daemon.workspace.versions import EnvironmentVersions, make_new_version
from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.definition import Defaults, ReadResult
from roost.model.errors import CodedError, InvalidRequestError
from roost.model.locks.lock import Lock
from roost.model.names import check_new_label, check_new_name, derive_name
from roost.model.records import NewGeneration, RegistrationResult
from roost.store.cancellation import finish_thread_despite_cancel
from roost.store.disk.file_ops import remove_tree
from roost.store.sources.conda_environments import find_prefix
from roost.store.sources.conda_prefixes import read_prefix
from roost.store.sources.files import resolve_file_path
from roost.store.store import Store
from roost.wire.exchange import ImportRequest
from roost.wire.plans import EnvironmentSelector, SourceView
from roost.wire.protocol import WarningView

_LOCK_FORMATS = ("conda-lock", "explicit", "pixi-lock", "pylock", "uv-lock")
"""Formats of lock files, whose lock becomes the first generation."""


class ImportResult(msgspec.Struct, frozen=True, kw_only=True):
    """A registered version, and what was read for it."""

    registered: RegistrationResult
    resolved: ResolvedDefinition
    source: str
    """Absolute path of the file, folder, archive or conda environment."""


class EnvironmentImporter:
    """Reads environments that other tools wrote, and registers them."""

    def __init__(
        self,
        store: Store,
        engines: Engines,
        reloader: ConfigReloader,
        resolver: EnvironmentResolver,
        planner: Planner,
        versions: EnvironmentVersions,
    ) -> None:
        self._store = store
        self._engines = engines
        self._reloader = reloader
        self._resolver = resolver
        self._planner = planner
        self._versions = versions

    async def import_environment(self, request: ImportRequest) -> ImportResult:
        """Register the environment that ``request`` names. Raises InvalidRequestError, LookupFailedError,
        InvalidDefinitionError, NameInvalidError."""
        _check_request(request)
        await self._reloader.refresh()
        if request.prefix is not None:
            return await self._import_prefix(request, request.prefix)
        assert request.path is not None
        path = await asyncio.to_thread(resolve_file_path, os.path.join(request.cwd, request.path))
        if is_archive(path) and await asyncio.to_thread(os.path.isfile, path):
            return await self._import_archive(request, path)
        file = await asyncio.to_thread(find_only_file, path)
        resolved = await self._resolver.resolve(
            EnvironmentSelector(cwd=request.cwd, file=file, environ=request.environ)
        )
        if await asyncio.to_thread(os.path.isdir, path):
            source = msgspec.structs.replace(resolved.source, name=resolved.parsed.name or path.rpartition("/")[2])
            resolved = msgspec.structs.replace(resolved, source=source)
        return await self._register(request, resolved, path)

    async def _import_prefix(self, request: ImportRequest, text: str) -> ImportResult:
        prefix = await asyncio.to_thread(find_prefix, text, request.cwd, request.environ)
        parsed = await asyncio.to_thread(read_prefix, prefix, pinned=request.exact)
        source = SourceView(path=prefix, format=parsed.format, name=parsed.name)
        return await self._register(request, _resolve_parsed(parsed, self._planner.defaults, source), prefix)

    async def _import_archive(self, request: ImportRequest, archive: str) -> ImportResult:
        stage = os.path.join(self._store.layout.stage, f"import-{secrets.token_hex(6)}")
        await asyncio.to_thread(os.makedirs, stage)
        try:
            # A client that leaves cancels this, and the thread would go on to fill a folder that is being removed.
            await finish_thread_despite_cancel(unpack, archive, stage)
            file = await asyncio.to_thread(find_definition, stage)
            resolved = await self._resolver.resolve(EnvironmentSelector(cwd=stage, file=file), stage)
            check_self_contained(archive, stage, resolved)
            return await self._register(request, name_after_archive(resolved, archive, stage), archive)
        except PathOutsideError as error:
            refusal = outside_path_error(archive, str(error.fields["path"]))
            raise translate_stage_error(refusal, archive, stage) from None
        except CodedError as error:
            raise translate_stage_error(error, archive, stage) from None
        finally:
            await asyncio.to_thread(remove_tree, stage)

    async def _register(self, request: ImportRequest, resolved: ResolvedDefinition, source: str) -> ImportResult:
        if await self._store.index.definitions.find(resolved.digest) is None:
            await self._planner.check_specs(resolved)
        name = request.name
        if name is None:
            name = derive_name(resolved.source.name or os.path.basename(source))
        new = make_new_version(resolved, check_new_name(name), labels=tuple(request.labels), origin=source)
        lock = await self._complete_lock(resolved, request)
        if isinstance(lock, Lock):
            scope = resolved.for_prefix().generation_scope
            generation = NewGeneration(definition_digest=resolved.digest, platform=scope)
            registered = await self._versions.add(new, (generation, lock))
        else:
            if lock is not None:
                resolved.warnings.append(lock)
            registered = await self._versions.add(new)
        return ImportResult(registered=registered, resolved=resolved, source=source)

    async def _complete_lock(self, resolved: ResolvedDefinition, request: ImportRequest) -> Lock | WarningView | None:
        """Return the lock of a lock file for this machine, with the records of its packages, which only their channels
        have; a warning if that fails; ``None`` if the file is not a lock file."""
        if resolved.parsed.format not in _LOCK_FORMATS:
            return None
        selector = EnvironmentSelector(cwd=request.cwd, environ=request.environ)
        try:
            return await solve_lock(self._engines, create_solve_job(resolved.for_prefix(), selector), Silent())
        except CodedError as error:
            message = f"The lock has no generation until its first build: {error.message}"
            return WarningView(code="lock-unresolved", message=message)


def _check_request(request: ImportRequest) -> None:
    """Raise InvalidRequestError or NameInvalidError for a request that contradicts itself or can't name anything."""
    if not os.path.isabs(request.cwd) or "\0" in request.cwd + (request.path or "") + (request.prefix or ""):
        raise InvalidRequestError(
            f"The working folder {request.cwd!r} is not an absolute path", hint="Send the client's own folder."
        )
    if (request.path is None) == (request.prefix is None):
        raise InvalidRequestError(
            "Only one source can be imported at a time", hint="Name a path, or a conda environment with --prefix."
        )
    if "" in (request.path, request.prefix):
        raise InvalidRequestError("The path to import from is empty", hint="Name a file or folder; `.` is this one.")
    if request.name is not None:
        check_new_name(request.name)
    for label in request.labels:
        check_new_label(label)


def _resolve_parsed(parsed: ReadResult, defaults: Defaults, source: SourceView) -> ResolvedDefinition:
    canonical = canonicalise_definition(parsed.definition, defaults)
    settings_canonical = canonicalise_settings(parsed.settings)
    return ResolvedDefinition(
        parsed=parsed,
        digest=digest_bytes(canonical),
        canonical=canonical,
        settings_digest=digest_bytes(settings_canonical),
        settings_canonical=settings_canonical,
        source=source,
        warnings=[msgspec.convert(msgspec.to_builtins(notice), WarningView) for notice in parsed.warnings],
        defaults=defaults,
    )
