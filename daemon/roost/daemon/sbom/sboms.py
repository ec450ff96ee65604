"""The bill of materials of what a request names: its locks are found, and what this machine knows of them."""

from __future__ import annotations

import os

from packaging.requirements import InvalidRequirement, Requirement

from roost.daemon.definitions.resolved import ResolvedDefinition
from roost.daemon.engines.engine_set import Engines
from roost.daemon.planning.locking import find_or_solve_lock
from roost.daemon.planning.planner import Planner
from roost.daemon.sbom.inventory import WRITE, AskedPackage, BaseImage, InventoryRequest, LockedPlatform
from roost.daemon.workspace.resolver import EnvironmentResolver
from roost.model.definition import Base, Definition, PipItem
from roost.model.errors import InvalidRequestError
from roost.model.locks.lock import digest_lock
from roost.model.syntax.match_specs import spec_name
from roost.model.syntax.pip_lines import normalise_name, split_line_index
from roost.store.index.index import Index
from roost.wire.exchange import SBOM_ENCODINGS, SbomRequest, SbomResponse
from roost.wire.installation import VERSION
from roost.wire.protocol import WarningView


async def write_sbom(
    index: Index, engines: Engines, resolver: EnvironmentResolver, planner: Planner, request: SbomRequest
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
    resolved = await resolver.resolve(request.what)
    locks: dict[str, LockedPlatform] = {}
    platforms: list[str | None] = [*dict.fromkeys(request.platforms)] or [None]
    for platform in platforms:
        found = await find_or_solve_lock(planner, index, engines, resolved, request.what, platform)
        digest = digest_lock(found.lock)
        generations = await index.generations.list_by_lock(digest)
        prefix = await index.artifacts.find_ready("prefix", digest)
        locks[digest] = LockedPlatform(
            lock=found.lock,
            digest=digest,
            created=generations[0].created if generations else None,
            prefix=prefix.path if prefix is not None else None,
        )
    name, version = _name_environment(resolved)
    written = await engines.workers.run(
        WRITE,
        InventoryRequest(
            name=name,
            version=version,
            definition_digest=resolved.digest,
            locks=tuple(locks.values()),
            asked=tuple(list_asked(resolved.definition)),
            base=await _find_base(index, resolved),
            gaps=tuple(describe_gaps(resolved)),
            format=request.format,
            encoding=request.encoding,
            tool_version=VERSION,
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


def list_asked(definition: Definition) -> list[AskedPackage]:
    """Return the packages that the definition names, of those that have a name in it."""
    conda = [AskedPackage(kind="conda", name=normalise_name(spec_name(spec))) for spec in definition.conda.dependencies]
    return conda + _list_pip(definition.pip.requirements)


def _list_pip(items: tuple[PipItem, ...]) -> list[AskedPackage]:
    found: list[AskedPackage] = []
    for item in items:
        if item.kind == "requirements":
            found += _list_pip(item.items)
        elif item.name is not None:
            found.append(AskedPackage(kind="pip", name=normalise_name(item.name)))
        elif item.kind in ("requirement", "url"):
            try:
                requirement = Requirement(split_line_index(item.text)[0].partition(" --")[0])
            except InvalidRequirement:
                continue  # a URL without a name: the wheel's kind shows that it was asked for
            extras = tuple(sorted(requirement.extras))
            found.append(AskedPackage(kind="pip", name=normalise_name(requirement.name), extras=extras))
    return found


async def _find_base(index: Index, resolved: ResolvedDefinition) -> BaseImage | None:
    """Return the image that the definition names, with the digest of the one that an image was built on here."""
    base = resolved.definition.base
    reference = base.image or (resolved.defaults.base_image if base.steps else None) if base is not None else None
    if reference is None:
        return None
    generations = await index.generations.list_by_definition(resolved.digest)
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
