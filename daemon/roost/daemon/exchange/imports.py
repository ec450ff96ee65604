"""Makes environments of what others left: files, folders, archives, and conda environments of this machine.

Everything is read before anything is registered, and registering is one transaction: an import that is killed has
happened or has not. What an archive holds is in ``stage/`` meanwhile, which recovery empties.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterable
from functools import partial

import msgspec

from roost.daemon.definitions.files import FilesWithin
from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.exchange.archives import ArchiveRefusedError, is_archive, unpack
from roost.daemon.jobs.progress import Silent
from roost.daemon.locks.solve import create_solve_job, solve_lock
from roost.daemon.services import Services
from roost.daemon.workspace.versions import make_new_version
from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.definition import Defaults, PipItem, ReadResult
from roost.model.errors import CodedError, InvalidRequestError, Location
from roost.model.locks.lock import Lock
from roost.model.names import check_new_label, check_new_name, derive_name
from roost.model.readers.read import CONTEXT_FILES
from roost.model.records import NewGeneration, RegistrationResult
from roost.store.cancellation import finish_thread_despite_cancel
from roost.store.disk.file_ops import remove_tree
from roost.store.sources import conda_environments
from roost.store.sources.conda_prefixes import read_prefix
from roost.store.sources.files import resolve_path as resolved_path
from roost.wire.exchange import ImportRequest
from roost.wire.plans import EnvironmentSelector, SourceView
from roost.wire.protocol import WarningView

LOCK_FORMATS = ("conda-lock", "explicit", "pixi-lock")


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    registered: RegistrationResult
    resolved: ResolvedDefinition
    source: str
    """Absolute path of what was read."""


async def import_environment(work: Services, request: ImportRequest) -> Imported:
    """Register what ``request`` names. Raises InvalidRequestError, LookupFailedError, InvalidDefinitionError,
    NameInvalidError."""
    if not os.path.isabs(request.cwd) or "\0" in request.cwd + (request.path or "") + (request.prefix or ""):
        raise InvalidRequestError(
            f"The working folder {request.cwd!r} is no absolute path", hint="Send the client's own folder."
        )
    if (request.path is None) == (request.prefix is None):
        raise InvalidRequestError(
            "One thing is imported at a time", hint="Name a path, or a conda environment with --prefix."
        )
    if "" in (request.path, request.prefix):
        raise InvalidRequestError("The path to import from is empty", hint="Name a file or folder; `.` is this one.")
    if request.name is not None:
        check_new_name(request.name)
    for label in request.labels:
        check_new_label(label)
    await work.reloader.refresh()
    if request.prefix is not None:
        return await _import_prefix(work, request, request.prefix)
    assert request.path is not None
    path = await asyncio.to_thread(resolved_path, os.path.join(request.cwd, request.path))
    if is_archive(path) and await asyncio.to_thread(os.path.isfile, path):
        return await _import_archive(work, request, path)
    read = await asyncio.to_thread(_only_file, path)
    resolved = await work.resolver.resolve(EnvironmentSelector(cwd=request.cwd, file=read, environ=request.environ))
    if await asyncio.to_thread(os.path.isdir, path):
        resolved = _called(resolved, path.rpartition("/")[2])
    return await _register(work, request, resolved, path)


async def _import_prefix(work: Services, request: ImportRequest, text: str) -> Imported:
    prefix = await asyncio.to_thread(conda_environments.find_prefix, text, request.cwd, request.environ)
    parsed = await asyncio.to_thread(read_prefix, prefix, pinned=request.exact)
    source = SourceView(path=prefix, format=parsed.format, name=parsed.name)
    return await _register(work, request, _resolved_of(parsed, work.planner.defaults, source), prefix)


async def _import_archive(work: Services, request: ImportRequest, archive: str) -> Imported:
    stage = os.path.join(work.store.layout.stage, f"import-{secrets.token_hex(6)}")
    await asyncio.to_thread(os.makedirs, stage)
    try:
        # Whoever leaves cancels this: the thread would fill a folder that is being removed.
        await finish_thread_despite_cancel(unpack, archive, stage)
        inner = await asyncio.to_thread(_what_to_read, stage)
        files = FilesWithin(stage, partial(_outside, archive))
        resolved = await work.resolver.resolve(EnvironmentSelector(cwd=stage, file=inner), files)
        _check_staying(archive, stage, resolved)
        return await _register(work, request, _renamed(resolved, archive, stage), archive)
    except CodedError as error:
        raise _told_of(error, archive, stage) from None
    finally:
        await asyncio.to_thread(remove_tree, stage)


def _resolved_of(parsed: ReadResult, defaults: Defaults, source: SourceView) -> ResolvedDefinition:
    form, settings = canonicalise_definition(parsed.definition, defaults), canonicalise_settings(parsed.settings)
    return ResolvedDefinition(
        parsed=parsed,
        digest=digest_bytes(form),
        canonical=form,
        settings_digest=digest_bytes(settings),
        settings_canonical=settings,
        source=source,
        warnings=[msgspec.convert(msgspec.to_builtins(notice), WarningView) for notice in parsed.warnings],
        defaults=defaults,
    )


def _what_to_read(folder: str) -> str:
    """The folder, or the one that it holds alone; the file, where there is one only."""
    while (inner := _only(folder)) is not None:
        if os.path.isfile(inner):
            return _only_file(folder)
        folder = inner
    return folder


def _only_file(path: str) -> str:
    """The file in a folder that holds nothing else, whatever it is called; a Dockerfile alone is a build context."""
    inner = _only(path) if os.path.isdir(path) else None
    return (
        inner if inner is not None and os.path.isfile(inner) and os.path.basename(inner) not in CONTEXT_FILES else path
    )


def _only(folder: str) -> str | None:
    names = [name for name in os.listdir(folder) if name not in ("__MACOSX", ".DS_Store")]
    return os.path.join(folder, names[0]) if len(names) == 1 else None


def _check_staying(archive: str, stage: str, resolved: ResolvedDefinition) -> None:
    """Nothing outside may become part of it, and nothing of it may stay tied to the folder that goes. Paths that were
    looked at lie within; a document can name others, which nobody looks at before they are kept.

    Raises ArchiveRefusedError.
    """
    definition = resolved.definition
    context = [definition.base.context_path] if definition.base and definition.base.context_path else []
    real = os.path.realpath(stage)
    for path in context + list(_paths(definition.pip.requirements)):
        if os.path.commonpath([os.path.realpath(path), real]) != real:
            raise _outside(archive, path)
    if definition.python.user_managed and definition.python.interpreter.startswith(stage):
        raise _refused(archive, "its interpreter is named by a relative path")
    for item in _all(definition.pip.requirements):
        if item.kind == "editable":
            raise _refused(archive, f"{item.text} is an editable install, which stays tied to its folder")


def _outside(archive: str, path: str) -> ArchiveRefusedError:
    return _refused(archive, f"a file in it names {path}, which lies outside of it")


def _refused(archive: str, why: str) -> ArchiveRefusedError:
    return ArchiveRefusedError(
        f"{archive} is refused: {why}",
        hint="Unpack it where it shall stay, and import the folder.",
        location=Location(path=archive),
    )


def _all(items: Iterable[PipItem]) -> Iterable[PipItem]:
    for item in items:
        yield item
        yield from _all(item.items)


def _paths(items: Iterable[PipItem]) -> Iterable[str]:
    """Of what is used as it is; the lines of nested files have been read."""
    nested = ("requirements", "constraints")
    return (item.path for item in _all(items) if item.path is not None and item.kind not in nested)


def _called(resolved: ResolvedDefinition, name: str) -> ResolvedDefinition:
    """As its files say, else ``name``."""
    source = msgspec.structs.replace(resolved.source, name=resolved.parsed.name or name)
    return msgspec.structs.replace(resolved, source=source)


def _renamed(resolved: ResolvedDefinition, archive: str, stage: str) -> ResolvedDefinition:
    """Called after the archive where its files give no name, and warnings told of the archive."""
    stem = os.path.basename(archive)
    while is_archive(stem):
        stem = stem[: -len(next(suffix for suffix in _LONG_FIRST if stem.lower().endswith(suffix)))]
    source = msgspec.structs.replace(_called(resolved, stem).source, path=archive)
    warnings = [
        msgspec.structs.replace(warning, message=warning.message.replace(stage, archive))
        for warning in resolved.warnings
    ]
    return msgspec.structs.replace(resolved, source=source, warnings=warnings)


_LONG_FIRST = (".tar.gz", ".tar.bz2", ".tar.xz", ".tgz", ".tbz2", ".txz", ".tar", ".zip")


def _told_of(error: CodedError, archive: str, stage: str) -> CodedError:
    """People know the archive, and not where it was unpacked."""
    error.message, error.hint = error.message.replace(stage, archive), error.hint.replace(stage, archive)
    error.args = (error.message,)
    if error.location is not None:
        place = error.location.path.replace(stage, archive)
        error.location = msgspec.structs.replace(error.location, path=place)
    error.fields = {
        key: value.replace(stage, archive) if isinstance(value, str) else value for key, value in error.fields.items()
    }
    return error


async def _register(work: Services, request: ImportRequest, resolved: ResolvedDefinition, source: str) -> Imported:
    if await work.store.index.definitions.find(resolved.digest) is None:
        await work.planner.check_specs(resolved)
    name = request.name if request.name is not None else derive_name(resolved.source.name or os.path.basename(source))
    new = make_new_version(resolved, check_new_name(name), labels=tuple(request.labels), origin=source)
    lock = await _lock_of(work, resolved, request)
    if isinstance(lock, WarningView):
        resolved.warnings.append(lock)
    if not isinstance(lock, Lock):
        return Imported(registered=await work.versions.add(new), resolved=resolved, source=source)
    generation = NewGeneration(definition_digest=resolved.digest, platform=resolved.for_prefix().generation_scope)
    registered = await work.versions.add(new, (generation, lock))
    return Imported(registered=registered, resolved=resolved, source=source)


async def _lock_of(work: Services, resolved: ResolvedDefinition, request: ImportRequest) -> Lock | WarningView | None:
    """What a lock file says for this machine, whole: the records of its packages are their channels' to tell."""
    if resolved.parsed.format not in LOCK_FORMATS:
        return None
    what = EnvironmentSelector(cwd=request.cwd, environ=request.environ)
    try:
        return await solve_lock(work.engines, create_solve_job(resolved.for_prefix(), what), Silent())
    except CodedError as error:
        message = f"The lock has no generation yet, which its first build makes: {error.message}"
        return WarningView(code="lock-unresolved", message=message)
