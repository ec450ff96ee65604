"""From the selector of a request to a definition and its digest. Reads files; executes nothing."""

from __future__ import annotations

import asyncio
import os
import re

import msgspec

from roost.daemon.definitions.choices import (
    ChosenDefinition,
    apply_choices,
    check_choices,
    find_home,
    get_choices,
    list_chosen,
    make_base,
)
from roost.daemon.definitions.files import FilesWithin, WatchedFiles
from roost.daemon.definitions.large_inputs import (
    LargeInputError,
    LargeReadRequest,
    SmallFiles,
    SmallFilesWithin,
    check_sent_size,
    read_in_worker,
)
from roost.daemon.definitions.lock_places import find_lock_place
from roost.daemon.definitions.resolved import (
    ADDITIONS_FORMAT,
    DOCUMENT_FORMAT,
    ENVIRONMENT_FORMAT,
    IMAGE_FORMAT,
    RUN_FORMAT,
    ResolvedDefinition,
    TargetedDefinition,
)
from roost.daemon.workers.context import JobContext
from roost.daemon.workers.pool import WorkerPool
from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.definition import (
    Base,
    ContainerSettings,
    Defaults,
    Definition,
    Notice,
    Python,
    R,
    ReadResult,
    Settings,
    Spark,
    find_idle_sections,
    make_idle_notice,
)
from roost.model.documents.document import convert_document
from roost.model.errors import InvalidRequestError, LookupFailedError
from roost.model.names import parse_reference
from roost.model.origins import NameOrigin
from roost.model.readers.read import CONTEXT_FILES, read_source, read_tables
from roost.model.readers.source import DefinitionSource, require_utf8_path
from roost.model.records import EnvironmentVersion, FileStamp, RunRecord
from roost.store.sources.discover import DiscoveredFile, NoDefinitionError, discover, discover_in
from roost.store.sources.files import describe_absence, resolve_file_path
from roost.store.sources.repositories import find_origin
from roost.store.store import Store
from roost.wire.plans import EnvironmentSelector, SourceView
from roost.wire.protocol import WarningView

_LOCK = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def is_pinned(selector: EnvironmentSelector) -> bool:
    """Whether one generation or one lock is requested, instead of the current one."""
    return selector.generation is not None or selector.lock is not None


def check_selector(selector: EnvironmentSelector) -> None:
    """Raise InvalidRequestError if the selector contradicts itself or can't name anything."""
    if not os.path.isabs(selector.cwd):
        raise InvalidRequestError(
            f"The working folder {selector.cwd!r} is not an absolute path", hint="Send the client's own folder."
        )
    if selector.file == "":
        raise InvalidRequestError(
            "The path of the environment file is empty", hint="Name a file or folder; `.` is this one."
        )
    if any("\0" in text for text in (selector.cwd, selector.file or "", *selector.command)):
        raise InvalidRequestError(
            "A path or a word of the command contains a NUL character", hint="Remove the NUL character."
        )
    if selector.lock is not None and not _LOCK.fullmatch(selector.lock):
        raise InvalidRequestError(
            f"--lock {selector.lock}: not the digest of a lock",
            hint="Write all of it, sha256: and 64 hex digits, as `roost plan` prints it.",
        )
    check_choices(selector)
    options = (
        ("-f", selector.file),
        ("-e", selector.environment),
        ("--image", selector.image),
        ("a document", selector.document),
        ("a run", selector.run),
    )
    named = [option for option, value in options if value is not None]
    if len(named) > 1:
        raise InvalidRequestError(
            f"{' and '.join(named)} each name an environment", hint="Give at most one of -e, -f, --image."
        )


async def resolve_environment(
    store: Store, selector: EnvironmentSelector, config: FileStamp | None = None
) -> ResolvedDefinition:
    """Return the registered version that ``selector.environment`` names, with the defaults that it was digested with
    and not those of the present config. Raises NameInvalidError, EnvironmentUnknownError."""
    check_selector(selector)
    assert selector.environment is not None
    version = await store.index.environments.get(parse_reference(selector.environment))
    return await resolve_version(store, version, config)


async def resolve_version(
    store: Store, version: EnvironmentVersion, config: FileStamp | None = None
) -> ResolvedDefinition:
    """Return the definition and the settings of a registered version."""
    body = await store.index.environments.load_body(version.name, version.version)
    return ResolvedDefinition(
        parsed=ReadResult(
            definition=body.definition, settings=body.settings, name=version.name, format=ENVIRONMENT_FORMAT
        ),
        digest=version.definition_digest,
        canonical=canonicalise_definition(body.definition, body.defaults),
        settings_digest=version.settings_digest,
        settings_canonical=canonicalise_settings(body.settings),
        source=SourceView(path=None, format=ENVIRONMENT_FORMAT, name=version.name),
        warnings=[_view_notice(make_idle_notice(each)) for each in find_idle_sections(body.definition, body.settings)],
        guards=(),
        defaults=body.defaults,
        config=config,
        environment=(version.name, version.version),
    )


async def resolve(
    selector: EnvironmentSelector,
    defaults: Defaults,
    config: FileStamp | None = None,
    folder: str | None = None,
    *,
    workers: WorkerPool,
    files: SmallFiles | None = None,
) -> ResolvedDefinition:
    """Find, read and digest the definition that ``selector`` names, with the ``defaults`` of the file ``config``.
    ``folder`` is the only one that may be read; by default the whole disk may. What is large is read by one of
    ``workers``. ``files``: what to read with, for a caller who also has to know what was read if that fails.

    Raises InvalidRequestError if the selector contradicts itself, LookupFailedError if nothing is found,
    InvalidDefinitionError if the definition is invalid.
    """
    check_selector(selector)
    try:
        if files is None:
            files = SmallFiles() if folder is None else SmallFilesWithin(folder)
        resolved = await asyncio.to_thread(_read_small, selector, defaults, files)
    except LargeInputError as large:
        resolved = await read_in_worker(workers, selector, defaults, large, folder)
    return msgspec.structs.replace(resolved, config=config)


def read_large(request: LargeReadRequest, context: JobContext) -> ResolvedDefinition:
    """Read and digest what ``request`` names, in a worker."""
    files = WatchedFiles() if request.folder is None else FilesWithin(request.folder)
    return _read_and_digest(request.selector, request.defaults, files)


def _read_small(selector: EnvironmentSelector, defaults: Defaults, files: SmallFiles) -> ResolvedDefinition:
    check_sent_size(selector)
    return _read_and_digest(selector, defaults, files)


def _read_and_digest(selector: EnvironmentSelector, defaults: Defaults, files: WatchedFiles) -> ResolvedDefinition:
    path, absent, notices, lock_file = None, tuple[str, ...](), tuple[Notice, ...](), None
    choices = get_choices(selector)
    if selector.image is not None:
        parsed = _parsed_image(selector.image)
    elif selector.document is not None:
        parsed = read_tables(selector.document, files, os.path.join(selector.cwd, "<document>"), choices)
        parsed = msgspec.structs.replace(parsed, format=DOCUMENT_FORMAT, path=None)
    elif (found := _find_file_or_additions(selector, files)) is None:
        parsed = ReadResult(definition=Definition(), format=ADDITIONS_FORMAT)
    else:
        data = selector.text.encode() if selector.text is not None else None
        path, absent, notices = found.path, found.absent, found.notices
        source = DefinitionSource(path=path, data=data, format=found.format)
        parsed = convert_document(read_source(source, files, choices))
        lock_file, lock_absent = find_lock_place(found, files, is_named=selector.file is not None)
        absent = (*absent, *lock_absent)
    parsed = _with_absolute_interpreter(parsed, os.path.dirname(path) if path else selector.cwd)
    made = ChosenDefinition(parsed=parsed)
    if parsed.registered is None and selector.image is None:  # otherwise the definition comes from the index
        home = find_home(path, selector.cwd) if selector.document is None else None
        made = apply_choices(parsed, selector, files, home)
        parsed, absent = made.parsed, (*absent, *made.absent)
    defaults = parsed.defaults.apply_to(defaults)
    form = canonicalise_definition(parsed.definition, defaults)
    settings = canonicalise_settings(parsed.settings)
    is_sent = selector.text is not None or selector.document is not None
    origin = _find_name_origin(parsed, path) if path is not None and not parsed.name else None
    return ResolvedDefinition(
        parsed=parsed,
        digest=digest_bytes(form),
        canonical=form,
        settings_digest=digest_bytes(settings),
        settings_canonical=settings,
        source=SourceView(
            path=path, format=parsed.format, name=parsed.name or (origin.name if origin else None) or None
        ),
        warnings=[_view_notice(notice) for notice in (*notices, *parsed.warnings)],
        absent=absent,
        guards=None if files.has_read_folders or is_sent else tuple(files.guards.values()),
        defaults=defaults,
        project=None if is_sent or selector.no_project else parsed.project,
        lock_file=lock_file,
        origin=origin,
        chosen=list_chosen(selector),
        base=make_base(made.base, defaults),
    )


def _find_name_origin(parsed: ReadResult, path: str) -> NameOrigin:
    """Return where the name of a definition that states none is from: its script, else its folder."""
    is_script = parsed.format == "pep723"
    return find_origin(path if is_script or os.path.isdir(path) else os.path.dirname(path), is_script=is_script)


def _find_file_or_additions(selector: EnvironmentSelector, files: WatchedFiles) -> DiscoveredFile | None:
    """Return the file that the selector means; ``None`` if there is none and the packages that it adds are all."""
    try:
        return find_file(selector, files)
    except NoDefinitionError:
        if not selector.additions:
            raise
        return None


def _view_notice(notice: Notice) -> WarningView:
    return msgspec.convert(msgspec.to_builtins(notice), WarningView)


def _parsed_image(reference: str) -> ReadResult:
    name = reference.rpartition("/")[2].partition("@")[0].partition(":")[0]
    definition = Definition(base=Base(image=reference), python=Python(user_managed=True))
    return ReadResult(definition=definition, name=name, format=IMAGE_FORMAT)


def _with_absolute_interpreter(parsed: ReadResult, folder: str) -> ReadResult:
    """Resolve a relative path of a user-managed interpreter against ``folder``, which the file lies in, so that the
    definition means the same wherever it is used from. An interpreter in an image is looked up in the image."""
    definition, interpreter = parsed.definition, parsed.definition.python.interpreter
    base = definition.base
    in_image = base is not None and (base.image or base.dockerfile or base.context)
    if not definition.python.user_managed or in_image or "/" not in interpreter or interpreter.startswith(("/", "~")):
        return parsed
    path = os.path.normpath(os.path.join(folder, interpreter))  # links stay: one makes a virtual environment
    python = msgspec.structs.replace(definition.python, interpreter=path)
    return msgspec.structs.replace(
        parsed,
        definition=msgspec.structs.replace(definition, python=python),
        settings=msgspec.structs.replace(parsed.settings, interpreter=path),
    )


def find_file(selector: EnvironmentSelector, files: WatchedFiles) -> DiscoveredFile:
    """Return the file that ``selector`` names, or the nearest one. Blocks.

    Raises: LookupFailedError if there is none, InvalidDefinitionError if it is not clear which one is meant.
    """
    if selector.file is None:
        read = files.read_unwatched
        found = discover(selector.cwd, selector.command, read)
        if not found.consulted:
            return found
        for path in found.consulted:
            files.watch(path)
        return discover(selector.cwd, selector.command, read)  # again, so that the states are from before the reading
    path = require_utf8_path(resolve_file_path(os.path.join(selector.cwd, selector.file)))
    if selector.text is not None:
        return DiscoveredFile(path=path)
    if not os.path.exists(path):
        raise LookupFailedError(
            f"{path} {describe_absence(path)}", hint="Name an environment file, or a folder with one."
        )
    if not files.is_folder(path):
        return DiscoveredFile(path=path)
    # No launch plan is written for a folder: its name could not lie beside the names of the files in it.
    files.has_read_folders = True
    is_context = any(os.path.exists(os.path.join(path, name)) for name in CONTEXT_FILES)
    return (None if is_context else discover_in(path, files.read_unwatched)) or DiscoveredFile(path=path)


class _RecordedSettings(msgspec.Struct):
    """The part of settings in canonical form that a rerun needs."""

    container: ContainerSettings = ContainerSettings()
    interpreter: str | None = None


async def resolve_run(store: Store, run: RunRecord) -> TargetedDefinition:
    """Return what a run used, from the record of the run. The definition itself is not read back: the lock holds all
    that a rerun needs."""
    known = await store.index.definitions.find(run.definition_digest)
    form = await store.index.definitions.find_settings(run.settings_digest) or b"{}"
    recorded = msgspec.json.decode(form, type=_RecordedSettings)
    settings = Settings(variables=run.variables, container=recorded.container, interpreter=recorded.interpreter)
    name, version = run.environment_name, run.environment_version
    return TargetedDefinition(
        parsed=ReadResult(definition=_definition_from_run(run), settings=settings, format=RUN_FORMAT),
        digest=run.definition_digest,
        canonical=known.canonical if known else b"{}",
        settings_digest=run.settings_digest,
        settings_canonical=form,
        platform=run.platform,
        is_image=run.target != "local",
        source=SourceView(path=known.source if known else None, format=RUN_FORMAT, name=name),
        warnings=_idle_warnings(known.canonical) if known else [],
        environment=(name, version) if name is not None and version is not None else None,
    )


class _RecordedSections(msgspec.Struct):
    """The sections of a definition in canonical form that roost installs nothing from."""

    spark: Spark = Spark()
    r: R = R()


def _idle_warnings(canonical: bytes) -> list[WarningView]:
    recorded = msgspec.json.decode(canonical, type=_RecordedSections)
    idle = find_idle_sections(Definition(spark=recorded.spark, r=recorded.r), Settings())
    return [_view_notice(make_idle_notice(each)) for each in idle]


def used_image(run: RunRecord) -> str | None:
    """Return the id of the image that a run used unmodified."""
    image = (run.interpreter or {}).get("image")
    return image if isinstance(image, str) else None


def _definition_from_run(run: RunRecord) -> Definition:
    """Return what is known without the definition: the unmodified image or the interpreter that the run used."""
    image = used_image(run)
    if image is None and run.lock_digest is not None:
        return Definition()
    path = (run.interpreter or {}).get("path")
    python = Python(user_managed=True, interpreter=path) if isinstance(path, str) else Python()
    return Definition(base=Base(image=image) if image is not None else None, python=python)
