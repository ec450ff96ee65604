"""Whether the lock of a lock file may be used: it must be one that the definition itself could have given.

A file under version control can be edited by anyone who can open a merge request, as a registry can be written to by
others, so the same holds of both (``locks.verify_offline``): the lock satisfies the definition's lines, and everything
lies in channels that the definition or the config names. Before the first use on this machine, the channels and
indexes are asked whether they list each package with that sha256 (``locks.attest``). If they do not answer, the lock
is used all the same, and that is reported (``lock-unvouched``), unless a wheel lies elsewhere than at the index's own
place (``places``): its sha256 is the file's own word.

A wheel that stands as its source is built here at the first use, from exactly that source.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from roost.daemon.definitions.resolved import FileLock, TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.errors import NoInterpreterError
from roost.daemon.jobs.progress import Progress
from roost.daemon.lock_files.places import find_unplaced, list_places
from roost.daemon.lock_files.reading import find_line
from roost.daemon.locks.artifact import LockUntrustedError, SharedLock
from roost.daemon.locks.attest import ask_sources
from roost.daemon.locks.expectation import LockJob, expand_lines, find_python, verify_offline
from roost.daemon.locks.solve import add_asked_markers, create_solve_job
from roost.daemon.oci.target_platforms import local_platform, split_platform
from roost.model.errors import Location, ServiceUnreachableError
from roost.model.lock_files.parsing import LockFileInvalidError
from roost.model.locks.lock import Lock, is_source, with_format
from roost.store.index.index import Index
from roost.wire.plans import EnvironmentSelector, Reason

UNVOUCHED = "lock-unvouched"
UNFIT = "lock-unfit"
UNTRUSTED_HINT = (
    "Nothing of it is used. Put the file back (`git checkout`), or write it again: `roost lock --write --rebuild`."
)


class LockFileUntrustedError(LockFileInvalidError):
    """The lock of a lock file is not what the definition asks for; nothing of it is used."""

    code = "lock-file-untrusted"


class VouchedLock(msgspec.Struct, frozen=True, kw_only=True):
    """A lock to build from."""

    lock: Lock
    reason: Reason | None = None
    """``lock-unvouched``, if channels or indexes did not answer."""


class LockFileVoucher:
    """Verifies locks of lock files."""

    def __init__(self, index: Index, engines: Engines) -> None:
        self._index = index
        self._engines = engines

    async def verify(
        self,
        resolved: TargetedDefinition,
        selector: EnvironmentSelector,
        file_lock: FileLock,
        *,
        finds_python: bool = True,
    ) -> Reason | None:
        """Check the lock against the definition, without asking anybody. Return why no Python of this machine fits,
        unless it does not have to (``finds_python``).

        Raises LockFileUntrustedError, VariableMissingError.
        """
        job, shared = _create_job(resolved, selector), _share(resolved, file_lock)
        try:
            python = await find_python(shared, job) if finds_python else None
        except NoInterpreterError as error:
            text = f"The lock of {file_lock.shown} is not used on this machine: {error.message}"
            return Reason(code=UNFIT, message=text)
        async with _naming(file_lock):
            await verify_offline(self._engines.conda_rules(), shared, job, allow_built=False, python=python)
        return None

    async def vouch(
        self, resolved: TargetedDefinition, selector: EnvironmentSelector, progress: Progress
    ) -> VouchedLock:
        """Return the lock to build from: attested by channels and indexes if they answer, with its sources built.

        Raises LockFileUntrustedError, NoInterpreterError, and what building wheels raises.
        """
        file_lock = resolved.file_lock
        assert file_lock is not None
        job, shared = _create_job(resolved, selector), _share(resolved, file_lock)
        python = await find_python(shared, job)
        async with _naming(file_lock):
            await verify_offline(self._engines.conda_rules(), shared, job, allow_built=False, python=python)
            async with self._engines.solving.hold(progress):
                found = await ask_sources(self._engines, shared, job, {}, progress, allow_built=False, python=python)
        silent = found.silent_channels or found.silent_indexes
        if silent is not None:
            if any(map(is_source, file_lock.lock.wheels)):
                raise silent
            if found.silent_indexes is not None:
                await self._require_places(job, file_lock, found.silent_indexes)
            text = (
                f"Channels or indexes did not vouch for the lock of {file_lock.shown}, which is used all the same: "
                f"{silent.message}"
            )
            return VouchedLock(lock=file_lock.lock, reason=Reason(code=UNVOUCHED, message=text))
        lock = found.lock if python is None else add_asked_markers(found.lock, job.solve, python)
        return VouchedLock(lock=with_format(lock))

    async def _require_places(self, job: LockJob, file_lock: FileLock, silent: ServiceUnreachableError) -> None:
        """Raise LockFileUntrustedError if a wheel is neither here already nor at the place of an index."""
        wheels, variables = file_lock.lock.wheels, job.solve.environ
        lines = expand_lines(job.solve.definition.pip.requirements)
        places = list_places(job.solve.defaults.index, (*lines.items, *lines.constraints), variables)
        stored = await self._index.caches.list_known({wheel.sha256 for wheel in wheels if wheel.kind == "index"})
        unplaced = find_unplaced(wheels, places, stored, variables)
        if unplaced is None:
            return
        line = await asyncio.to_thread(find_line, file_lock, unplaced.file_name)
        raise LockFileUntrustedError(
            f"The lock for {file_lock.lock.platform} in the lock file has {unplaced.file_name} from {unplaced.url}, "
            f"and no index vouches for it: {silent.message}",
            hint="Try again when the index answers: until then, only files at its own place or stored here are used.",
            location=Location(path=file_lock.path, line=line),
        ) from silent


def _create_job(resolved: TargetedDefinition, selector: EnvironmentSelector) -> LockJob:
    solve = create_solve_job(resolved, selector)
    is_own = split_platform(resolved.platform)[0] == split_platform(local_platform({}))[0]
    solve = msgspec.structs.replace(solve, allow_builds=is_own)
    return LockJob(definition_digest=resolved.digest, solve=solve, allow_sources=True)


def _share(resolved: TargetedDefinition, file_lock: FileLock) -> SharedLock:
    lock = file_lock.lock
    return SharedLock(definition_digest=resolved.digest, platform=lock.platform, lock=lock, format=lock.format)


@asynccontextmanager
async def _naming(file_lock: FileLock) -> AsyncIterator[None]:
    """Name the file, and the line of the package, in place of a registry."""
    try:
        yield
    except LockUntrustedError as error:
        what = error.message.removeprefix("The registry's lock ")
        line = await asyncio.to_thread(find_line, file_lock, error.message)
        raise LockFileUntrustedError(
            f"The lock for {file_lock.lock.platform} in the lock file {what}",
            hint=UNTRUSTED_HINT,
            location=Location(path=file_lock.path, line=line),
        ) from error
