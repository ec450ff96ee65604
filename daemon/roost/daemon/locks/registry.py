"""Locks that are shared through registries: looked up before anything is solved, published when first made.

The first lock of a definition and platform that reaches the workspace's registry is the lock of everybody. Registries
have no way to write a tag only if it is free, so: look, push, look again; whoever finds another machine's lock then
adopts that one. A later generation (``--rebuild``, ``--as-of``) is pushed under a tag of its own and never replaces the
first one: nobody adopts it unless asked to. A registry that does not answer is never treated as one without the lock:
nothing is pushed over what it may have.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from roost.daemon.config.source import ConfigSource
from roost.daemon.engines.conda.rules import CondaRules
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.errors import NoInterpreterError
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.progress import Progress
from roost.daemon.locks.artifact import (
    HINT,
    LOCK_LIMIT,
    LockNewerError,
    LockUnfitError,
    LockUntrustedError,
    SharedLock,
    decode,
    enclosed_wheels,
    encode,
    find_local_part,
    lock_descriptor,
    lock_repository,
    lock_tag,
)
from roost.daemon.locks.attest import attest
from roost.daemon.locks.expectation import LockJob, find_python, narrow_to_python, verify_offline
from roost.daemon.locks.results import (
    LookupResult,
    PushResult,
    RegistryComparison,
    RegistryLock,
    describe_difference,
    difference_reason,
    misfit_reason,
    push_error_reason,
    remote_result,
    unknown_reason,
)
from roost.daemon.locks.solve import add_asked_markers, describe_unanswered
from roost.daemon.oci.answers import Answer, No, Unknown, Yes
from roost.daemon.oci.manifests import OCI_MANIFEST, Manifest, parse_manifest
from roost.daemon.oci.references import Reference
from roost.daemon.oci.registries import RegistryLocation, list_locations
from roost.model.errors import CodedError, ServiceUnreachableError
from roost.model.locks.lock import HostPython, Lock, digest_lock
from roost.model.records import Generation
from roost.store.index.index import Index
from roost.wire.plans import Reason

_RECENT_SECONDS = 5.0
"""For so long a look-up is not repeated: one build asks for the plan that is shown, and again when it starts."""
_KNOWN_DIFFERENCES = 1000
"""Generations whose lock is known to differ from a registry's; others are compared at the next look-up."""
_SETTLE_SECONDS = (0.5, 3.0)
"""Shortest and longest wait for a slower machine that may be about to write the same tag."""


class LockRegistry:
    """The locks in the registries that are in force."""

    def __init__(self, engines: Engines, events: Events, config: ConfigSource, stage: str, index: Index) -> None:
        self._config = config
        self._index = index
        self._engines = engines
        self._events = events
        self._stage = stage
        self._differences: dict[tuple[str, str, int], Reason] = {}
        """By definition digest, platform and number of a generation."""
        self._recent: dict[tuple[str, str], tuple[float, LookupResult]] = {}
        """Time and result of look-ups, by definition digest and generation scope."""

    @property
    def is_configured(self) -> bool:
        """Whether there is a registry to ask."""
        return bool(self._config.registries.workspace or self._config.registries.catalogues)

    @property
    def has_workspace(self) -> bool:
        """Whether there is a registry in which locks are published."""
        return bool(self._config.registries.workspace)

    # ---------------------------------------------------------------- looking up
    async def look_up(self, job: LockJob, *, fresh: bool = False) -> LookupResult:
        """Return the lock of ``job``: the workspace's, else that of the first catalogue that has one. ``fresh``: ask
        again even if that was done just now.

        Raises LockUntrustedError.
        """
        key = (job.definition_digest, job.scope)
        when, recent = self._recent.get(key, (0.0, LookupResult()))
        if not fresh and time.monotonic() - when < _RECENT_SECONDS:
            return recent
        result = await self._query_all(job)
        self._recent = {k: v for k, v in self._recent.items() if time.monotonic() - v[0] < _RECENT_SECONDS}
        self._recent[key] = (time.monotonic(), result)
        return result

    async def _query_all(self, job: LockJob) -> LookupResult:
        unknown: Reason | None = None
        misfit: Reason | None = None
        for location in list_locations(self._config.registries):
            answer = await self._query(location, job)
            if isinstance(answer, Yes) and answer.value.misfit is not None:
                misfit = misfit or answer.value.misfit
                narrowed = await narrow_to_python(job)
                answer = await self._query(location, narrowed) if narrowed is not None else No()
            if isinstance(answer, Yes) and answer.value.misfit is None:
                return LookupResult(found=answer.value, unknown=unknown, misfit=misfit)
            if isinstance(answer, Unknown) and unknown is None:
                unknown = unknown_reason(location, answer.reason.message)
        return LookupResult(unknown=unknown, misfit=misfit)

    async def find(self, job: LockJob, digest: str) -> RegistryLock | None:
        """Return the lock ``digest`` of ``job``, be it the first one or a later one; ``None`` if no registry has it.

        Raises LockUntrustedError, LockUnfitError if no Python of this machine fits it, ServiceUnreachableError if a
        registry does not answer.
        """
        unknown: Reason | None = None
        narrowed = await narrow_to_python(job) if job.solve.uses_host_python else None
        jobs = [job, *([narrowed] if narrowed is not None else [])]
        for location in list_locations(self._config.registries):
            for named, rebuild in ((each, rebuild) for each in jobs for rebuild in (None, digest)):
                answer = await self._query(location, named, rebuild)
                if isinstance(answer, Yes) and answer.value.lock_digest == digest:
                    if answer.value.misfit is not None:
                        raise LockUnfitError(
                            answer.value.misfit.message, hint="Leave out --lock, or install a Python that fits."
                        )
                    return answer.value
                if isinstance(answer, Unknown):
                    unknown = unknown_reason(location, answer.reason.message)
        if unknown is not None:
            raise ServiceUnreachableError(unknown.message, hint="`roost registry test` shows what is wrong.")
        return None

    async def _query(
        self, location: RegistryLocation, job: LockJob, rebuild: str | None = None, *, mirrored: bool = True
    ) -> Answer[RegistryLock]:
        """Fetch the lock under the tag of ``job`` and check it against the definition. Not ``mirrored`` before and
        after something is written: then only the registry itself counts. Raises LockUntrustedError."""
        reference = _lock_reference(location, job, rebuild)
        with _naming(reference):
            registry = await self._engines.registry()
            answer = await registry.manifest(reference, mirrored=mirrored)
            if not isinstance(answer, Yes):
                return answer
            manifest = parse_manifest(answer.value.data, answer.value.media_type)
            if not isinstance(manifest, Manifest):
                raise LockUntrustedError(f"{reference} is not a lock", hint=HINT)
            try:
                data = await registry.read_blob(reference, lock_descriptor(manifest), LOCK_LIMIT, mirrored=mirrored)
            except CodedError as error:
                if isinstance(error, LockUntrustedError):
                    raise
                return Unknown(Reason(code=error.code, message=error.message))
            try:
                shared = decode(data)
            except LockNewerError as error:  # written by a later version of roost, which does not make it untrusted
                return Unknown(Reason(code=error.code, message=error.message))
            found = RegistryLock(
                shared=shared, location=location, reference=reference, manifest=manifest, mirrored=mirrored
            )
            try:
                found = msgspec.structs.replace(found, python=await find_python(shared, job))
            except NoInterpreterError as error:
                return Yes(msgspec.structs.replace(found, misfit=misfit_reason(location, found, error)))
            allow_built = location.kind == "workspace"
            rules = self._engines.conda_rules()
            await verify_offline(rules, shared, job, allow_built=allow_built, python=found.python)
            return Yes(found)

    # ---------------------------------------------------------------- comparing
    async def compare(self, job: LockJob, generation: Generation) -> RegistryComparison:
        """Compare the lock of ``generation`` with the one that registries have. Raises LockUntrustedError."""
        return self._compare(await self.look_up(job), generation)

    async def compare_or_publish(self, job: LockJob, generation: Generation) -> RegistryComparison:
        """Compare as ``compare`` does; if all registries answer that they have no lock, publish that of ``generation``,
        which was made when the registry did not answer or before there was one. Raises LockUntrustedError."""
        result = await self.look_up(job)
        comparison = self._compare(result, generation)
        if result.found is not None or result.unknown is not None:
            return comparison
        lock = await self._index.locks.find(generation.lock_digest)
        if lock is None:
            return RegistryComparison()
        push = await self.publish_first(job, lock)
        if push.remote_lock is not None:
            return describe_difference(push.remote_lock, difference_reason(push.remote_lock, generation))
        if push.pushed is None:
            return RegistryComparison(reason=push.reason)
        return RegistryComparison(reason=Reason(code="lock-pushed", message=f"The lock is shared as {push.pushed}"))

    def _compare(self, result: LookupResult, generation: Generation) -> RegistryComparison:
        """Compare, and remember a difference for ``known_difference``."""
        key = (generation.definition_digest, generation.platform, generation.number)
        self._differences.pop(key, None)
        if result.found is None:
            return RegistryComparison(reason=result.unknown)
        if result.found.lock_digest == generation.lock_digest:
            return RegistryComparison()
        reason = difference_reason(result.found, generation)
        self._differences[key] = reason
        if len(self._differences) > _KNOWN_DIFFERENCES:
            del self._differences[next(iter(self._differences))]
        return describe_difference(result.found, reason)

    def known_difference(self, generation: Generation) -> Reason | None:
        """Return ``lock-elsewhere`` if the last comparison of ``generation`` found another machine's lock. Nobody is
        asked."""
        return self._differences.get((generation.definition_digest, generation.platform, generation.number))

    # ---------------------------------------------------------------- adopting
    async def adopt(self, found: RegistryLock, job: LockJob, progress: Progress) -> Lock:
        """Return the lock to build from, once the channels and indexes of the definition attest it.

        Raises LockUntrustedError, and what asking channels, indexes and the registry raises.
        """
        with _naming(found.reference):
            async with self._engines.solving.hold(progress):
                lock = await self._fetch_and_attest(found, job, progress)
        await self._events.append(
            "lock-fetched",
            definition_digest=job.definition_digest,
            platform=job.solve.platform,
            lock_digest=found.lock_digest,
            reference=str(found.reference),
        )
        return lock

    async def _fetch_and_attest(self, found: RegistryLock, job: LockJob, progress: Progress) -> Lock:
        allow_built = found.location.kind == "workspace"
        await asyncio.to_thread(os.makedirs, self._stage, exist_ok=True)
        folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="lock-", dir=self._stage)
        try:
            wheels = await self._fetch_wheels(found, folder)
            lock = await attest(
                self._engines, found.shared, job, wheels, progress, allow_built=allow_built, python=found.python
            )
            for path in wheels.values():
                await (await self._engines.pip()).store_built_wheel(path)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        if digest_lock(lock) != found.lock_digest:
            raise LockUntrustedError("The registry's lock does not match its channels", hint=HINT)
        return lock if found.python is None else add_asked_markers(lock, job.solve, found.python)

    async def _fetch_wheels(self, found: RegistryLock, folder: str) -> dict[str, str]:
        """Fetch the wheels that came with the lock into ``folder``; return sha256 to path."""
        layers = {layer.digest: layer for layer in found.manifest.layers}
        paths: dict[str, str] = {}
        for wheel in enclosed_wheels(found.shared.lock):
            layer = layers.get(f"sha256:{wheel.sha256}")
            if layer is None:
                raise LockUntrustedError(f"The registry's lock lacks {wheel.file_name}", hint=HINT)
            path = os.path.join(folder, wheel.file_name)
            registry = await self._engines.registry()
            await registry.fetch_blob(found.reference, layer, path, mirrored=found.mirrored)
            paths[wheel.sha256] = path
        return paths

    # ---------------------------------------------------------------- publishing
    async def publish_first(self, job: LockJob, lock: Lock) -> PushResult:
        """Push a lock that was made here as the lock of everybody, unless the workspace has another one. An error ends
        up in ``reason``; none is raised."""
        return await self._publish(job, lock, is_rebuild=False)

    async def publish_rebuild(self, job: LockJob, lock: Lock) -> PushResult:
        """Push the lock of a new generation: under a tag of its own if the workspace has another lock already. An error
        ends up in ``reason``; none is raised."""
        return await self._publish(job, lock, is_rebuild=True)

    async def _publish(self, job: LockJob, lock: Lock, *, is_rebuild: bool) -> PushResult:
        locations = list_locations(self._config.registries)
        workspace = next((each for each in locations if each.kind == "workspace"), None)
        if workspace is None:
            return PushResult()
        if lock.unanswered:
            return PushResult(reason=describe_unanswered(lock))
        shared = SharedLock(
            definition_digest=job.definition_digest, platform=job.solve.platform, lock=lock, format=lock.format
        )
        try:
            push = await self._look_and_push(workspace, job, shared, is_rebuild=is_rebuild)
        except ServiceUnreachableError as error:
            has_no_repository = error.code == "repository-missing"
            reason = push_error_reason(error) if has_no_repository else unknown_reason(workspace, error.message)
            push = PushResult(reason=reason)
        except LockUntrustedError as error:
            push = PushResult(reason=Reason(code=error.code, message=f"{error.message}. {error.hint}".rstrip()))
        except CodedError as error:  # such as a full disk
            push = PushResult(reason=push_error_reason(error))
        self._recent.pop((job.definition_digest, job.scope), None)
        await self._record_push(job, lock, push)
        return push

    async def _record_push(self, job: LockJob, lock: Lock, push: PushResult) -> None:
        fields = {"definition_digest": job.definition_digest, "platform": job.solve.platform}
        if push.pushed is not None:
            await self._events.append("lock-pushed", **fields, lock_digest=digest_lock(lock), reference=push.pushed)
        elif push.remote_lock is not None:
            other = push.remote_lock.lock_digest
            await self._events.append("lock-found", **fields, lock_digest=other, instead_of=digest_lock(lock))
        elif push.reason is not None:
            reason = push.reason
            await self._events.append("lock-not-pushed", **fields, code=reason.code, message=reason.message)

    async def _look_and_push(
        self, workspace: RegistryLocation, job: LockJob, shared: SharedLock, *, is_rebuild: bool
    ) -> PushResult:
        """Push, unless 1. other machines can't use the lock, 2. the registry does not answer, 3. it has the very lock,
        4. it has another one, and this one is no rebuild. If no Python of this machine fits that other one, this lock
        becomes the one of the machines with such a Python as it is for."""
        local = find_local_part(shared.lock) or await _find_fault(self._engines.conda_rules(), shared, job)
        if local is not None:
            text = f"This lock stays on this machine: {local}"
            return PushResult(reason=Reason(code="lock-not-shared", message=text))
        reference, digest = _lock_reference(workspace, job), digest_lock(shared.lock)
        first = await self._query(workspace, job, mirrored=False)
        if isinstance(first, Unknown):
            return PushResult(reason=unknown_reason(workspace, first.reason.message))
        if isinstance(first, Yes) and first.value.lock_digest == digest:
            return PushResult(pushed=str(reference))
        provider = shared.lock.provider
        if isinstance(first, Yes) and first.value.misfit and job.python is None and isinstance(provider, HostPython):
            narrowed = msgspec.structs.replace(job, python=provider)
            return await self._look_and_push(workspace, narrowed, shared, is_rebuild=is_rebuild)
        if isinstance(first, Yes) and not is_rebuild:
            return remote_result(first.value)
        registry, artifact = await self._engines.registry(), encode(shared)
        if isinstance(first, Yes):
            reference = _lock_reference(workspace, job, digest)
        for descriptor, wheel in artifact.wheels:
            pip = await self._engines.pip()
            async with pip.hold_wheels([wheel]):
                await registry.push_blob(reference, await pip.stored_wheel_path(wheel), descriptor)
        for descriptor, data in artifact.blobs:
            await registry.push_blob(reference, data, descriptor)
        if isinstance(first, Yes):
            await registry.push_manifest(reference, artifact.manifest, OCI_MANIFEST)
            return PushResult(pushed=str(reference))
        return await self._write_first_tag(workspace, job, shared, artifact.manifest)

    async def _write_first_tag(
        self, workspace: RegistryLocation, job: LockJob, shared: SharedLock, manifest: bytes
    ) -> PushResult:
        """Look, write, look again.

        A machine that looked before this one wrote may still write after it. Looking and writing took some time here;
        once several times as long has gone by, any such write has happened, and whatever is under the tag then is the
        lock of everybody.
        """
        started, reference = time.monotonic(), _lock_reference(workspace, job)
        if remote := await self._find_remote(workspace, job, shared):
            return remote_result(remote)
        try:
            await (await self._engines.registry()).push_manifest(reference, manifest, OCI_MANIFEST)
        except ServiceUnreachableError as error:
            if error.code != "tag-moved":
                raise
        least, most = _SETTLE_SECONDS
        await asyncio.sleep(max(least, min(most, 4 * (time.monotonic() - started))))
        remote = await self._find_remote(workspace, job, shared)
        return remote_result(remote) if remote else PushResult(pushed=str(reference))

    async def _find_remote(self, workspace: RegistryLocation, job: LockJob, shared: SharedLock) -> RegistryLock | None:
        """Return the lock that is under the tag now, if it is another one than ``shared``."""
        answer = await self._query(workspace, job, mirrored=False)
        if isinstance(answer, No):
            return None
        if isinstance(answer, Unknown):
            raise ServiceUnreachableError(answer.reason.message)
        return answer.value if answer.value.lock_digest != digest_lock(shared.lock) else None


async def _find_fault(rules: CondaRules, shared: SharedLock, job: LockJob) -> str | None:
    """Return why other machines would refuse this lock."""
    try:
        await verify_offline(rules, shared, job, allow_built=True, python=await find_python(shared, job))
    except LockUntrustedError as error:
        return error.message.partition(": ")[2] or error.message
    return None


@contextmanager
def _naming(reference: Reference) -> Iterator[None]:
    """Add the reference of a refused lock to the error, so that whoever maintains the registry finds it."""
    try:
        yield
    except LockUntrustedError as error:
        error.hint = (
            f"The lock was not used. Check {reference}, and remove it from the registry if it is wrong; "
            "`roost build --rebuild` creates a lock of this machine's own meanwhile."
        )
        error.fields = {**error.fields, "reference": str(reference)}
        raise


def _lock_reference(location: RegistryLocation, job: LockJob, rebuild: str | None = None) -> Reference:
    tag = lock_tag(job.definition_digest, job.scope, rebuild)
    return lock_repository(location.location).with_tag(tag)
