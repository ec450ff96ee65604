"""What asking registries for locks, comparing with them and pushing to them results in. Values, and their reasons."""

from __future__ import annotations

import msgspec

from roost.daemon.decision.facts import short_digest
from roost.daemon.engines.host_python.errors import NoInterpreterError
from roost.daemon.engines.host_python.interpreters import Interpreter
from roost.daemon.locks.artifact import SharedLock
from roost.daemon.oci.manifests import Manifest
from roost.daemon.oci.references import Reference
from roost.daemon.oci.registries import RegistryLocation
from roost.model.errors import CodedError
from roost.model.locks.lock import digest_lock
from roost.model.records import Generation
from roost.wire.plans import Reason


class RegistryLock(msgspec.Struct, frozen=True, kw_only=True):
    """A lock in a registry that passed the check against the definition, and is not yet attested."""

    shared: SharedLock
    location: RegistryLocation
    reference: Reference
    manifest: Manifest
    mirrored: bool = True
    """Whether a mirror may have answered. If the registry itself did, mirrors may not have the lock yet."""
    python: Interpreter | None = None
    """The Python of this machine that the lock would be used with, if it has none of its own."""
    misfit: Reason | None = None
    """Why no Python of this machine fits the lock. It is then neither used nor checked further."""

    @property
    def lock_digest(self) -> str:
        return digest_lock(self.shared.lock)

    @property
    def reason(self) -> Reason:
        """A plan's reason for using this lock."""
        message = f"Registry {self.location.location} has lock {short_digest(self.lock_digest)} for this definition"
        return Reason(code="lock-shared-registry", message=message)


class LookupResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of looking a lock up. Both fields may be set: one registry does not answer and another has the lock."""

    found: RegistryLock | None = None
    unknown: Reason | None = None
    """Code ``registry-unknown``."""
    misfit: Reason | None = None
    """Code ``lock-unfit``: a registry has a lock, and no Python of this machine fits it. ``found`` may be the lock that
    machines with the same Python have in its place."""


class PushResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of pushing a lock that was made here. At most one field is set; none if there is no workspace."""

    pushed: str | None = None
    """The reference under which the registry has the lock now."""
    remote_lock: RegistryLock | None = None
    """Another machine's lock, which was there first."""
    reason: Reason | None = None
    """Why the lock was not pushed."""


class RegistryComparison(msgspec.Struct, frozen=True, kw_only=True):
    """How the lock of a generation compares with the one that registries have for its definition and platform."""

    remote_lock: str | None = None
    """Digest of the lock in the registry, if it is another one."""
    reference: str | None = None
    """Where that lock is."""
    reason: Reason | None = None
    """``lock-elsewhere``, ``lock-pushed``, ``lock-not-shared``, ``lock-unfit``, ``registry-unknown``."""


def describe_difference(remote: RegistryLock, reason: Reason) -> RegistryComparison:
    """Return the comparison for a registry that has another lock."""
    return RegistryComparison(remote_lock=remote.lock_digest, reference=str(remote.reference), reason=reason)


def difference_reason(remote: RegistryLock, generation: Generation) -> Reason:
    """Return that a registry has another lock than a generation, and how to use it."""
    text = (
        f"Registry {remote.location.location} has lock {short_digest(remote.lock_digest)} for this definition; "
        f"generation {generation.number} here keeps {short_digest(generation.lock_digest)}. "
        f"`roost build --lock {remote.lock_digest}` uses it"
    )
    return Reason(code="lock-elsewhere", message=text)


def misfit_reason(location: RegistryLocation, found: RegistryLock, error: NoInterpreterError) -> Reason:
    """Return why a registry's lock is not used here: no Python of this machine fits it."""
    lock = short_digest(found.lock_digest)
    text = f"Registry {location.location} has lock {lock} for this definition, which is not used here: {error.message}"
    return Reason(code="lock-unfit", message=text)


def unknown_reason(location: RegistryLocation, message: str) -> Reason:
    """Return that a registry did not answer, so that it may have a lock."""
    text = f"Cannot determine whether registry {location.location} has a lock: {message}"
    return Reason(code="registry-unknown", message=text)


def push_error_reason(error: CodedError) -> Reason:
    """Return why the lock stays here although the registry answers."""
    text = f"This lock stays on this machine: {error.message}. {error.hint}".rstrip()
    return Reason(code="lock-not-shared", message=text)


def remote_result(remote: RegistryLock) -> PushResult:
    """Return the result of a push if another machine's lock is in its place."""
    if remote.misfit is None:
        return PushResult(remote_lock=remote)
    text = f"This lock stays on this machine: {remote.misfit.message}"
    return PushResult(reason=Reason(code="lock-not-shared", message=text))
