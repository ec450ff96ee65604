"""Writes environments in other tools' formats. The text goes to who asked; nothing is written here."""

from __future__ import annotations

import asyncio

from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.planning.locking import find_or_solve_lock
from roost.daemon.services import Services
from roost.daemon.workspace.local_content import locate_stored_wheels
from roost.model.locks.lock import Lock, digest_lock
from roost.model.readers.source import MissingFileError
from roost.model.writers.write import ExportImpossibleError, ExportSource, FileCopy, find_export_format, write_export
from roost.store.sources.files import LocalFiles
from roost.wire.exchange import CopyView, ExportRequest, ExportResponse
from roost.wire.protocol import WarningView


async def export_environment(work: Services, request: ExportRequest) -> ExportResponse:
    """What ``request`` names, in its format.

    Raises InvalidRequestError, LookupFailedError, ExportImpossibleError, LockNotPortableError, and what solving
    raises where a lock is needed and there is none yet.
    """
    resolved = await work.resolver.resolve(request.what)
    chosen = find_export_format(request.format)
    lock = await _lock(work, resolved, request) if chosen.locked else None
    located = await locate_stored_wheels(work.store.layout, resolved)
    exported = ExportSource(
        definition=located.definition,
        settings=located.settings,
        name=resolved.source.name,
        defaults=resolved.defaults,
        lock=lock,
    )
    written = write_export(request.format, exported)
    return ExportResponse(
        files={name: content.decode() for name, content in written.files.items()},
        copies={name: await asyncio.to_thread(_copy, name, copy) for name, copy in written.copies.items()},
        folder=chosen.folder,
        absent=[name for name in chosen.parts if name not in written.files],
        definition_digest=resolved.digest,
        lock_digest=digest_lock(lock) if lock else None,
        source=resolved.source.path,
        warnings=[
            *resolved.warnings,
            *(WarningView(code=notice.code, message=notice.message) for notice in written.warnings),
        ],
    )


async def _lock(work: Services, resolved: ResolvedDefinition, request: ExportRequest) -> Lock | None:
    if resolved.definition.python.user_managed:
        return None
    locked = await find_or_solve_lock(
        work.planner, work.store.index, work.engines, resolved, request.what, request.platform
    )
    return locked.lock


def _copy(name: str, copy: FileCopy) -> CopyView:
    if copy.path is None:
        raise ExportImpossibleError(
            f"The store of this machine does not have what {name} is to be a copy of ({copy.digest})",
            hint="Add it with `roost env add-wheel PATH`, or export it as roost's own file.",
        )
    names = _names(copy.path, context=copy.context) if copy.folder else []
    return CopyView(path=copy.path, digest=copy.digest, folder=copy.folder, names=names)


def _names(folder: str, *, context: bool) -> list[str]:
    files = LocalFiles()
    try:
        names = files.list_context(folder) if context else files.list_tree(folder)
        "".join(names).encode()
    except OSError as error:
        raise MissingFileError(
            f"{folder} can't be read: {error.strerror or error}",
            hint="What the definition refers to goes along with an export: put it there again.",
            fields={"path": folder},
        ) from None
    except UnicodeEncodeError as error:
        raise ExportImpossibleError(
            f"{folder} holds a file whose name is no UTF-8: {error.object[error.start - 20 : error.end + 20]!r}",
            hint="Give it another name.",
        ) from None
    return names
