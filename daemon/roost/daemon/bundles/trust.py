"""Whether what a bundle says of an environment may be used: a lock that came with a file counts for nothing until the
definition shows that it could be its own.

The checks are those of a lock from a registry (``locks.expectation``), without asking anybody: a bundle is read where
there is nobody to ask. So the definition is digested again, its match specs and pip lines are compared with the lock,
every URL of a conda package must lie under a channel of the definition, and every file in the bundle must have the
sha256 that the lock states. That the channels and indexes list these files is not known: ``Lock.bundle`` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from roost.daemon.bases.registry_images import parse_image_config
from roost.daemon.bundles.contents import BundledEnvironment, list_variables, place_body
from roost.daemon.bundles.errors import BundlePlatformError, BundleUntrustedError
from roost.daemon.bundles.format import TITLE
from roost.daemon.definitions.resolved import ENVIRONMENT_FORMAT, ResolvedDefinition, TargetedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.errors import NoInterpreterError
from roost.daemon.locks.artifact import LockUntrustedError, SharedLock
from roost.daemon.locks.expectation import LockJob, derive_expectation, find_python, verify_expected
from roost.daemon.locks.solve import create_solve_job
from roost.daemon.oci.manifests import Descriptor
from roost.daemon.oci.references import digest_of
from roost.daemon.oci.target_platforms import format_platform, local_platform
from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.definition import ReadResult
from roost.model.errors import CodedError
from roost.model.names import check_name
from roost.wire.plans import EnvironmentSelector, SourceView

_HINT = "Nothing of the bundle was used. Export it again, from a machine that you trust."


class TrustedEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """An environment of a bundle that passed the checks."""

    bundled: BundledEnvironment
    targeted: TargetedDefinition
    missing_python: str | None = None
    """Why no Python of this machine fits the lock, if none does."""


async def check_environment(
    engines: Engines, bundled: BundledEnvironment, files: Mapping[str, Descriptor], snapshots: str
) -> TrustedEnvironment:
    """Return ``bundled`` as a definition of this machine. ``files``: what is in the bundle, by digest; ``snapshots``:
    the folder of this machine for local content.

    Raises BundleUntrustedError, BundlePlatformError.
    """
    try:
        check_name(bundled.name)
        targeted = _target(bundled, snapshots)
        _check_files(bundled, files)
        missing = await _verify_lock(engines, bundled, targeted)
    except (BundlePlatformError, BundleUntrustedError):
        raise
    except CodedError as error:
        reason = error.message.partition(": ")[2] if isinstance(error, LockUntrustedError) else error.message
        raise _untrusted(bundled, reason or error.message) from error
    return TrustedEnvironment(bundled=bundled, targeted=targeted, missing_python=missing)


def _untrusted(bundled: BundledEnvironment, reason: str) -> BundleUntrustedError:
    return BundleUntrustedError(
        f"The lock of {bundled.name[:100]!r} in the bundle can't be trusted: {reason}",
        hint=_HINT,
        fields={"environment": bundled.name, "definition_digest": bundled.definition_digest},
    )


def _target(bundled: BundledEnvironment, snapshots: str) -> TargetedDefinition:
    """Return the definition for this machine, with its digests computed again."""
    body = place_body(bundled.body, snapshots)
    canonical, settings = canonicalise_definition(body.definition, body.defaults), canonicalise_settings(body.settings)
    if digest_bytes(canonical) != bundled.definition_digest:
        raise _untrusted(bundled, "its definition has another digest")
    resolved = ResolvedDefinition(
        parsed=ReadResult(
            definition=body.definition, settings=body.settings, name=bundled.name, format=ENVIRONMENT_FORMAT
        ),
        digest=bundled.definition_digest,
        canonical=canonical,
        settings_digest=digest_bytes(settings),
        settings_canonical=settings,
        source=SourceView(path=None, format=ENVIRONMENT_FORMAT, name=bundled.name),
        warnings=[],
        guards=(),
        defaults=body.defaults,
    )
    targeted = resolved.for_image() if bundled.is_image else resolved.for_prefix()
    if bundled.is_image and bundled.lock.platform != targeted.platform:
        targeted = msgspec.structs.replace(targeted, platform=bundled.lock.platform)
    if targeted.platform != bundled.lock.platform:
        raise BundlePlatformError(
            f"{bundled.name!r} in the bundle is for {format_platform(bundled.lock.platform)}, and this machine is "
            f"{format_platform(targeted.platform)}",
            hint=f"Export it with --platform {local_platform({})}.",
            fields={"platform": bundled.lock.platform, "machine": targeted.platform},
        )
    if targeted.generation_scope != bundled.scope:
        raise _untrusted(bundled, "its lock is not of the kind that its definition has on this machine")
    return targeted


def _check_files(bundled: BundledEnvironment, files: Mapping[str, Descriptor]) -> None:
    lock = bundled.lock
    wanted = [(package.sha256, package.file_name, package.size) for package in lock.conda]
    wanted += [(wheel.sha256, wheel.file_name, wheel.size) for wheel in lock.wheels]
    for sha256, name, size in wanted:
        found = files.get(f"sha256:{sha256}")
        if found is None:
            raise _untrusted(bundled, f"{name[:120]!r} with sha256 {sha256[:12]}… is not in the bundle")
        if found.annotations.get(TITLE) != name or "/" in name or (size and size != found.size):
            raise _untrusted(bundled, f"{name[:120]!r} is another file in the bundle than in the lock")
    if (bundled.base is not None) != (bundled.base_digest is not None):
        raise _untrusted(bundled, "it has a base without an image")
    if bundled.base is None:
        return
    if bundled.base.digest != (bundled.steps_digest or bundled.base_digest):
        raise _untrusted(bundled, "its base is another image")
    if digest_of(bundled.base.config) != bundled.base.digest:
        raise _untrusted(bundled, "the config of its base has another digest")
    if parse_image_config(bundled.base.config).diff_ids != tuple(layer.diff_id for layer in bundled.base.layers):
        raise _untrusted(bundled, "the layers of its base are not those of its config")
    for layer in bundled.base.layers:
        blob = files.get(layer.digest or "")
        if blob is None or blob.size != layer.size:
            raise _untrusted(bundled, f"layer {layer.diff_id[:19]}… of its base is not in the bundle")


async def _verify_lock(engines: Engines, bundled: BundledEnvironment, targeted: TargetedDefinition) -> str | None:
    """Verify the lock against the definition; return why no Python of this machine fits it, if none does."""
    shared = SharedLock(
        definition_digest=bundled.definition_digest,
        platform=bundled.lock.platform,
        lock=bundled.lock,
        format=bundled.lock.format,
    )
    selector = EnvironmentSelector(cwd="/", environ=list_variables(bundled))
    job = LockJob(definition_digest=bundled.definition_digest, solve=create_solve_job(targeted, selector))
    python, missing = None, None
    try:
        python = await find_python(shared, job)
    except NoInterpreterError as error:
        missing = error.message
    expectation = await asyncio.to_thread(derive_expectation, job, True, python, shared.lock)
    _, unmet = await verify_expected(engines.conda_rules(), shared, job, expectation)
    if unmet and not bundled.lock.conda:
        raise _untrusted(bundled, f"{unmet[0]} is satisfied by none of its packages")
    return missing
