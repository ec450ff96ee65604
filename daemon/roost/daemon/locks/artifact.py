"""A lock as an OCI artifact: its media types, its tag and its bytes. Pure.

In the repository ``<registry>/locks`` each definition and generation scope has one tag, derived from both: a prefix on
a Python of a machine and an image of the same definition have different locks. The manifest under the tag names the
lock as its first layer and then, as blobs, the wheels that no index has. No time and no machine is in it, so that two
machines that chose the same packages write the same bytes.
"""

from __future__ import annotations

import msgspec

from roost.daemon.oci.manifests import EMPTY_JSON, OCI_EMPTY, OCI_MANIFEST, Descriptor, Manifest, describe
from roost.daemon.oci.references import Reference, parse_reference
from roost.model.errors import MALFORMED_JSON, BuildError
from roost.model.locks.lock import LOCK_FORMAT, HostPython, Lock, Wheel, digest_lock

LOCK_TYPE = "application/vnd.roost.lock.v1+json"
WHEEL_TYPE = "application/vnd.roost.wheel.v1+zip"
REPOSITORY = "locks"
LOCK_LIMIT = 64 * 1024 * 1024
"""Bytes; a lock of a thousand packages has about two million."""
TITLE = "org.opencontainers.image.title"
HINT = "The registry's lock was not used. Check it, or create another with `roost build --rebuild`."
_REBUILD_DIGITS = 16


class LockUntrustedError(BuildError):
    """A lock from a registry is not what the definition asks for; nothing of it is used."""

    code = "lock-poisoned"


class LockNewerError(BuildError):
    """A lock from a registry has the format of a later version of roost."""

    code = "lock-format"


class LockUnfitError(BuildError):
    """A lock from a registry is for a Python that this machine does not have."""

    code = "lock-unfit"


def untrusted_error(what: str) -> LockUntrustedError:
    """Return the error about a lock that ``what`` is wrong with."""
    return LockUntrustedError(f"The registry's lock can't be trusted: {what}", hint=HINT)


class SharedLock(msgspec.Struct, frozen=True, kw_only=True):
    """A lock, with the definition and the platform that it is for."""

    definition_digest: str
    platform: str
    lock: Lock
    format: int = 1
    """That of the lock, so that a version of roost that can't read the lock finds out before it tries."""


class LockArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """What is pushed: the wheels from their files first, then the small blobs, then the manifest."""

    manifest: bytes
    blobs: tuple[tuple[Descriptor, bytes], ...]
    wheels: tuple[tuple[Descriptor, Wheel], ...] = ()


class _Format(msgspec.Struct):
    format: int = 0


def lock_repository(location: str) -> Reference:
    """Return the repository of locks of a registry (``registry.example.org/team``). Raises ReferenceInvalidError."""
    return parse_reference(f"{location}/{REPOSITORY}")


def lock_tag(definition_digest: str, scope: str, rebuild: str | None = None) -> str:
    """Return the tag of a definition's lock in a generation scope (a platform, or a platform and ``HOST_SCOPE``); with
    ``rebuild``, a lock digest, the tag of a later generation, which is adopted only on request.

    ``+`` is not allowed in tags; it becomes ``.``, which does not occur in platforms.
    """
    tag = f"{definition_digest.removeprefix('sha256:')}-{scope.replace('+', '.')}"
    return f"{tag}-{rebuild.removeprefix('sha256:')[:_REBUILD_DIGITS]}" if rebuild else tag


def enclosed_wheels(lock: Lock) -> tuple[Wheel, ...]:
    """Return the wheels that no index has, which therefore are pushed with the lock."""
    return tuple(wheel for wheel in lock.wheels if wheel.kind == "built")


def find_local_part(lock: Lock) -> str | None:
    """Return why the lock is of use on this machine only; ``None`` if other machines can use it."""
    if lock.bundle:
        return "it came with a bundle, and nobody attested it (`roost build --rebuild` makes one of this machine's own)"
    if isinstance(lock.provider, HostPython):
        if lock.provider.is_bound:
            return "it names a Python of this machine by its path (`roost build --rebuild` makes a lock without)"
        if not lock.markers_known:
            return "the requirements of its packages were not read yet"
    for wheel in lock.wheels:
        if wheel.kind == "editable":
            return f"{wheel.name} is an editable folder of this machine"
        if wheel.folder is not None:
            return f"{wheel.name} has the content of a folder of this machine"
        if not wheel.sha256:
            return f"{wheel.name} has no sha256"
    for package in lock.conda:
        if not package.sha256:
            return f"{package.name} has no sha256"
        if package.url.startswith("file:"):
            return f"{package.name} comes from a folder of this machine"
    return None


def encode(shared: SharedLock) -> LockArtifact:
    """Return the bytes to push."""
    data = msgspec.json.encode(shared, order="sorted")
    body = describe(data, LOCK_TYPE)
    wheels = [
        (_wheel_descriptor(wheel), wheel)
        for wheel in sorted(enclosed_wheels(shared.lock), key=lambda wheel: wheel.sha256)
    ]
    config = describe(EMPTY_JSON, OCI_EMPTY)
    manifest = Manifest(
        schema_version=2,
        media_type=OCI_MANIFEST,
        artifact_type=LOCK_TYPE,
        config=config,
        layers=(body, *(descriptor for descriptor, _ in wheels)),
        annotations={
            "org.roost.definition": shared.definition_digest,
            "org.roost.lock": digest_lock(shared.lock),
            "org.roost.platform": shared.platform,
        },
    )
    return LockArtifact(
        manifest=msgspec.json.encode(manifest, order="sorted"),
        blobs=((config, EMPTY_JSON), (body, data)),
        wheels=tuple(wheels),
    )


def _wheel_descriptor(wheel: Wheel) -> Descriptor:
    return Descriptor(
        media_type=WHEEL_TYPE,
        digest=f"sha256:{wheel.sha256}",
        size=wheel.size,
        annotations={TITLE: wheel.file_name},
    )


def lock_descriptor(manifest: Manifest) -> Descriptor:
    """Return the descriptor of the lock in an artifact. Raises LockUntrustedError if it is not the artifact of a
    lock."""
    layers = [layer for layer in manifest.layers if layer.media_type == LOCK_TYPE]
    if manifest.artifact_type != LOCK_TYPE or len(layers) != 1 or layers[0].size > LOCK_LIMIT:
        raise LockUntrustedError("The registry's content under the lock's tag is not a lock", hint=HINT)
    return layers[0]


def decode(data: bytes) -> SharedLock:
    """Return the lock from its bytes. Raises LockUntrustedError if they are not a lock, LockNewerError if the format
    is a later one."""
    try:
        number = msgspec.json.decode(data, type=_Format).format
        if number > LOCK_FORMAT:
            raise LockNewerError(
                f"The registry's lock has format {number}; this version of roost reads up to {LOCK_FORMAT}",
                hint="Update roost.",
            )
        return msgspec.json.decode(data, type=SharedLock)
    except MALFORMED_JSON as error:
        raise LockUntrustedError(f"The registry's lock can't be read: {error}", hint=HINT) from error
