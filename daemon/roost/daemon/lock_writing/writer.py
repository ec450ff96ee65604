"""Write the lock file of a definition, in reading order: read, lock, merge, replace.

The lock of a target is, in this order: 1. that of the file if it fits the definition, 2. that of the current
generation, 3. one that another machine shared, 4. a new solve, which prefers the versions of a file that does not fit.
With ``rebuild`` it is a new solve without preferences. The first lock of a definition is recorded as its generation,
as that of a build is.

Until the file is replaced, nothing that a user sees has changed; whatever fails before leaves it as it was.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable
from weakref import WeakValueDictionary

import msgspec

from roost.daemon.builds.builds import Builds
from roost.daemon.decision.facts import Request
from roost.daemon.decision.images import is_unmodified
from roost.daemon.definitions.choices import get_choices
from roost.daemon.definitions.resolved import LockFilePlace, ResolvedDefinition, TargetedDefinition, target_definition
from roost.daemon.edits.locking import EditLock, EditLocks, find_stored
from roost.daemon.edits.replacement import (
    FilePresentError,
    OriginalFile,
    create_file,
    read_original,
    replace_file,
    require_writable,
)
from roost.daemon.engines.conda.platforms import baseline_packages
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.reporter import BuildProgress
from roost.daemon.jobs.views import as_coded_error, error_body
from roost.daemon.jobs.work_limit import WorkLimit
from roost.daemon.jobs.work_stream import convert_progress, stream_work
from roost.daemon.lock_files.choice import show_path, tell_other_choices
from roost.daemon.lock_files.reading import read_lock_file
from roost.daemon.lock_writing.merging import MergedFile, merge_locks
from roost.daemon.lock_writing.portability import make_portable
from roost.daemon.planning.planner import Planner
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.errors import CodedError, InvalidRequestError
from roost.model.lock_files.lock_file import LockFile, normalise_choices
from roost.model.lock_files.parsing import LockFileInvalidError, LockFileNewerError, parse_lock_file
from roost.model.lock_files.writing import write_lock_file
from roost.model.locks.lock import Lock
from roost.model.records import HOST_SCOPE
from roost.store.cancellation import finish_thread_despite_cancel
from roost.store.store import Store
from roost.wire.builds import Message
from roost.wire.edits import LockFileMessage, LockFileRequest, LockFileResult
from roost.wire.plans import EnvironmentSelector
from roost.wire.protocol import ErrorBody, WarningView

log = logging.getLogger(__name__)


class LockFileWriter:
    """Writes lock files."""

    def __init__(
        self, store: Store, engines: Engines, resolver: EnvironmentResolver, planner: Planner, builds: Builds
    ) -> None:
        self._index = store.index
        self._resolver = resolver
        self._planner = planner
        self._locks = EditLocks(store.index, engines, planner, builds)
        self._turns: WeakValueDictionary[str, WorkLimit] = WeakValueDictionary()
        """Held by the writing of a file, by its path."""

    def stream(self, request: LockFileRequest) -> AsyncGenerator[LockFileMessage, None]:
        """Write, and return what happens; the last message is ``result`` or ``error``. Closing the iterator cancels
        it, unless the file is being replaced at this moment."""

        async def work(publish: Callable[[Message], None]) -> LockFileMessage:
            return LockFileMessage(event="result", result=await self.write(request, publish))

        return stream_work(work, _convert, lambda error: LockFileMessage(event="error", error=_describe(error)))

    async def write(self, request: LockFileRequest, publish: Callable[[Message], None]) -> LockFileResult:
        """Write the lock file that belongs to the definition of ``request``.

        Raises: InvalidRequestError if there is none; LockFileLocalError; LockFileInvalidError and LockFileNewerError
        if the file can't be read and is not to be replaced; FileChangedError, FileNotWritableError; what reading the
        definition and solving raise.
        """
        resolved = await self._resolver.resolve(request.what)
        place = require_place(resolved, request.what)
        publish(Message(event="log", line="", source=resolved.source))
        progress = BuildProgress(publish, request.what.environ)
        turn = self._turns.setdefault(place.path, WorkLimit(1, exclusive=True))
        async with turn.hold(progress):
            original = await asyncio.to_thread(_read, place)
            former = await asyncio.to_thread(_parse, original, place.path, ignores_faults=request.rebuild)
            targets = list_targets(resolved, request, former)
            locks: dict[str, Lock] = {}
            for number, targeted in enumerate(targets):
                lock = await self._lock(targeted, request, former, progress, is_own=number == 0)
                locks[targeted.lock_scope] = make_portable(lock, targeted.lock_scope)
            choices = normalise_choices(get_choices(request.what))
            merged = merge_locks(former, resolved.canonical, locks, choices=choices, whole=request.rebuild)
            written = await finish_thread_despite_cancel(_replace, place.path, original, merged, request.umask)
        other = None
        if former is not None:
            other = tell_other_choices(former.choices, choices, show_path(place.path, request.what.cwd))
        told = [WarningView(code=other.code, message=other.message)] if other is not None else []
        return LockFileResult(
            file=place.path,
            is_written=written,
            definition_digest=resolved.digest,
            sections=list(merged.sections),
            warnings=[*resolved.warnings, *told],
        )

    async def _lock(
        self,
        targeted: TargetedDefinition,
        request: LockFileRequest,
        former: LockFile | None,
        progress: BuildProgress,
        *,
        is_own: bool,
    ) -> Lock:
        """Return the lock for one target. ``is_own``: it is what runs here, so that a first lock is recorded."""
        selector = request.what
        if request.rebuild:
            return await self._locks.solve(targeted, selector, None, progress)
        if selector.lock is None and selector.generation is None and former is not None:
            asked = Request(definition=targeted.definition, target=request.target)
            targeted = await self._planner.lock_files.apply(targeted, selector, asked)
            if targeted.file_lock is not None:
                return await find_stored(self._index, targeted.file_lock)
        chosen = await self._locks.choose(targeted, None, selector, progress)
        assert chosen is not None  # something is installed: see `require_place`
        if is_own and selector.lock is None and selector.generation is None:
            chosen = await self._locks.record(targeted, EditLock(lock=chosen.lock), progress)
        return chosen.lock


def require_place(resolved: ResolvedDefinition, selector: EnvironmentSelector) -> LockFilePlace:
    """Return where the lock file is or will be. Raises InvalidRequestError if the definition has none."""
    if resolved.lock_file is None or resolved.source.path is None:
        raise InvalidRequestError(
            "A lock file lies beside the file of a definition, and this one was not read from a file",
            hint="Name a file with -f, or go to its folder.",
        )
    if resolved.definition.python.user_managed or is_unmodified(resolved.definition):
        raise InvalidRequestError("A user-managed definition has no lock", hint="Roost installs nothing for it.")
    if selector.additions:
        raise InvalidRequestError(
            "--with adds packages for one run, which no lock file has", hint="`roost add PKG` adds them to the file."
        )
    return resolved.lock_file


def list_targets(
    resolved: ResolvedDefinition, request: LockFileRequest, former: LockFile | None
) -> list[TargetedDefinition]:
    """Return what is to be locked: the target on this machine first, then the platforms that are requested, and those
    that a file has which is replaced as a whole, as far as they can be solved for here.

    Raises PlatformUnknownError.
    """
    asked = Request(definition=resolved.definition, target=request.target, ignore_image=request.what.ignore_image)
    own = target_definition(resolved, asked)
    scopes = list(former.locks) if former is not None and request.rebuild else []
    targets = {own.lock_scope: own}
    if (here := resolved.for_prefix()).lock_scope in scopes:
        targets.setdefault(here.lock_scope, here)
    for platform in (*request.platforms, *(scope for scope in scopes if not scope.endswith(HOST_SCOPE))):
        targeted = target_platform(own, platform)
        targets.setdefault(targeted.lock_scope, targeted)
    return list(targets.values())


def target_platform(own: TargetedDefinition, platform: str) -> TargetedDefinition:
    """Return the definition of ``own`` for a platform that is named: whatever is provided here by a Python of this
    machine, conda's Python provides there, as in images, so that the name means the same on every machine.
    Raises PlatformUnknownError."""
    baseline_packages(platform, own.definition.system)
    return msgspec.structs.replace(own, platform=platform, is_image=own.is_image or own.uses_host_python)


def _read(place: LockFilePlace) -> OriginalFile | None:
    """Return the file as it is; ``None`` if there is none. Blocks. Raises LockFileInvalidError if there is something
    else of its name, FileNotWritableError."""
    if not os.path.lexists(place.path):
        require_writable(os.path.dirname(place.path), place.path, "Make the folder writable: the lock file lies there.")
        return None
    read_lock_file(place.path)
    return read_original(place.path)


def _parse(original: OriginalFile | None, path: str, *, ignores_faults: bool) -> LockFile | None:
    if original is None:
        return None
    try:
        return parse_lock_file(original.data, path)
    except (LockFileInvalidError, LockFileNewerError):
        if not ignores_faults:
            raise
        return None


def _replace(path: str, original: OriginalFile | None, merged: MergedFile, umask: int) -> bool:
    """Write the file, unless it says this already. Return whether it was written. Blocks."""
    data = write_lock_file(merged.file).encode()
    if original is None:
        create_file(path, data, 0o666 & ~umask)
        return True
    if original.data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n") == data:
        return False
    replace_file(original, data)
    return True


def _convert(message: Message) -> LockFileMessage:
    return convert_progress(message, LockFileMessage)


def _describe(error: Exception) -> ErrorBody:
    if isinstance(error, FilePresentError):
        error.message, error.hint = "The lock file was created by somebody else meanwhile", "Run the command again."
    if not isinstance(error, CodedError):
        log.error("A lock file could not be written", exc_info=error)
    return error_body(as_coded_error(error, "lock"))
