"""Exports environments in other tools' formats. The daemon writes no file: the client writes what it receives."""

from __future__ import annotations

import asyncio

from roost.daemon.engines.engine_set import Engines
from roost.daemon.planning.locking import find_or_solve_lock
from roost.daemon.planning.planner import Planner
from roost.daemon.workspace.local_content import locate_stored_wheels
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.documents.dockerfile import DOCKERFILE
from roost.model.locks.lock import Lock, digest_lock
from roost.model.readers.source import MissingFileError
from roost.model.writers.write import ExportImpossibleError, ExportSource, FileCopy, find_export_format, write_export
from roost.store.sources.files import LocalFiles
from roost.store.store import Store
from roost.wire.exchange import CopyView, ExportRequest, ExportResponse
from roost.wire.protocol import WarningView


async def export_environment(
    store: Store, engines: Engines, resolver: EnvironmentResolver, planner: Planner, request: ExportRequest
) -> ExportResponse:
    """Return the environment that ``request`` names, in the requested format.

    Raises InvalidRequestError, LookupFailedError, ExportImpossibleError, LockNotPortableError, and what solving raises
    if the format needs a lock and there is none yet.
    """
    resolved = await resolver.resolve(request.what)
    export_format = find_export_format(request.format)
    lock: Lock | None = None
    if export_format.locked and not resolved.definition.python.user_managed:
        found = await find_or_solve_lock(planner, store.index, engines, resolved, request.what, request.platform)
        lock = found.lock
    located = await locate_stored_wheels(store.layout, resolved)
    source = ExportSource(
        definition=located.definition,
        settings=located.settings,
        name=resolved.source.name,
        defaults=resolved.defaults,
        lock=lock,
    )
    written = write_export(request.format, source)
    return ExportResponse(
        files={name: content.decode() for name, content in written.files.items()},
        copies={name: await asyncio.to_thread(_view_copy, name, copy) for name, copy in written.copies.items()},
        folder=export_format.folder,
        absent=[name for name in export_format.parts if name not in written.files],
        definition_digest=resolved.digest,
        lock_digest=digest_lock(lock) if lock else None,
        source=resolved.source.path,
        warnings=[
            *resolved.warnings,
            *(WarningView(code=notice.code, message=notice.message) for notice in written.warnings),
        ],
    )


def _view_copy(name: str, copy: FileCopy) -> CopyView:
    if copy.path is None:
        raise ExportImpossibleError(
            f"The store of this machine does not have the content of {name} ({copy.digest})",
            hint="Add it with `roost env add-wheel PATH`, or export it as roost's own file.",
        )
    names = _list_folder(copy) if copy.folder else []
    return CopyView(path=copy.path, digest=copy.digest, folder=copy.folder, names=names)


def _list_folder(copy: FileCopy) -> list[str]:
    """Return the names that the digest of a folder covers, by the rules of build contexts or of sources."""
    files, folder = LocalFiles(), copy.path or ""
    try:
        dockerfile = copy.dockerfile or DOCKERFILE
        names = files.list_context(folder, dockerfile) if copy.context else files.list_tree(folder)
        "".join(names).encode()
    except OSError as error:
        raise MissingFileError(
            f"{folder} can't be read: {error.strerror or error}",
            hint="Restore it: what the definition refers to is exported with it.",
            fields={"path": folder},
        ) from None
    except UnicodeEncodeError as error:
        raise ExportImpossibleError(
            f"{folder} contains a file whose name is not valid UTF-8: "
            f"{error.object[error.start - 20 : error.end + 20]!r}",
            hint="Rename it.",
        ) from None
    return names
