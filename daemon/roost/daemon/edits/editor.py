"""One change of an environment file, in reading order: find, edit, solve, record, replace, report.

Until the file is replaced nothing that a user sees has changed: whatever fails before leaves it as it was, byte for
byte. Changes of one file go one at a time, so that the second begins with the result of the first.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import msgspec

from roost.daemon.builds.builds import Builds
from roost.daemon.decision.facts import Request
from roost.daemon.definitions.files import WatchedFiles
from roost.daemon.definitions.resolve import check_selector, find_file
from roost.daemon.definitions.resolved import ResolvedDefinition, TargetedDefinition
from roost.daemon.edits.locking import EditLock, EditLocks, selector_of_text
from roost.daemon.edits.replacement import FileNotWritableError, OriginalFile, read_original, replace_file
from roost.daemon.edits.texts import describe_by_hand, explain_failure, format_diff
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.reporter import BuildProgress
from roost.daemon.jobs.views import as_coded_error, error_body
from roost.daemon.jobs.work_limit import WorkLimit
from roost.daemon.jobs.work_stream import convert_progress, stream_work
from roost.daemon.lock_files.applying import describe_asked
from roost.daemon.lock_files.choice import STALE
from roost.daemon.locks.former import note_use
from roost.daemon.locks.solve import describe_unanswered
from roost.daemon.planning.planner import Planner
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.edits.change import EditOrder, with_versions
from roost.model.errors import (
    CodedError,
    InvalidDefinitionError,
    InvalidRequestError,
    Location,
    LookupFailedError,
)
from roost.model.locks.lock import digest_lock
from roost.model.readers.source import DefinitionSource, require_utf8_path
from roost.store.cancellation import finish_thread_despite_cancel
from roost.store.sources.discover import DiscoveredFile
from roost.store.store import Store
from roost.wire.builds import Message
from roost.wire.edits import EditedItemView, EditMessage, EditRequest, EditResult
from roost.wire.plans import EnvironmentSelector
from roost.wire.protocol import ErrorBody, WarningView

if TYPE_CHECKING:
    from roost.model.edits.edit import EditedSource

_FILE_NAME = re.compile(r"[^\s;@\[]+\.(?:txt|in|py|ya?ml|toml)")
log = logging.getLogger(__name__)
Publish = Callable[[Message], None]


@dataclass(frozen=True, kw_only=True)
class ChangedText:
    """The file with the packages added and removed, and the definition that it has then."""

    edited: EditedSource
    selector: EnvironmentSelector
    resolved: TargetedDefinition


class EnvironmentEditor:
    """Adds packages to environment files, and removes them."""

    def __init__(
        self,
        store: Store,
        engines: Engines,
        resolver: EnvironmentResolver,
        planner: Planner,
        builds: Builds,
        on_use: Callable[[EnvironmentSelector, ResolvedDefinition], None] = lambda selector, resolved: None,
    ) -> None:
        """``on_use`` is called with the request's selector and the definition of a file that was replaced."""
        self._store = store
        self._on_use = on_use
        self._engines = engines
        self._resolver = resolver
        self._locks = EditLocks(store.index, engines, planner, builds)
        self._turns: WeakValueDictionary[str, WorkLimit] = WeakValueDictionary()
        """Held by the change of a file, by the file's path without links."""

    def stream(self, request: EditRequest) -> AsyncGenerator[EditMessage, None]:
        """Edit, and return what happens; the last message is ``result`` or ``error``. Closing the iterator cancels the
        edit, unless the file is being replaced at this moment."""

        async def work(publish: Publish) -> EditMessage:
            return EditMessage(event="result", result=await self.edit(request, publish))

        return stream_work(work, _convert, lambda error: EditMessage(event="error", error=_describe(error)))

    async def edit(self, request: EditRequest, publish: Publish) -> EditResult:
        """Edit the file that ``request`` names.

        Raises: InvalidRequestError if the request names no file; EditRefusedError, PackageNotListedError and
        PackageTextError of ``model.edits``; FileChangedError, FileNotWritableError; what reading the definition before
        and after, and solving, raise.
        """
        check_request(request)
        found = await asyncio.to_thread(_find, request)
        real = await asyncio.to_thread(os.path.realpath, found.path)
        turn = self._turns.setdefault(real, WorkLimit(1, exclusive=True))
        progress = BuildProgress(publish, request.what.environ)
        async with turn.hold(progress):
            return await self._edit_alone(request, found, progress)

    async def _edit_alone(self, request: EditRequest, found: DiscoveredFile, progress: BuildProgress) -> EditResult:
        original = await asyncio.to_thread(_read, found.path)
        order = EditOrder(
            add=tuple(request.add),
            remove=tuple(request.remove),
            section=request.section,
            group=request.group,
            extra=request.extra,
        )
        try:
            changed = await self._change(request, found, original, order)
        except CodedError as error:
            explain_failure(error, original, original.data)
            raise
        if changed.edited.data == original.data:
            return await self._report(request, original, changed, None)
        try:
            before = await self._resolve_before(request, original)
            chosen = await self._locks.choose(changed.resolved, before, changed.selector, progress)
            if chosen is not None and changed.edited.unbounded:
                # The lock of the text without bounds is one of the text with them: they are the versions that it has.
                order = with_versions(order, _versions(changed.edited, chosen))
                changed = await self._change(request, found, original, order)
            if not request.dry_run:
                chosen = await self._write(original, changed, chosen, progress)
                if request.group is None and request.extra is None:
                    self._on_use(request.what, changed.resolved)
        except CodedError as error:
            explain_failure(error, original, changed.edited.data)
            raise
        return await self._report(request, original, changed, chosen)

    # -------------------------------------------------------------------- edit
    async def _change(
        self, request: EditRequest, found: DiscoveredFile, original: OriginalFile, order: EditOrder
    ) -> ChangedText:
        from roost.daemon.edits.large_files import edit_text  # the formats' rules: few daemons ever edit a file

        source = DefinitionSource(path=original.path, data=original.data, format=found.format)
        edited = await edit_text(self._engines.workers, source, order)
        resolved, selector = await self._resolve(selector_of_text(request, original.path, edited.data))
        return ChangedText(edited=edited, selector=selector, resolved=resolved)

    async def _resolve_before(self, request: EditRequest, original: OriginalFile) -> TargetedDefinition | None:
        """Return the definition before the change, without the group or extra if it lacked that; ``None`` if it was
        none."""
        for has_list in (True, False):
            with suppress(InvalidDefinitionError, InvalidRequestError, LookupFailedError):
                selector = selector_of_text(request, original.path, original.data, has_list=has_list)
                return (await self._resolve(selector))[0]
        return None

    async def _resolve(self, selector: EnvironmentSelector) -> tuple[TargetedDefinition, EnvironmentSelector]:
        """Return the definition of a text for the target that it chooses by itself, and what names it there."""
        resolved = await self._resolver.resolve(selector)
        return await self._resolver.target(resolved, Request(definition=resolved.definition), selector)

    # ------------------------------------------------------------------- write
    async def _write(
        self, original: OriginalFile, changed: ChangedText, chosen: EditLock | None, progress: BuildProgress
    ) -> EditLock | None:
        """Record the lock, then replace the file: a watch that sees the new file finds the lock."""
        if chosen is not None:
            chosen = await self._locks.record(changed.resolved, chosen, progress)
        try:
            await finish_thread_despite_cancel(replace_file, original, changed.edited.data)
        except FileNotWritableError as error:
            error.hint = f"{error.hint} {describe_by_hand(changed.edited.items)}"
            raise
        await note_use(self._store.index, changed.resolved)
        return chosen

    # ------------------------------------------------------------------ report
    async def _report(
        self, request: EditRequest, original: OriginalFile, changed: ChangedText, chosen: EditLock | None
    ) -> EditResult:
        edited, resolved = changed.edited, changed.resolved
        is_changed = edited.data != original.data
        if chosen is None and not is_changed:
            chosen = await self._locks.find(resolved)
        unanswered = describe_unanswered(chosen.lock) if chosen is not None else None
        items = msgspec.convert(msgspec.to_builtins(edited.items), list[EditedItemView])
        for item in items if chosen is not None else ():
            item.version = chosen.find_version(item.name, item.section) if chosen and item.after else None
        lock = chosen.lock if chosen is not None else None
        return EditResult(
            file=original.path,
            format=edited.format,
            is_written=is_changed and not request.dry_run,
            items=items,
            changes=await self._locks.list_changes(resolved, chosen) if chosen is not None else [],
            definition_digest=resolved.digest,
            lock_digest=digest_lock(lock) if lock is not None else None,
            packages=len(lock.conda) + len(lock.wheels) if lock is not None else None,
            diff=format_diff(original, edited.data) if is_changed else "",
            reasons=[unanswered] if unanswered is not None else [],
            warnings=[_rephrase(warning, resolved, request.what) for warning in resolved.warnings],
        )


def check_request(request: EditRequest) -> None:
    """Raise InvalidRequestError if ``request`` names no file, or nothing to do."""
    what = request.what
    check_selector(what)
    if what.environment is not None:
        raise InvalidRequestError(
            f"-e {what.environment} names a registered environment, and only files are edited",
            hint=f"`roost env edit {what.environment}` makes its next version.",
        )
    if what.image is not None or what.run is not None or what.document is not None or what.text is not None:
        raise InvalidRequestError("Only a file can be edited", hint="Name it with -f, or leave -f out.")
    if what.generation is not None or what.lock is not None or what.generation_of is not None:
        raise InvalidRequestError("An edit begins with the file, and no earlier result", hint="Name no generation.")
    if not request.add and not request.remove:
        raise InvalidRequestError("No package is named", hint="Name a package, such as numpy or 'numpy>=2'.")


def _find(request: EditRequest) -> DiscoveredFile:
    """Find the file that is to be changed. Raises: LookupFailedError, InvalidDefinitionError; InvalidRequestError if a
    package is a file."""
    refuse_files(request)
    try:
        return find_file(request.what, WatchedFiles())
    except LookupFailedError as error:
        named = request.what.file
        if named is not None and not os.path.lexists(os.path.join(request.what.cwd or "", named)):
            kind = "--script " if named.endswith(".py") else ""
            error.hint = f"`roost init {kind}{shlex.quote(named)}` begins it."
        raise


def refuse_files(request: EditRequest) -> None:
    """Raise InvalidRequestError if one of the packages is the name of a file that is there."""
    for text in request.add:
        if not _FILE_NAME.fullmatch(text) or not os.path.isfile(os.path.join(request.what.cwd or "", text)):
            continue
        others = [shlex.quote(other) for other in request.add if other != text] or ["PKG"]
        option = "--script" if text.endswith(".py") else "-f"
        raise InvalidRequestError(
            f"{text} is a file, and not a package",
            hint=f"`roost add {option} {shlex.quote(text)} {' '.join(others)}` adds packages to it.",
        )


def _read(path: str) -> OriginalFile:
    """Read the file that is to be changed. Raises: LookupFailedError, InvalidDefinitionError, FileNotWritableError."""
    if os.path.isdir(require_utf8_path(path)):
        raise LookupFailedError(
            f"There is no environment file in {path} that could be edited", hint=f"`roost init {path}` begins one."
        )
    try:
        return read_original(path)
    except OSError as error:
        raise InvalidDefinitionError(
            f"{path} can't be read: {error.strerror or error}",
            hint="Make it readable, or name an environment file with -f.",
            location=Location(path=path),
        ) from error


def _rephrase(warning: WarningView, resolved: TargetedDefinition, what: EnvironmentSelector) -> WarningView:
    """Say of a lock file that it does not have the change yet: what a solve prefers is of no use to know here."""
    if warning.code != STALE or resolved.lock_file is None:
        return warning
    asked = describe_asked(resolved, what, resolved.lock_file.path)
    text = f"{asked.path} is for another content of the file: `{asked.command}` brings it up to date"
    return WarningView(code=STALE, message=text)


def _versions(edited: EditedSource, chosen: EditLock) -> dict[str, str]:
    """Return the versions that the lock has of the packages that get a bound."""
    found = {name: chosen.find_version(name, "pip") or chosen.find_version(name, "conda") for name in edited.unbounded}
    return {name: version for name, version in found.items() if version is not None}


def _convert(message: Message) -> EditMessage:
    return convert_progress(message, EditMessage)


def _describe(error: Exception) -> ErrorBody:
    if not isinstance(error, CodedError):
        log.error("An edit failed", exc_info=error)
    return error_body(as_coded_error(error, "edit"))
