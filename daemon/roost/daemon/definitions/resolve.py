"""From WHAT a request names to a definition and its digest. Reads files; executes nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import msgspec

from roost.daemon.definitions.editables import has_editables
from roost.daemon.definitions.stamps import stamp
from roost.daemon.oci.target_platforms import image_platform, local_platform
from roost.model.definition import Base, ContainerSettings, Defaults, Definition, Input, Parsed, Python, Settings
from roost.model.errors import InvalidRequestError, LookupFailedError
from roost.model.forms.canonical import canonical, digest_of, settings_canonical
from roost.model.names import parse_reference
from roost.model.readers.document import read_document
from roost.model.readers.read import CONTEXT_FILES, read
from roost.model.readers.source import Source
from roost.model.records import EnvironmentVersion, FileStamp, RunRecord
from roost.store.sources.discover import DiscoveredFile, discover, discover_in
from roost.store.sources.files import LocalFiles
from roost.store.store import Store
from roost.wire.plans import EnvironmentSelector, SourceView
from roost.wire.protocol import WarningView


class ResolvedDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """One request's definition, with everything that planning and building need to know of it."""

    parsed: Parsed
    digest: str
    canonical: bytes
    settings_digest: str
    settings_canonical: bytes
    platform: str
    source: SourceView
    warnings: list[WarningView]
    absent: tuple[str, ...] = ()
    """Paths that would have been chosen instead, had they been there."""
    guards: tuple[FileStamp, ...] | None = None
    """The state of every file that was read, taken before; ``None`` where stats can't tell (folders were read)."""
    defaults: Defaults = Defaults()
    """What the canonical form spells out where the definition says nothing: a solve must go by the same."""
    config: FileStamp | None = None
    """The config file that gave the defaults."""
    environment: tuple[str, int] | None = None
    """Name and version, where it is a registered one."""
    image: bool = False
    """For a target that runs images: ``platform`` is the image's."""

    @property
    def definition(self) -> Definition:
        return self.parsed.definition

    @property
    def settings(self) -> Settings:
        return self.parsed.settings

    @property
    def lineage(self) -> str:
        """What generations are counted under: the platform, and apart from it what stays on this machine, on a Python
        or with an editable folder of its own.

        An image of the same definition has a Python from conda, and a wheel of the folder, and so another lock.
        """
        if self.image or self.parsed.format == "run":
            return self.platform
        editable = has_editables(self.definition.pip.requirements)
        return f"{self.platform}+host" if self.hosted or editable else self.platform

    @property
    def hosted(self) -> bool:
        """Whether a prefix of it is made on a Python of this machine."""
        conda = self.definition.conda
        return not (conda.dependencies or conda.explicit or self.image)

    def for_image(self) -> ResolvedDefinition:
        """The same for a target that runs images. Raises ReferenceInvalidError for an impossible platform."""
        base = self.definition.base
        platform = image_platform(self.definition.system, base.platform if base else None)
        return msgspec.structs.replace(self, image=True, platform=platform)

    @property
    def inputs(self) -> tuple[Input, ...]:
        return self.parsed.inputs


class WatchedFiles(LocalFiles):
    """Files that remember in which state each one was before it was looked at."""

    def __init__(self) -> None:
        self.guards: dict[str, FileStamp] = {}
        self.folders = False

    def read(self, path: str) -> bytes:
        self.watch(path)
        return super().read(path)

    def exists(self, path: str) -> bool:
        self.watch(path)
        return super().exists(path)

    def is_folder(self, path: str) -> bool:
        self.watch(path)
        return super().is_folder(path)

    def file_digest(self, path: str) -> str:
        self.watch(path)
        return super().file_digest(path)

    def tree_digest(self, path: str) -> str:
        self.folders = True
        return super().tree_digest(path)

    def context_digest(self, path: str) -> str:
        self.folders = True
        return super().context_digest(path)

    def watch(self, path: str) -> None:
        """Note the state of ``path``, the first time."""
        self.guards.setdefault(path, FileStamp(path=path, identity=stamp(path)))


class FilesWithin(WatchedFiles):
    """Files of one folder. ``refused`` makes the error for a path that leads out of it: nothing is looked at there."""

    def __init__(self, folder: str, refused: Callable[[str], Exception]) -> None:
        super().__init__()
        self._folder, self._refused = os.path.realpath(folder), refused

    def watch(self, path: str) -> None:
        self._check(path)
        super().watch(path)

    def tree_digest(self, path: str) -> str:
        self._check(path)
        return super().tree_digest(path)

    def context_digest(self, path: str) -> str:
        self._check(path)
        return super().context_digest(path)

    def _check(self, path: str) -> None:
        if os.path.commonpath([os.path.realpath(path), self._folder]) != self._folder:
            raise self._refused(path)


async def resolve_environment(
    store: Store, what: EnvironmentSelector, config: FileStamp | None = None
) -> ResolvedDefinition:
    """The registered version that ``what.environment`` names: what it was digested with counts, and not the config of
    today. Raises NameInvalidError, EnvironmentUnknownError."""
    check_what(what)
    assert what.environment is not None
    version = await store.index.environments.get(parse_reference(what.environment))
    return await resolve_version(store, version, config)


async def resolve_version(
    store: Store, version: EnvironmentVersion, config: FileStamp | None = None
) -> ResolvedDefinition:
    """What a version is."""
    body = await store.index.environments.load_body(version.name, version.version)
    settings = settings_canonical(body.settings)
    return ResolvedDefinition(
        parsed=Parsed(definition=body.definition, settings=body.settings, name=version.name, format=ENVIRONMENT_FORMAT),
        digest=version.definition_digest,
        canonical=canonical(body.definition, body.defaults),
        settings_digest=version.settings_digest,
        settings_canonical=settings,
        platform=local_platform(body.definition.system),
        source=SourceView(path=None, format=ENVIRONMENT_FORMAT, name=version.name),
        warnings=[],
        guards=(),
        defaults=body.defaults,
        config=config,
        environment=(version.name, version.version),
    )


async def resolve(
    what: EnvironmentSelector, defaults: Defaults, config: FileStamp | None = None, files: WatchedFiles | None = None
) -> ResolvedDefinition:
    """Find, read and digest the definition that ``what`` names, with the ``defaults`` that the file ``config`` gave.
    ``files``: what may be seen of the disk, where that is not all.

    Raises InvalidRequestError where it names two, LookupFailedError where there is none, InvalidDefinitionError where
    it is wrong.
    """
    check_what(what)
    resolved = await asyncio.to_thread(_resolve, what, defaults, files or WatchedFiles())
    return msgspec.structs.replace(resolved, config=config)


def check_what(what: EnvironmentSelector) -> None:
    """Raises InvalidRequestError for what can't be meant."""
    if not os.path.isabs(what.cwd):
        raise InvalidRequestError(
            f"The working folder {what.cwd!r} is no absolute path", hint="Send the client's own folder."
        )
    if what.file == "":
        raise InvalidRequestError(
            "The path of the environment file is empty", hint="Name a file or folder; `.` is this one."
        )
    if any("\0" in text for text in (what.cwd, what.file or "", *what.command)):
        raise InvalidRequestError(
            "A path or a word of the command holds a NUL character", hint="No file has such a name."
        )
    given = (
        ("-f", what.file),
        ("-e", what.environment),
        ("--image", what.image),
        ("a document", what.document),
        ("a run", what.run),
    )
    named = [option for option, value in given if value is not None]
    if len(named) > 1:
        raise InvalidRequestError(
            f"{' and '.join(named)} each name an environment", hint="Give at most one of -e, -f, --image."
        )


ENVIRONMENT_FORMAT = "environment"
"""Of a registered version."""
DOCUMENT_FORMAT = "document"
"""Of a definition that was sent as a document."""
IMAGE_FORMAT = "image"
"""Of a definition that is ``--image REF`` and nothing else."""


def _resolve(what: EnvironmentSelector, defaults: Defaults, files: WatchedFiles) -> ResolvedDefinition:
    found = _find(what, files) if what.image is None and what.document is None else None
    data = what.text.encode() if what.text is not None else None
    parsed = read(Source(path=found.path, data=data, format=found.format), files) if found else _sent(what, files)
    path = found.path if found else None
    parsed = _anchored(parsed, os.path.dirname(path) if path else what.cwd)
    defaults = parsed.defaults.over(defaults)
    form = canonical(parsed.definition, defaults)
    settings = settings_canonical(parsed.settings)
    sent = what.text is not None or what.document is not None
    return ResolvedDefinition(
        parsed=parsed,
        digest=digest_of(form),
        canonical=form,
        settings_digest=digest_of(settings),
        settings_canonical=settings,
        platform=local_platform(parsed.definition.system),
        source=SourceView(path=path, format=parsed.format, name=parsed.name or _folder_name(path)),
        warnings=[msgspec.convert(msgspec.to_builtins(notice), WarningView) for notice in parsed.warnings],
        absent=found.absent if found else (),
        guards=None if files.folders or sent else tuple(files.guards.values()),
        defaults=defaults,
    )


def _anchored(parsed: Parsed, folder: str) -> Parsed:
    """A user-managed interpreter with a relative path lies beside the file, wherever the definition is used from; that
    of an image is looked for in there."""
    definition, named = parsed.definition, parsed.definition.python.interpreter
    base = definition.base
    in_image = base is not None and (base.image or base.dockerfile or base.context)
    if not definition.python.user_managed or in_image or "/" not in named or named.startswith(("/", "~")):
        return parsed
    path = os.path.normpath(os.path.join(folder, named))  # no link is followed: one makes a virtual environment
    python = msgspec.structs.replace(definition.python, interpreter=path)
    return msgspec.structs.replace(
        parsed,
        definition=msgspec.structs.replace(definition, python=python),
        settings=msgspec.structs.replace(parsed.settings, interpreter=path),
    )


def _sent(what: EnvironmentSelector, files: WatchedFiles) -> Parsed:
    """What needs no file."""
    if what.document is None:
        return _of_image(what.image)
    parsed = read_document(what.document, files, os.path.join(what.cwd, "<document>"))
    return msgspec.structs.replace(parsed, format=DOCUMENT_FORMAT, path=None)


def _of_image(reference: str | None) -> Parsed:
    assert reference is not None
    name = reference.rpartition("/")[2].partition("@")[0].partition(":")[0]
    definition = Definition(base=Base(image=reference), python=Python(user_managed=True))
    return Parsed(definition=definition, name=name, format=IMAGE_FORMAT)


def _find(what: EnvironmentSelector, files: WatchedFiles) -> DiscoveredFile:
    if what.file is not None:
        path = files.resolve(os.path.join(what.cwd, what.file))
        if what.text is None and not os.path.exists(path):
            raise LookupFailedError(f"{path} does not exist", hint="Name an environment file, or a folder with one.")
        return _find_in(path, files) if what.text is None and files.is_folder(path) else DiscoveredFile(path=path)
    found = discover(what.cwd, what.command)
    if not found.consulted:
        return found
    for path in found.consulted:
        files.watch(path)
    return discover(what.cwd, what.command)  # again, so that their state is from before they were read


def _find_in(folder: str, files: WatchedFiles) -> DiscoveredFile:
    """The folder itself where it is to be read whole, else its environment file. No launch plan: the name of a folder
    could not lie beside the names of files in it."""
    files.folders = True
    whole = any(os.path.exists(os.path.join(folder, name)) for name in CONTEXT_FILES)
    return (None if whole else discover_in(folder)) or DiscoveredFile(path=folder)


def _folder_name(path: str | None) -> str | None:
    return os.path.basename(os.path.dirname(path)) or None if path else None


class _KeptSettings(msgspec.Struct):
    """What a rerun needs of settings in their canonical form."""

    container: ContainerSettings = ContainerSettings()
    interpreter: str | None = None


def image_of(run: RunRecord) -> str | None:
    """The id of the image that a run used as it was."""
    image = (run.interpreter or {}).get("image")
    return image if isinstance(image, str) else None


def _used_by(run: RunRecord) -> Definition:
    """What can be said of it without its definition: the image or the interpreter that it took as it was."""
    image = image_of(run)
    if image is None and run.lock_digest is not None:
        return Definition()
    path = (run.interpreter or {}).get("path")
    python = Python(user_managed=True, interpreter=path) if isinstance(path, str) else Python()
    return Definition(base=Base(image=image) if image is not None else None, python=python)


def _environment_of(run: RunRecord) -> tuple[str, int] | None:
    name, version = run.environment_name, run.environment_version
    return (name, version) if name is not None and version is not None else None


async def resolve_run(store: Store, run: RunRecord) -> ResolvedDefinition:
    """What a run used, from what was recorded of it. The definition stays closed: its lock says all that is needed."""
    known = await store.index.definitions.find(run.definition_digest)
    form = await store.index.definitions.find_settings(run.settings_digest) or b"{}"
    kept = msgspec.json.decode(form, type=_KeptSettings)
    settings = Settings(variables=run.variables, container=kept.container, interpreter=kept.interpreter)
    return ResolvedDefinition(
        parsed=Parsed(definition=_used_by(run), settings=settings, format="run"),
        digest=run.definition_digest,
        canonical=known.canonical if known else b"{}",
        settings_digest=run.settings_digest,
        settings_canonical=form,
        platform=run.platform,
        source=SourceView(path=known.source if known else None, format="run", name=run.environment_name),
        warnings=[],
        environment=_environment_of(run),
        image=run.target != "local",
    )
