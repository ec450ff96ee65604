"""The bill of materials of what a request names: its locks are found, and what this machine knows of them."""

from __future__ import annotations

import os

from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.inspection.asked import list_asked
from roost.daemon.inspection.contents import cache_key
from roost.daemon.planning.locking import find_or_solve_lock
from roost.daemon.planning.planner import Planner
from roost.daemon.sbom.inventory import WRITE, AskedPackage, BaseImage, InventoryRequest, LockedPlatform
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.definition import Base
from roost.model.errors import InvalidRequestError
from roost.model.locks.lock import digest_lock
from roost.store.store import Store
from roost.wire.exchange import SBOM_ENCODINGS, SbomRequest, SbomResponse
from roost.wire.installation import VERSION
from roost.wire.protocol import WarningView


async def write_sbom(
    store: Store, engines: Engines, resolver: EnvironmentResolver, planner: Planner, request: SbomRequest
) -> SbomResponse:
    """Return the document. Nothing is built or stored.

    Raises: InvalidRequestError if the definition is user-managed or the format has no such encoding;
    SbomLibraryMissingError; what reading the definition and solving raise.
    """
    if request.encoding not in SBOM_ENCODINGS[request.format]:
        raise InvalidRequestError(
            f"{request.format} is not written as {request.encoding}",
            hint=f"Name one of {', '.join(SBOM_ENCODINGS[request.format])}.",
        )
    index = store.index
    resolved = await resolver.resolve(request.what)
    asked: dict[AskedPackage, None] = {}
    locks: dict[str, LockedPlatform] = {}
    platforms: list[str | None] = [*dict.fromkeys(request.platforms)] or [None]
    for platform in platforms:
        found = await find_or_solve_lock(planner, index, engines, resolved, request.what, platform)
        digest = digest_lock(found.lock)
        generations = await index.generations.list_by_lock(digest)
        prefix = await index.artifacts.find_ready("prefix", digest)
        files = await index.caches.find([cache_key(wheel) for wheel in found.lock.wheels], [])
        paths = {each.key: each.id for each in files if each.kind == "wheel"}
        for each in list_asked(resolved.parsed, found.lock):
            if each.key[0] in ("conda", "pip", "jar", "r"):
                asked[AskedPackage(kind=each.key[0], name=each.key[1], extras=tuple(sorted(each.extras)))] = None
        locks[digest] = LockedPlatform(
            lock=found.lock,
            digest=digest,
            created=generations[0].created if generations else None,
            prefix=prefix.path if prefix is not None else None,
            unpacked={each.name: paths[key] for each in found.lock.wheels if (key := cache_key(each)) in paths},
        )
    name, version = _name_environment(resolved)
    written = await engines.workers.run(
        WRITE,
        InventoryRequest(
            name=name,
            version=version,
            definition_digest=resolved.digest,
            locks=tuple(locks.values()),
            asked=tuple(asked),
            base=await _find_base(store, resolved),
            gaps=tuple(describe_gaps(resolved)),
            format=request.format,
            encoding=request.encoding,
            tool_version=VERSION,
            root=store.layout.root,
        ),
    )
    warnings = [WarningView(code="sbom-incomplete", message=gap) for gap in written.gaps]
    if written.unknown_licences and any(each.prefix is None for each in locks.values()):
        unknown = f"The licences of {written.unknown_licences} packages are not known: wheels state them when installed"
        warnings.append(WarningView(code="sbom-licences", message=f"{unknown} (`roost build` first)"))
    return SbomResponse(
        text=written.text,
        packages=written.packages,
        definition_digest=resolved.digest,
        lock_digests=list(locks),
        warnings=[*resolved.warnings, *warnings],
    )


def _name_environment(resolved: ResolvedDefinition) -> tuple[str, str]:
    """Return the name of the environment, and its version; that of a file is the beginning of its digest. No folder of
    this machine is in either."""
    if resolved.environment is not None:
        return resolved.environment[0], str(resolved.environment[1])
    name = resolved.source.name or os.path.basename(os.path.dirname(resolved.source.path or "")) or "environment"
    return name, resolved.digest.removeprefix("sha256:")[:12]


async def _find_base(store: Store, resolved: ResolvedDefinition) -> BaseImage | None:
    """Return the image that the definition names, with the digest of the one that an image was built on here."""
    base = resolved.definition.base
    reference = base.image or (resolved.defaults.base_image if base.steps else None) if base is not None else None
    if reference is None:
        return None
    generations = await store.index.generations.list_by_definition(resolved.digest)
    digests = [each.base_digest for each in generations if each.current and each.base_digest]
    return BaseImage(reference=reference, digest=digests[0] if digests else None)


def describe_gaps(resolved: ResolvedDefinition) -> list[str]:
    """Return what a definition installs beside the packages of its locks, a sentence each."""
    base, definition = resolved.definition.base or Base(), resolved.definition
    gaps = []
    if base.steps:
        gaps.append(f"What {len(base.steps)} docker steps install is not analysed.")
    if base.dockerfile is not None or base.context is not None:
        gaps.append("What the Dockerfile installs is not analysed.")
    if definition.spark.packages:
        gaps.append("Spark packages are not listed.")
    if resolved.project is not None:
        gaps.append(f"The project itself ({resolved.project.name}) is not listed: it is no part of the lock.")
    return gaps
