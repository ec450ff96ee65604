"""Read a watched definition: what it is now, or why it is none, and which inputs it was read from. Runs no code."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable

import msgspec

from roost.daemon.caller.current import use_caller
from roost.daemon.decision.facts import Request
from roost.daemon.definitions.large_inputs import SmallFiles
from roost.daemon.definitions.resolved import ResolvedDefinition, TargetedDefinition
from roost.daemon.jobs.views import as_coded_error, error_body
from roost.daemon.planning.planner import Planner
from roost.daemon.watch.closure import Closure, find_closure
from roost.daemon.watch.states import Planned, Trouble, Unreadable
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.definition import NO_CHOICES, Choices
from roost.model.errors import CodedError, InvalidDefinitionError, Location
from roost.wire.plans import EnvironmentSelector

log = logging.getLogger(__name__)
WAITING_CODES = frozenset({"variable-missing", "git-denied", "index-denied", "channel-refused"})
"""Codes of errors that mean that a caller has to bring credentials."""


class WatchSubject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is watched: how a command names the definition, and what it is for."""

    path: str
    """The file, or a folder with an environment file."""
    cwd: str | None = None
    """The folder from which a search led to the file; ``None`` if it was named."""
    target: str = "auto"
    ignore_image: bool = False
    choices: Choices = NO_CHOICES
    no_project: bool = False
    locked: bool = False
    caller: dict[str, str] = {}
    """What may be stored of the last caller's variables."""

    @property
    def selector(self) -> EnvironmentSelector:
        """Return what a command would send."""
        return EnvironmentSelector(
            cwd=self.cwd or os.path.dirname(self.path),
            file=self.path if self.cwd is None else None,
            ignore_image=self.ignore_image,
            python=self.choices.python,
            extras=list(self.choices.extras),
            groups=list(self.choices.groups),
            no_project=self.no_project,
            locked=self.locked,
        )


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Result of reading: a definition for its target, or why there is none; and its inputs in any case."""

    closure: Closure
    definition: TargetedDefinition | None = None
    fault: Unreadable | None = None
    found: str | None = None
    """The environment file that was read, which may be another one than the watched path."""
    lock: str = ""
    """Digest of the lock that its lock file has for it; empty if it has none."""


class DefinitionReader:
    """Reads and plans what is watched, in the way that requests do, for the last caller of each."""

    def __init__(
        self, resolver: EnvironmentResolver, planner: Planner, config: str, may_run_code: Callable[[], bool]
    ) -> None:
        """``config``: path of the config file, whether it exists or not. ``may_run_code``: whether prebuilding runs
        code that has not run here before."""
        self._resolver = resolver
        self._planner = planner
        self._may_run_code = may_run_code
        self.config = config

    async def read(self, subject: WatchSubject) -> Reading:
        """Return what ``subject`` is now. Never raises an error of the definition."""
        files, resolved, error = SmallFiles(), None, None
        with use_caller(subject.caller):
            try:
                resolved = await self._resolver.resolve(subject.selector, files=files)
                request, selector = make_request(subject, resolved), subject.selector
                definition, _ = await self._resolver.target(resolved, request, selector)
            except Exception as failure:
                if not isinstance(failure, CodedError):
                    log.exception("A watched definition could not be read: %s", subject.path)
                definition, error = None, as_coded_error(failure)
            closure = await asyncio.to_thread(find_closure, subject.path, files, resolved, error, self.config)
            fault = await asyncio.to_thread(_find_fault, subject, definition, error)
        if definition is not None:  # many watches may have one definition
            definition = msgspec.structs.replace(definition, digest=sys.intern(definition.digest))
        found = resolved.source.path if resolved is not None else None
        stated = definition.file_lock if definition is not None else None
        return Reading(
            closure=closure,
            definition=None if fault else definition,
            fault=fault,
            found=found,
            lock=stated.digest if stated is not None else "",
        )

    def without_code(self, definition: TargetedDefinition) -> TargetedDefinition:
        """Return what of a definition is made ready in the background: its project is installed when somebody asks for
        it, unless prebuilding may run all code. After an edit its build files are others, which have never run."""
        if definition.project is None or self._may_run_code():
            return definition
        return msgspec.structs.replace(definition, project=None)

    async def plan(self, subject: WatchSubject, definition: TargetedDefinition) -> Planned:
        """Return whether the environment is ready. Never raises an error of planning."""
        request, selector = make_request(subject, definition), subject.selector
        prebuilt = self.without_code(definition)
        if definition.definition.python.user_managed and "PATH" in subject.caller:
            selector.environ = {"PATH": subject.caller["PATH"]}  # an interpreter without a path is searched there
        with use_caller(subject.caller):
            try:
                planned = await self._planner.plan(definition, request, selector)
                if not planned.is_ready and prebuilt is not definition:
                    planned = await self._planner.plan(prebuilt, request, selector)
            except Exception as failure:
                if not isinstance(failure, CodedError):
                    log.exception("A watched definition could not be planned: %s", subject.path)
                error = as_coded_error(failure)
                broken, waits = isinstance(error, InvalidDefinitionError), error.code in WAITING_CODES
                trouble, passing = describe_error(error), error.retryable and not broken
                return Planned(definition.digest, False, trouble, waits=waits, broken=broken, passing=passing)
        return Planned(definition.digest, planned.is_ready)


def make_request(subject: WatchSubject, definition: ResolvedDefinition) -> Request:
    """Return the request of a build that nobody waits for."""
    return Request(definition=definition.definition, target=subject.target, ignore_image=subject.ignore_image)


def describe_error(error: CodedError) -> Trouble:
    """Return an error as a reason, with its place."""
    body = error_body(error)
    where = body.location
    location = Location(path=where.path, line=where.line, column=where.column) if where is not None else None
    return Trouble(code=body.code, message=body.message, location=location)


def _find_fault(
    subject: WatchSubject, definition: ResolvedDefinition | None, error: CodedError | None
) -> Unreadable | None:
    """Return why there is nothing to build: the file is broken or missing, or a search leads to another one. Blocks."""
    exists = os.path.lexists(subject.path)
    if not exists:
        message = f"{subject.path} does not exist"
        return Unreadable("missing", Trouble(code="file-missing", message=message))
    if error is not None:
        is_empty = os.path.isdir(subject.path) and error.code == "definition-not-found"
        return Unreadable("missing" if is_empty else "broken", describe_error(error))
    found = definition.source.path if definition is not None else None
    if subject.cwd is not None and found is not None and found != subject.path:
        message = f"{found} is used instead"
        return Unreadable("passed-over", Trouble(code="file-passed-over", message=message))
    return None
