"""Rules for a definition that comes from an archive: which file it is, what it may refer to, and how it is named.

The archive is unpacked to a temporary folder, the stage. Users know the archive and not the stage, so names, warnings
and errors refer to the archive.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

import msgspec

from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.exchange.archives import ArchiveRefusedError, strip_archive_suffixes
from roost.model.definition import PipItem
from roost.model.errors import CodedError, Location
from roost.model.readers.read import CONTEXT_FILES

_IGNORED_NAMES = ("__MACOSX", ".DS_Store")
"""What macOS adds to archives."""


def find_definition(folder: str) -> str:
    """Return the file or folder to read in an unpacked archive.

    A folder that contains nothing but one folder stands for that folder, and one that contains nothing but one file for
    that file (see :func:`find_only_file`).
    """
    while (entry := _find_only_entry(folder)) is not None:
        if os.path.isfile(entry):
            return find_only_file(folder)
        folder = entry
    return folder


def find_only_file(path: str) -> str:
    """Return the only file of a folder, whatever its name; else ``path``. A folder with only a Dockerfile is a build
    context, and returned."""
    entry = _find_only_entry(path) if os.path.isdir(path) else None
    if entry is None or not os.path.isfile(entry) or os.path.basename(entry) in CONTEXT_FILES:
        return path
    return entry


def _find_only_entry(folder: str) -> str | None:
    names = [name for name in os.listdir(folder) if name not in _IGNORED_NAMES]
    return os.path.join(folder, names[0]) if len(names) == 1 else None


def check_self_contained(archive: str, stage: str, resolved: ResolvedDefinition) -> None:
    """Check that the definition uses nothing outside the archive, and stays tied to nothing in the stage, which is
    removed.

    Paths that were read lie within: ``FilesWithin`` saw to that. A document can name others, which nobody reads before
    they are stored. Raises ArchiveRefusedError.
    """
    definition = resolved.definition
    context = [definition.base.context_path] if definition.base and definition.base.context_path else []
    real = os.path.realpath(stage)
    for path in context + list(_content_paths(definition.pip.requirements)):
        if os.path.commonpath([os.path.realpath(path), real]) != real:
            raise outside_path_error(archive, path)
    if definition.python.user_managed and definition.python.interpreter.startswith(stage):
        raise _refusal_error(archive, "its interpreter is named by a relative path")
    for item in _iterate_items(definition.pip.requirements):
        if item.kind == "editable":
            raise _refusal_error(archive, f"{item.text} is an editable install, which stays tied to its folder")


def outside_path_error(archive: str, path: str) -> ArchiveRefusedError:
    """Return the error for an archive in which a file names a path outside of it."""
    return _refusal_error(archive, f"a file in it names {path}, which is outside of it")


def _refusal_error(archive: str, reason: str) -> ArchiveRefusedError:
    return ArchiveRefusedError(
        f"{archive} is refused: {reason}",
        hint="Unpack it to a permanent location, and import the folder.",
        location=Location(path=archive),
    )


def _iterate_items(items: Iterable[PipItem]) -> Iterator[PipItem]:
    """Yield every pip line, nested files and their lines included."""
    for item in items:
        yield item
        yield from _iterate_items(item.items)


def _content_paths(items: Iterable[PipItem]) -> Iterator[str]:
    """Yield the paths whose content is installed; the lines of nested files are in the definition already."""
    nested = ("requirements", "constraints")
    return (item.path for item in _iterate_items(items) if item.path is not None and item.kind not in nested)


def name_after_archive(resolved: ResolvedDefinition, archive: str, stage: str) -> ResolvedDefinition:
    """Return ``resolved`` with the archive as its source, and named after it if the files give no name."""
    name = resolved.parsed.name or strip_archive_suffixes(os.path.basename(archive))
    warnings = [
        msgspec.structs.replace(warning, message=warning.message.replace(stage, archive))
        for warning in resolved.warnings
    ]
    source = msgspec.structs.replace(resolved.source, name=name, path=archive)
    return msgspec.structs.replace(resolved, source=source, warnings=warnings)


def translate_stage_error(error: CodedError, archive: str, stage: str) -> CodedError:
    """Return ``error`` with the path of the archive in place of the stage's."""
    error.message, error.hint = error.message.replace(stage, archive), error.hint.replace(stage, archive)
    error.args = (error.message,)
    if error.location is not None:
        path = error.location.path.replace(stage, archive)
        error.location = msgspec.structs.replace(error.location, path=path)
    error.fields = {
        key: value.replace(stage, archive) if isinstance(value, str) else value for key, value in error.fields.items()
    }
    return error
