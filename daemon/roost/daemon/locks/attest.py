"""A fetched lock, from first doubt to use: what the definition says of it, and what channels and indexes say.

``lock_verify`` judges it by the definition alone. Before anything of it is installed, those that the definition itself
trusts are asked as well: the channels, whether they list each package with that sha256 (and what depends on what is
taken from them, not from the lock); and the indexes, by having uv choose again with the lock's versions as constraints,
which must give exactly the lock's wheels. A solve that comes to the same in other words would not do: channels mend
their metadata later, and a lock stays what it was.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from packaging.requirements import Requirement

from roost.daemon.credentials.substitution import mask, substitute
from roost.daemon.decision.images import adds_packages
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.uv.request import PipLockRequest, PythonFacts
from roost.daemon.jobs.progress import Progress
from roost.daemon.locks.artifact import HINT, LockUntrustedError, SharedLock
from roost.daemon.locks.solve import SolveJob, conda_specs, with_credentials
from roost.daemon.locks.verify_offline import LockExpectation, check_provided, verify, vouched
from roost.daemon.oci.target_platforms import split_platform
from roost.model.definition import BASELINE_GLIBC, PipItem
from roost.model.errors import BuildError, InvalidDefinitionError
from roost.model.locks.lock import CondaPackage, Lock, Wheel
from roost.model.syntax.match_specs import spec_name

if TYPE_CHECKING:
    from roost.daemon.engines.conda.engine import CondaEngine
    from roost.daemon.engines.uv.engine import PipEngine


class LockJob(msgspec.Struct, frozen=True, kw_only=True):
    """Whose lock it is, and how it would be solved for here."""

    definition_digest: str
    solve: SolveJob


async def judge(shared: SharedLock, job: LockJob, *, builds: bool) -> None:
    """Raise LockPoisonedError where the definition says that the lock can't be its own. Asks nobody.

    ``builds``: whether wheels that somebody built may be in it.
    """
    wanted = await asyncio.to_thread(wanted_of, job, builds)
    await asyncio.to_thread(_verify, shared, job, wanted)


def _verify(shared: SharedLock, job: LockJob, wanted: LockExpectation) -> tuple[SharedLock, Sequence[Requirement]]:
    from roost.daemon.engines.conda.check import find_matches

    revealed = msgspec.structs.replace(shared, lock=substitute(shared.lock, job.solve.environ))
    try:
        pairs = find_matches(wanted.specs, revealed.lock.conda, wanted.variables)
    except InvalidDefinitionError:
        raise
    except BuildError as error:
        raise LockUntrustedError(f"The registry's lock can't be read: {error.message}", hint=HINT) from error
    return revealed, verify(revealed, wanted, lambda spec, package: (spec, package.name) in pairs)


def wanted_of(job: LockJob, builds: bool) -> LockExpectation:
    """What the definition asks of a lock. Raises InvalidDefinitionError where a variable is missing."""
    from roost.daemon.engines.conda.check import allowed_channels, explicit_digests

    solve, variables = job.solve, job.solve.environ
    conda, subdir = solve.definition.conda, split_platform(solve.platform)[0]
    python = solve.image and not conda.dependencies and adds_packages(solve.definition)
    specs = [*conda_specs(solve.definition), *(("python",) if python else ())]
    listed = conda.explicit.get(subdir) or conda.explicit.get("noarch")
    items, constraints, remote = _lines(solve.definition.pip.requirements)
    return LockExpectation(
        definition_digest=job.definition_digest,
        platform=solve.platform,
        subdir=subdir,
        channels=allowed_channels(conda.channels or solve.defaults.channels, specs, variables),
        specs=tuple(specs),
        explicit=explicit_digests(listed, subdir, variables) if listed else None,
        items=items,
        constraints=constraints,
        remote=remote,
        variables=variables,
        builds=builds,
    )


def _lines(items: Sequence[PipItem]) -> tuple[tuple[PipItem, ...], tuple[PipItem, ...], tuple[str, ...]]:
    """Lines, constraints, and the URLs of nested files; what local nested files hold is in its place."""
    lines: list[PipItem] = []
    constraints: list[PipItem] = []
    remote: list[str] = []

    def add(each: PipItem, into: list[PipItem]) -> None:
        if each.kind not in ("requirements", "constraints"):
            into.append(each)
            return
        if each.path is None and not each.items:
            remote.append(each.text)
        for inner in each.items:
            add(inner, constraints if each.kind == "constraints" else into)

    for item in items:
        add(item, lines)
    return tuple(lines), tuple(constraints), tuple(remote)


async def vouch(
    engines: Engines, shared: SharedLock, job: LockJob, wheels: Mapping[str, str], progress: Progress, *, builds: bool
) -> Lock:
    """The lock to use, once channels and indexes have said yes. ``wheels``: sha256 to path of those that came with it.

    Raises LockPoisonedError, and what the engines raise where channels or indexes can't be asked.
    """
    job = msgspec.structs.replace(job, solve=await with_credentials(engines, job.solve))
    wanted = await asyncio.to_thread(wanted_of, job, builds)
    revealed, left = await asyncio.to_thread(_verify, shared, job, wanted)
    lock = revealed.lock
    packages = await _of_channels(engines, lock, job, progress)
    if lock.wheels or left:
        await _of_indexes(engines, lock, job, wheels, left, progress)
    return mask(msgspec.structs.replace(lock, conda=packages), job.solve.environ)


async def _of_channels(engines: Engines, lock: Lock, job: LockJob, progress: Progress) -> tuple[CondaPackage, ...]:
    """The channels' own records of the lock's packages."""
    if not lock.conda:
        return ()
    conda, solve = await engines.conda(), job.solve
    urls = [f"{package.url}#sha256:{package.sha256}" for package in lock.conda]
    try:
        found = await conda.resolve_explicit(
            urls, solve.platform, credentials=_secrets(conda, job), variables=solve.environ, progress=progress
        )
    except BuildError as error:
        if error.code not in ("digest-mismatch", "package-missing"):
            raise
        raise LockUntrustedError(f"The registry's lock is not to be trusted: {error.message}", hint=HINT) from error
    return tuple(sorted(found, key=lambda package: package.name))


def _secrets(conda: CondaEngine, job: LockJob) -> Mapping[str, str]:
    written = [*job.solve.definition.conda.channels, *job.solve.definition.conda.dependencies]
    return conda.channel_credentials(written, job.solve.environ, job.solve.credentials)


async def _of_indexes(
    engines: Engines,
    lock: Lock,
    job: LockJob,
    wheels: Mapping[str, str],
    left: Sequence[Requirement],
    progress: Progress,
) -> None:
    conda, pip, solve = await engines.conda(), await engines.pip(), job.solve
    python = next((package for package in lock.conda if package.name == "python"), None)
    if python is None:
        raise LockUntrustedError("The registry's lock is not to be trusted: it has wheels and no Python", hint=HINT)
    provided = await conda.find_distributions(lock.conda, credentials=_secrets(conda, job))
    check_provided(left, provided)
    try:
        request = PipLockRequest(
            items=pinned(solve.definition.pip.requirements, lock, wheels),
            python=PythonFacts(version=python.version),
            platform=solve.platform,
            glibc=solve.definition.system.get("glibc", BASELINE_GLIBC),
            provided=provided,
            credentials=solve.credentials,
            variables=solve.environ,
        )
        chosen = await pip.lock(request, progress)
    except BuildError as error:
        if error.code not in ("pip-unsatisfiable", "pip-conda-conflict", "lock-needs-build", "digest-mismatch"):
            raise
        raise LockUntrustedError(
            f"The registry's lock is not to be trusted: its wheels are none that the definition can have: "
            f"{error.message}",
            hint=HINT,
        ) from error
    listed = {w.name: {"version": w.version, "sha256s": w.sha256, "url": w.url or ""} for w in chosen.wheels}
    vouched(lock, await _with_older_files(pip, lock, job, python.version, listed))


async def _with_older_files(
    pip: PipEngine, lock: Lock, job: LockJob, python: str, listed: dict[str, dict[str, str]]
) -> dict[str, dict[str, str]]:
    """A version may have got another, better fitting file since the lock was made: its own is still listed."""
    other = [
        w for w in lock.wheels if w.kind == "index" and w.sha256 != listed.get(w.name, {}).get("sha256s", w.sha256)
    ]
    if not other:
        return listed
    solve = job.solve
    request = PipLockRequest(
        items=solve.definition.pip.requirements,
        python=PythonFacts(version=python),
        platform=solve.platform,
        glibc=solve.definition.system.get("glibc", BASELINE_GLIBC),
        credentials=solve.credentials,
        variables=solve.environ,
        index=solve.defaults.index,
    )
    found = await pip.list_digests(request, other)
    return {
        name: {**fields, "sha256s": " ".join((fields["sha256s"], *found.get(name, ())))}
        for name, fields in listed.items()
    }


def pinned(items: Sequence[PipItem], lock: Lock, wheels: Mapping[str, str]) -> list[PipItem]:
    """The definition's lines, with the lock's versions as constraints and the built wheels in the place of the lines
    that they were built from. What an index's source became only lies ready: something must ask for it."""
    built = {wheel.name: wheel for wheel in lock.wheels if wheel.kind == "built"}
    direct = {wheel.name for wheel in built.values() if not (wheel.origin or "").startswith("sha256:")}
    direct |= _direct_names(items) & set(built)
    pins = [w for w in lock.wheels if w.kind == "index" or (w.kind == "built" and w.name not in direct)]
    kept = [each for each in (_without(item, built) for item in items) if each is not None]
    given = [PipItem(kind="wheel", text=w.file_name, path=wheels[w.sha256]) for w in built.values() if w.name in direct]
    folders = {posixpath.dirname(wheels[w.sha256]) for w in built.values() if w.name not in direct}
    ready = [PipItem(kind="option", text=f"--find-links {folder}", path=folder) for folder in sorted(folders)]
    lines = tuple(PipItem(kind="requirement", text=f"{w.name}=={w.version}") for w in pins)
    return [*kept, *given, *ready, *([PipItem(kind="constraints", text="the lock", items=lines)] if lines else [])]


def _direct_names(items: Sequence[PipItem]) -> set[str]:
    """Names in ``NAME @ URL``."""
    return {_name(item.text.partition(" @ ")[0]) for item in _lines(items)[0] if item.kind == "url"}


def _without(item: PipItem, built: Mapping[str, Wheel]) -> PipItem | None:
    """``item`` where it still has a say: what was built is given, and what asks for builds has been heard."""
    if item.items:
        inner = tuple(each for each in (_without(i, built) for i in item.items) if each is not None)
        return msgspec.structs.replace(item, items=inner)
    if item.kind == "source" or (item.kind == "option" and item.text.startswith(("--no-binary", "--require-hashes"))):
        return None
    if item.kind == "url" and not item.text.partition(" ;")[0].partition("#")[0].endswith(".whl"):
        return None
    if item.kind == "requirement" and _name(item.text) in built:
        return msgspec.structs.replace(item, text=item.text.partition(" --")[0])
    return item


def _name(text: str) -> str:
    return spec_name(text.partition("[")[0].partition(";")[0])
