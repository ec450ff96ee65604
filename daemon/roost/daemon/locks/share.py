"""Locks shared by way of registries: looked for before anything is solved, offered when first made.

The first lock of a definition and platform that reaches the workspace's registry is everybody's. There is no way to
write a tag only where it is free, so: look, push, look again; who finds another's then takes that one. A later
generation (``--rebuild``, ``--as-of``) is pushed under a tag of its own and never takes the first one's place: nobody
adopts it unasked. What a registry can't say is never taken for no: nothing is pushed over it.
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
from roost.daemon.decision.facts import short_digest
from roost.daemon.engines.engine_set import Engines
from roost.daemon.jobs.events import Events
from roost.daemon.jobs.progress import Progress
from roost.daemon.locks.artifact import (
    HINT,
    LOCK_LIMIT,
    LockNewerError,
    LockUntrustedError,
    SharedLock,
    decode,
    encode,
    lock_descriptor,
    lock_repository,
    lock_tag,
    travelling,
    unshareable,
)
from roost.daemon.locks.attest import LockJob, judge, vouch
from roost.daemon.oci.answers import Answer, No, Unknown, Yes
from roost.daemon.oci.manifests import OCI_MANIFEST, Manifest, parse_manifest
from roost.daemon.oci.references import Reference
from roost.daemon.oci.registries import RegistryLocation, list_locations
from roost.model.errors import CodedError, ServiceUnreachableError
from roost.model.locks.lock import Lock, digest_lock
from roost.model.records import Generation
from roost.store.index.index import Index
from roost.wire.plans import Reason

# One build asks several times in a row: for the plan that is shown, and again when it starts.
_RECENT_SECONDS = 5.0
_REMEMBERED = 1000
"""Generations whose lock was seen to differ; of an older one the next look tells."""
_SETTLE_SECONDS = (0.5, 3.0)
"""At least so long, at most so long: a machine that is slower than this one may be just about to write."""


class RegistryLock(msgspec.Struct, frozen=True, kw_only=True):
    """A lock in a registry, judged by the definition but not yet vouched for."""

    shared: SharedLock
    place: RegistryLocation
    reference: Reference
    manifest: Manifest
    mirrored: bool = True
    """Whether a mirror may have told; else the registry itself did, and mirrors may not have it yet."""

    @property
    def lock_digest(self) -> str:
        return digest_lock(self.shared.lock)

    @property
    def reason(self) -> Reason:
        """For a plan."""
        message = f"Registry {self.place.location} has lock {short_digest(self.lock_digest)} for this definition"
        return Reason(code="lock-shared-registry", message=message)


class LookupResult(msgspec.Struct, frozen=True, kw_only=True):
    """What looking came to. Both may be there: one registry is down and another has it."""

    found: RegistryLock | None = None
    unknown: Reason | None = None
    """Code ``registry-unknown``."""


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a lock that was made here."""

    pushed: str | None = None
    """The reference that names it now."""
    theirs: RegistryLock | None = None
    """Somebody else's was there first."""
    reason: Reason | None = None
    """Why it is not shared, where it is not."""


class RegistryComparison(msgspec.Struct, frozen=True, kw_only=True):
    """How a generation's lock stands to the one that the registries have for its definition and platform."""

    theirs: str | None = None
    """The digest of another lock."""
    reference: str | None = None
    """Where that is."""
    reason: Reason | None = None
    """``lock-elsewhere``, ``lock-pushed``, ``lock-not-shared``, ``registry-unknown``."""


class LockRegistry:
    """The locks in the registries that are in force."""

    def __init__(self, engines: Engines, events: Events, config: ConfigSource, stage: str, index: Index) -> None:
        self._config = config
        self._index = index
        self._elsewhere: dict[tuple[str, str, int], Reason] = {}
        self._engines = engines
        self._events = events
        self._stage = stage
        self._recent: dict[tuple[str, str], tuple[float, LookupResult]] = {}

    @property
    def configured(self) -> bool:
        """Whether there is anyone to ask."""
        return bool(self._config.registries.workspace or self._config.registries.catalogues)

    async def look(self, job: LockJob, *, fresh: bool = False) -> LookupResult:
        """The lock of ``job``: the workspace's, else that of the first catalogue that has one.

        Raises LockPoisonedError.
        """
        key = (job.definition_digest, job.solve.platform)
        when, known = self._recent.get(key, (0.0, LookupResult()))
        if not fresh and time.monotonic() - when < _RECENT_SECONDS:
            return known
        looked = await self._look(job)
        self._recent = {k: v for k, v in self._recent.items() if time.monotonic() - v[0] < _RECENT_SECONDS}
        self._recent[key] = (time.monotonic(), looked)
        return looked

    async def _look(self, job: LockJob) -> LookupResult:
        unknown: Reason | None = None
        for place in list_locations(self._config.registries):
            answer = await self._ask(place, job)
            if isinstance(answer, Yes):
                return LookupResult(found=answer.value, unknown=unknown)
            if isinstance(answer, Unknown) and unknown is None:
                unknown = _unknown(place, answer.reason.message)
        return LookupResult(unknown=unknown)

    async def find(self, job: LockJob, digest: str) -> RegistryLock | None:
        """The lock ``digest`` of ``job``, the first or a later one; ``None``: no registry has it.

        Raises LockPoisonedError, ServiceUnreachableError where a registry can't say.
        """
        unknown: Reason | None = None
        for place in list_locations(self._config.registries):
            for rebuild in (None, digest):
                answer = await self._ask(place, job, rebuild)
                if isinstance(answer, Yes) and answer.value.lock_digest == digest:
                    return answer.value
                if isinstance(answer, Unknown):
                    unknown = _unknown(place, answer.reason.message)
        if unknown is not None:
            raise ServiceUnreachableError(unknown.message, hint="`roost registry test` shows what is wrong.")
        return None

    async def _ask(
        self, place: RegistryLocation, job: LockJob, rebuild: str | None = None, *, mirrored: bool = True
    ) -> Answer[RegistryLock]:
        """Not ``mirrored`` before and after something is written: what counts then is what the registry itself has."""
        reference = _reference(place, job, rebuild)
        with _named(reference):
            return await self._read(place, job, reference, mirrored=mirrored)

    async def _read(
        self, place: RegistryLocation, job: LockJob, reference: Reference, *, mirrored: bool
    ) -> Answer[RegistryLock]:
        registry = await self._engines.registry()
        answer = await registry.manifest(reference, mirrored=mirrored)
        if not isinstance(answer, Yes):
            return answer
        manifest = parse_manifest(answer.value.data, answer.value.media_type)
        if not isinstance(manifest, Manifest):
            raise LockUntrustedError(f"{reference} is no lock", hint=HINT)
        try:
            data = await registry.read_blob(reference, lock_descriptor(manifest), LOCK_LIMIT, mirrored=mirrored)
        except CodedError as error:
            if isinstance(error, LockUntrustedError):
                raise
            return Unknown(Reason(code=error.code, message=error.message))
        try:
            shared = decode(data)
        except LockNewerError as error:  # a later roost's, and no reason to stop this one
            return Unknown(Reason(code=error.code, message=error.message))
        await judge(shared, job, builds=place.kind == "workspace")
        return Yes(RegistryLock(shared=shared, place=place, reference=reference, manifest=manifest, mirrored=mirrored))

    async def stand(self, job: LockJob, generation: Generation, *, push: bool = True) -> RegistryComparison:
        """Look what the registries have beside ``generation``; where they have nothing, its lock is pushed.

        Raises LockPoisonedError.
        """
        looked = await self.look(job)
        key = (generation.definition_digest, generation.platform, generation.number)
        self._elsewhere.pop(key, None)
        if looked.found is not None and looked.found.lock_digest != generation.lock_digest:
            standing = _elsewhere(looked.found, generation)
            assert standing.reason is not None
            self._elsewhere[key] = standing.reason
            if len(self._elsewhere) > _REMEMBERED:
                del self._elsewhere[next(iter(self._elsewhere))]
            return standing
        if looked.found is not None or looked.unknown is not None or not push:
            return RegistryComparison(reason=looked.unknown if looked.found is None else None)
        return await self._late(job, generation)

    async def _late(self, job: LockJob, generation: Generation) -> RegistryComparison:
        """It was made when the registry could not be asked, or before there was one."""
        lock = await self._index.locks.find(generation.lock_digest)
        if lock is None:
            return RegistryComparison()
        offer = await self.offer(job, lock, rebuild=False)
        if offer.theirs is not None:
            return _elsewhere(offer.theirs, generation)
        if offer.pushed is None:
            return RegistryComparison(reason=offer.reason)
        return RegistryComparison(reason=Reason(code="lock-pushed", message=f"The lock is shared as {offer.pushed}"))

    def remembered(self, generation: Generation) -> Reason | None:
        """``lock-elsewhere``, if the last look said so."""
        return self._elsewhere.get((generation.definition_digest, generation.platform, generation.number))

    async def take(self, found: RegistryLock, job: LockJob, progress: Progress) -> Lock:
        """The lock to build from, once those whom the definition trusts have vouched for it.

        Raises LockPoisonedError, and what asking channels, indexes and the registry raises.
        """
        with _named(found.reference):
            lock = await self._vouched(found, job, progress)
        await self._events.append("lock-fetched", **_fields(job, found.lock_digest, found.reference))
        return lock

    async def _vouched(self, found: RegistryLock, job: LockJob, progress: Progress) -> Lock:
        builds = found.place.kind == "workspace"
        await asyncio.to_thread(os.makedirs, self._stage, exist_ok=True)
        folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="lock-", dir=self._stage)
        try:
            wheels = await self._fetch_wheels(found, folder)
            lock = await vouch(self._engines, found.shared, job, wheels, progress, builds=builds)
            for path in wheels.values():
                await (await self._engines.pip()).store_built_wheel(path)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        if digest_lock(lock) != found.lock_digest:
            raise LockUntrustedError("The registry's lock is not what its channels make of it", hint=HINT)
        return lock

    async def _fetch_wheels(self, found: RegistryLock, folder: str) -> dict[str, str]:
        """sha256 to path of the wheels that came with the lock."""
        layers = {layer.digest: layer for layer in found.manifest.layers}
        paths: dict[str, str] = {}
        for wheel in travelling(found.shared.lock):
            layer = layers.get(f"sha256:{wheel.sha256}")
            if layer is None:
                raise LockUntrustedError(f"The registry's lock comes without {wheel.file_name}", hint=HINT)
            path = os.path.join(folder, wheel.file_name)
            registry = await self._engines.registry()
            await registry.fetch_blob(found.reference, layer, path, mirrored=found.mirrored)
            paths[wheel.sha256] = path
        return paths

    async def offer(self, job: LockJob, lock: Lock, *, rebuild: bool) -> Offer:
        """Push a lock that was made here, unless another's is there. Fails into ``reason``, never by raising."""
        place = next((each for each in list_locations(self._config.registries) if each.kind == "workspace"), None)
        if place is None:
            return Offer()
        shared = SharedLock(definition_digest=job.definition_digest, platform=job.solve.platform, lock=lock)
        try:
            offer = await self._offer(place, job, shared, rebuild=rebuild)
        except ServiceUnreachableError as error:
            unmade = error.code == "repository-missing"
            offer = Offer(reason=_kept_here(error) if unmade else _unknown(place, error.message))
        except LockUntrustedError as error:
            offer = Offer(reason=Reason(code=error.code, message=f"{error.message}. {error.hint}".rstrip()))
        except CodedError as error:  # a disk that is full
            offer = Offer(reason=_kept_here(error))
        self._recent.pop((job.definition_digest, job.solve.platform), None)
        await self._tell(job, lock, offer)
        return offer

    async def _tell(self, job: LockJob, lock: Lock, offer: Offer) -> None:
        fields = {"definition_digest": job.definition_digest, "platform": job.solve.platform}
        if offer.pushed is not None:
            await self._events.append("lock-pushed", **fields, lock_digest=digest_lock(lock), reference=offer.pushed)
        elif offer.theirs is not None:
            other = offer.theirs.lock_digest
            await self._events.append("lock-found", **fields, lock_digest=other, instead_of=digest_lock(lock))
        elif offer.reason is not None:
            reason = offer.reason
            await self._events.append("lock-not-pushed", **fields, code=reason.code, message=reason.message)

    async def _offer(self, place: RegistryLocation, job: LockJob, shared: SharedLock, *, rebuild: bool) -> Offer:
        local = unshareable(shared.lock) or await _own_fault(shared, job)
        if local is not None:
            return Offer(reason=Reason(code="lock-not-shared", message=f"This lock stays on this machine: {local}"))
        reference, digest = _reference(place, job), digest_lock(shared.lock)
        first = await self._ask(place, job, mirrored=False)
        if isinstance(first, Unknown):
            return Offer(reason=_unknown(place, first.reason.message))
        if isinstance(first, Yes) and first.value.lock_digest == digest:
            return Offer(pushed=str(reference))
        if isinstance(first, Yes) and not rebuild:
            return Offer(theirs=first.value)
        if isinstance(first, Yes):
            reference = _reference(place, job, digest)
        return await self._push(place, job, shared, reference, own_tag=isinstance(first, Yes))

    async def _push(
        self, place: RegistryLocation, job: LockJob, shared: SharedLock, reference: Reference, *, own_tag: bool
    ) -> Offer:
        registry, artifact = await self._engines.registry(), encode(shared)
        for descriptor, wheel in artifact.wheels:
            path = await (await self._engines.pip()).stored_wheel_path(wheel)
            await registry.push_blob(reference, path, descriptor)
        for descriptor, data in artifact.blobs:
            await registry.push_blob(reference, data, descriptor)
        if own_tag:
            await registry.push_manifest(reference, artifact.manifest, OCI_MANIFEST)
            return Offer(pushed=str(reference))
        return await self._write_first(place, job, shared, artifact.manifest)

    async def _write_first(self, place: RegistryLocation, job: LockJob, shared: SharedLock, manifest: bytes) -> Offer:
        """Look, write, look again. Who looked before we wrote may still write after us: once several times as long
        has gone by as looking and writing took here, that has happened if it will, and the last one is everybody's."""
        begun, reference = time.monotonic(), _reference(place, job)
        if theirs := await self._theirs(place, job, shared):
            return Offer(theirs=theirs)
        try:
            await (await self._engines.registry()).push_manifest(reference, manifest, OCI_MANIFEST)
        except ServiceUnreachableError as error:
            if error.code != "tag-moved":
                raise
        least, most = _SETTLE_SECONDS
        await asyncio.sleep(max(least, min(most, 4 * (time.monotonic() - begun))))
        theirs = await self._theirs(place, job, shared)
        return Offer(theirs=theirs) if theirs else Offer(pushed=str(reference))

    async def _theirs(self, place: RegistryLocation, job: LockJob, shared: SharedLock) -> RegistryLock | None:
        """Another's lock under the tag, by now."""
        answer = await self._ask(place, job, mirrored=False)
        if isinstance(answer, No):
            return None
        if isinstance(answer, Unknown):
            raise ServiceUnreachableError(answer.reason.message)
        return answer.value if answer.value.lock_digest != digest_lock(shared.lock) else None


async def _own_fault(shared: SharedLock, job: LockJob) -> str | None:
    """What others would refuse this lock for."""
    try:
        await judge(shared, job, builds=True)
    except LockUntrustedError as error:
        return error.message.partition(": ")[2] or error.message
    return None


@contextmanager
def _named(reference: Reference) -> Iterator[None]:
    """A refused lock is refused with its place: whoever looks after the registry must find it."""
    try:
        yield
    except LockUntrustedError as error:
        error.hint = (
            f"Nothing of it was used. Have {reference} looked at, and removed from the registry if it is wrong; "
            "`roost build --rebuild` makes a lock of this machine's own meanwhile."
        )
        error.fields = {**error.fields, "reference": str(reference)}
        raise


def _elsewhere(found: RegistryLock, generation: Generation) -> RegistryComparison:
    text = (
        f"Registry {found.place.location} has lock {short_digest(found.lock_digest)} for this definition; generation "
        f"{generation.number} here keeps {short_digest(generation.lock_digest)}. "
        f"`roost build --lock {found.lock_digest}` takes it"
    )
    reason = Reason(code="lock-elsewhere", message=text)
    return RegistryComparison(theirs=found.lock_digest, reference=str(found.reference), reason=reason)


def _reference(place: RegistryLocation, job: LockJob, rebuild: str | None = None) -> Reference:
    tag = lock_tag(job.definition_digest, job.solve.platform, rebuild)
    return lock_repository(place.location).with_tag(tag)


def _unknown(place: RegistryLocation, message: str) -> Reason:
    return Reason(
        code="registry-unknown", message=f"Whether registry {place.location} has a lock is unknown: {message}"
    )


def _kept_here(error: CodedError) -> Reason:
    """A push that failed, though the registry answers."""
    text = f"This lock stays on this machine: {error.message}. {error.hint}".rstrip()
    return Reason(code="lock-not-shared", message=text)


def _fields(job: LockJob, digest: str, reference: Reference) -> dict[str, object]:
    return {
        "definition_digest": job.definition_digest,
        "platform": job.solve.platform,
        "lock_digest": digest,
        "reference": str(reference),
    }
