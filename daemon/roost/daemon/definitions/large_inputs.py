"""Large inputs are read in a worker with a deadline: a thread can't be stopped, and holds the interpreter meanwhile."""

from __future__ import annotations

import msgspec

from roost.daemon.definitions.files import FilesWithin, WatchedFiles
from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.workers.errors import WorkerTimeoutError
from roost.daemon.workers.jobs import WorkerJob, WorkerKind
from roost.daemon.workers.pool import WorkerPool
from roost.model.definition import Defaults
from roost.model.errors import InvalidDefinitionError, Location
from roost.wire.plans import EnvironmentSelector

LARGE_BYTES = 256_000
"""Bytes of a source and the files that it includes, beyond which they are read in a worker."""
DEADLINE_SECONDS = 30.0
"""The bounds of ``roost.model.documents`` let any file be read in a few seconds."""

READING_WORKERS = WorkerKind(
    name="reading", modules=("roost.daemon.definitions.resolve",), processes=2, memory_share=0.25
)


class ReadingTimeoutError(InvalidDefinitionError):
    """A definition could not be read within :data:`DEADLINE_SECONDS`."""

    code = "definition-slow"


class LargeReadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to read, and the defaults to digest it with."""

    selector: EnvironmentSelector
    defaults: Defaults
    folder: str | None = None
    """The only folder that may be read, if any."""


READ = WorkerJob(
    kind=READING_WORKERS, target="roost.daemon.definitions.resolve:read_large", payload=LargeReadRequest,
    result=ResolvedDefinition, doing="reading a definition", timeout=DEADLINE_SECONDS,
)  # fmt: skip


class LargeInputError(Exception):
    """Not an error of the user: the source has to be read in a worker. ``path`` is the file that is too large."""

    def __init__(self, path: str, size: int) -> None:
        super().__init__(path)
        self.path = path
        self.size = size


class SmallFiles(WatchedFiles):
    """Watched files that raise :class:`LargeInputError` if more than :data:`LARGE_BYTES` of them are read."""

    def __init__(self, *folder: str) -> None:
        super().__init__(*folder)
        self._sizes: dict[str, int] = {}
        """Bytes of each file: the search for a definition reads files that are read again as parts of it."""

    def read_unwatched(self, path: str) -> bytes:
        data = super().read_unwatched(path)
        self._sizes[path] = len(data)
        if (total := sum(self._sizes.values())) > LARGE_BYTES:
            raise LargeInputError(path, total)
        return data


class SmallFilesWithin(SmallFiles, FilesWithin):
    """The same for the files of one folder."""


def check_sent_size(selector: EnvironmentSelector) -> None:
    """Raise :class:`LargeInputError` if the text or the document that a client sent is large. Blocks."""
    size = len(selector.text or "")
    if selector.document is not None:
        size += len(msgspec.json.encode(selector.document))
    if size > LARGE_BYTES:
        raise LargeInputError(selector.file or "<document>", size)


async def read_in_worker(
    workers: WorkerPool,
    selector: EnvironmentSelector,
    defaults: Defaults,
    large: LargeInputError,
    folder: str | None,
) -> ResolvedDefinition:
    """Read what ``selector`` names in a worker: in ``folder`` alone, if that is given.

    Raises:
        ReadingTimeoutError: if that takes too long.
        WorkerCrashedError: if the worker ends, because it needs too much memory for example.
        InvalidDefinitionError, LookupFailedError: as reading in this process does.
    """
    try:
        return await workers.run(READ, LargeReadRequest(selector=selector, defaults=defaults, folder=folder))
    except WorkerTimeoutError as error:
        raise ReadingTimeoutError(
            f"{large.path} was not read within {READ.timeout:g} s: it has {large.size:,} bytes, with what it includes",
            hint="Check that this is the file that you meant, or split it; a definition rarely has more than some "
            "thousand lines.",
            location=Location(path=large.path),
            fields={"bytes": large.size, "seconds": READ.timeout},
        ) from error
