"""The change of a text, in a worker with a deadline if the file and what it includes are large, like its reading."""

from __future__ import annotations

import asyncio

import msgspec

from roost.daemon.definitions.files import WatchedFiles
from roost.daemon.definitions.large_inputs import (
    DEADLINE_SECONDS,
    LARGE_BYTES,
    READING_WORKERS,
    LargeInputError,
    ReadingTimeoutError,
    SmallFiles,
)
from roost.daemon.workers.context import JobContext
from roost.daemon.workers.errors import WorkerTimeoutError
from roost.daemon.workers.jobs import WorkerJob
from roost.daemon.workers.pool import WorkerPool
from roost.model.edits.change import EditOrder
from roost.model.edits.edit import EditedSource, edit_source
from roost.model.errors import Location
from roost.model.readers.source import DefinitionSource


class LargeEditRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A file with its content, and what is to be changed in it."""

    source: DefinitionSource
    order: EditOrder


EDIT = WorkerJob(
    kind=READING_WORKERS, target="roost.daemon.edits.large_files:edit_large", payload=LargeEditRequest,
    result=EditedSource, doing="editing a definition", timeout=DEADLINE_SECONDS,
)  # fmt: skip


async def edit_text(workers: WorkerPool, source: DefinitionSource, order: EditOrder) -> EditedSource:
    """Return the change of ``source``, which has its content.

    Raises what ``model.edits.edit`` raises, ReadingTimeoutError, WorkerCrashedError.
    """
    try:
        return await asyncio.to_thread(_edit_small, source, order)
    except LargeInputError as large:
        try:
            return await workers.run(EDIT, LargeEditRequest(source=source, order=order))
        except WorkerTimeoutError as error:
            raise ReadingTimeoutError(
                f"{large.path} was not edited within {EDIT.timeout:g} s: it has {large.size:,} bytes, with what it "
                "includes",
                hint="Edit it by hand, or split it.",
                location=Location(path=large.path),
                fields={"bytes": large.size, "seconds": EDIT.timeout},
            ) from error


def _edit_small(source: DefinitionSource, order: EditOrder) -> EditedSource:
    assert source.path is not None
    assert source.data is not None
    if len(source.data) > LARGE_BYTES:
        raise LargeInputError(source.path, len(source.data))
    return edit_source(source, SmallFiles(), order)


def edit_large(request: LargeEditRequest, context: JobContext) -> EditedSource:
    """Edit what ``request`` has, in a worker."""
    return edit_source(request.source, WatchedFiles(), request.order)
