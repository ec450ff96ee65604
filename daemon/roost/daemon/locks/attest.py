"""Attestation of a fetched lock by the channels and indexes that its definition trusts.

``expectation`` checks a lock against the definition alone. Before anything of the lock is installed, the sources that
the definition itself names are asked as well. The channels: whether they list each package with that sha256 (and what
a package depends on is taken from them, not from the lock). The indexes: uv chooses again with the lock's versions as
constraints, which must give exactly the lock's wheels. It would not do to solve again and to compare the results:
channels repair their metadata later, and a lock stays what it was.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from packaging.requirements import Requirement

from roost.daemon.credentials.substitution import mask
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.interpreters import Interpreter
from roost.daemon.engines.uv.request import PythonFacts, describe_python
from roost.daemon.jobs.progress import LockCheckProgress, Progress
from roost.daemon.locks.artifact import HINT, LockUntrustedError, SharedLock
from roost.daemon.locks.expectation import LockJob, derive_expectation, expand_lines, verify_expected
from roost.daemon.locks.listed import check_provided, check_sources, check_wheels_listed
from roost.daemon.locks.solve import create_pip_request, with_credentials
from roost.model.definition import PipItem
from roost.model.errors import BuildError, ServiceUnreachableError
from roost.model.locks.lock import CondaPackage, Lock, Wheel, WheelSource, is_source
from roost.model.syntax.match_specs import spec_name

if TYPE_CHECKING:
    from roost.daemon.engines.conda.engine import CondaEngine
    from roost.daemon.engines.uv.engine import PipEngine


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """What channels and indexes say of a lock."""

    lock: Lock
    """The lock to build from, if all of them answered."""
    silent_channels: ServiceUnreachableError | None = None
    """Why channels were not asked, if they did not answer; likewise ``silent_indexes``."""
    silent_indexes: ServiceUnreachableError | None = None


async def attest(
    engines: Engines,
    shared: SharedLock,
    job: LockJob,
    wheels: Mapping[str, str],
    progress: Progress,
    *,
    allow_built: bool,
    python: Interpreter | None = None,
) -> Lock:
    """Return the lock to build from, once channels and indexes list all of it: see ``ask_sources``.

    Raises LockUntrustedError, and what the engines raise if channels or indexes can't be asked.
    """
    found = await ask_sources(engines, shared, job, wheels, progress, allow_built=allow_built, python=python)
    silent = found.silent_channels or found.silent_indexes
    if silent is not None:
        raise silent
    return found.lock


async def ask_sources(
    engines: Engines,
    shared: SharedLock,
    job: LockJob,
    wheels: Mapping[str, str],
    progress: Progress,
    *,
    allow_built: bool,
    python: Interpreter | None = None,
) -> Attestation:
    """Ask channels and indexes for all of a lock. Silent channels do not keep the indexes from being asked, unless code
    would run for a lock that can't be used anyway.

    ``wheels``: sha256 to path of the wheels that came with the lock. ``allow_built``: whether it may contain wheels
    that were built by another machine. ``python``: the Python of this machine that the lock will be used with, if it
    has none of its own. Raises LockUntrustedError, and what the engines raise, but for ServiceUnreachableError.
    """
    progress.start("check-lock")
    try:
        return await _ask(engines, shared, job, wheels, LockCheckProgress(progress), allow_built, python)
    finally:
        progress.finish("check-lock")


async def _ask(
    engines: Engines,
    shared: SharedLock,
    job: LockJob,
    wheels: Mapping[str, str],
    progress: Progress,
    allow_built: bool,
    python: Interpreter | None,
) -> Attestation:
    job = msgspec.structs.replace(job, solve=await with_credentials(engines, job.solve))
    expectation = await asyncio.to_thread(derive_expectation, job, allow_built, python, shared.lock)
    substituted, unmet = await verify_expected(engines.conda_rules(), shared, job, expectation)
    lock = substituted.lock
    packages, chosen = lock.conda, lock.wheels
    silent_channels: ServiceUnreachableError | None = None
    silent_indexes: ServiceUnreachableError | None = None
    try:
        packages = await _fetch_channel_records(engines, lock, job, progress)
    except ServiceUnreachableError as error:
        silent_channels = error
    if (lock.wheels or unmet) and not (silent_channels and any(map(is_source, lock.wheels))):
        facts = describe_python(python) if python is not None else _find_conda_python(lock)
        try:
            chosen = await _check_indexes(engines, lock, job, wheels, unmet, facts, progress)
        except ServiceUnreachableError as error:
            silent_indexes = error
    known = mask(msgspec.structs.replace(lock, conda=packages, wheels=chosen), job.solve.environ)
    return Attestation(lock=known, silent_channels=silent_channels, silent_indexes=silent_indexes)


async def _fetch_channel_records(
    engines: Engines, lock: Lock, job: LockJob, progress: Progress
) -> tuple[CondaPackage, ...]:
    """Return the channels' own records of the lock's packages. Raises LockUntrustedError if a channel does not list
    one with its sha256."""
    if not lock.conda:
        return ()
    conda, solve = await engines.conda(), job.solve
    urls = [f"{package.url}#sha256:{package.sha256}" for package in lock.conda]
    try:
        records = await conda.resolve_explicit(
            urls,
            solve.platform,
            credentials=_channel_credentials(conda, job),
            variables=solve.environ,
            progress=progress,
        )
    except BuildError as error:
        if error.code not in ("digest-mismatch", "package-missing"):
            raise
        raise LockUntrustedError(f"The registry's lock can't be trusted: {error.message}", hint=HINT) from error
    return tuple(sorted(records, key=lambda package: package.name))


def _channel_credentials(conda: CondaEngine, job: LockJob) -> Mapping[str, str]:
    written = [*job.solve.definition.conda.channels, *job.solve.definition.conda.dependencies]
    return conda.channel_credentials(written, job.solve.environ, job.solve.credentials)


async def _check_indexes(
    engines: Engines,
    lock: Lock,
    job: LockJob,
    wheels: Mapping[str, str],
    unmet: Sequence[Requirement],
    python: PythonFacts,
    progress: Progress,
) -> tuple[Wheel, ...]:
    """Return the lock's wheels; those that stand as their source are built.

    ``unmet``: the requirements that no wheel satisfies, so that conda's packages have to. Raises LockUntrustedError if
    the definition's own lines, with the lock's versions, do not give the lock's wheels."""
    pip, solve = await engines.pip(), job.solve
    provided: Mapping[str, str] = {}
    if lock.conda:
        conda = await engines.conda()
        provided = await conda.find_distributions(lock.conda, credentials=_channel_credentials(conda, job))
    check_provided(unmet, provided)
    try:
        request = msgspec.structs.replace(
            create_pip_request(solve, python),
            items=pin_lines(solve.definition.pip.requirements, lock, wheels),
            provided=provided,
            allow_builds=any(map(is_source, lock.wheels)) and solve.allow_builds,
        )
        chosen = await pip.lock(request, progress)
    except BuildError as error:
        if error.code not in ("pip-unsatisfiable", "pip-conda-conflict", "lock-needs-build", "digest-mismatch"):
            raise
        raise LockUntrustedError(
            f"The registry's lock can't be trusted: its wheels do not fit the definition: {error.message}",
            hint=HINT,
        ) from error
    listed = {w.name: {"version": w.version, "sha256s": w.sha256, "url": w.url or ""} for w in chosen.wheels}
    built = check_sources(lock, {wheel.name: wheel for wheel in chosen.wheels})
    realised = msgspec.structs.replace(lock, wheels=built)
    check_wheels_listed(realised, await _with_older_files(pip, realised, job, python, listed))
    return built


def _find_conda_python(lock: Lock) -> PythonFacts:
    python = next((package for package in lock.conda if package.name == "python"), None)
    if python is None:
        raise LockUntrustedError("The registry's lock can't be trusted: it has wheels and no Python", hint=HINT)
    return PythonFacts(version=python.version)


async def _with_older_files(
    pip: PipEngine, lock: Lock, job: LockJob, python: PythonFacts, listed: dict[str, dict[str, str]]
) -> dict[str, dict[str, str]]:
    """Add the digests of all files that the index lists for a version: since the lock was made, the version may have
    got another file that fits better, and the lock's own file is still listed."""
    other = [
        w for w in lock.wheels if w.kind == "index" and w.sha256 != listed.get(w.name, {}).get("sha256s", w.sha256)
    ]
    if not other:
        return listed
    digests = await pip.list_digests(create_pip_request(job.solve, python), other)
    return {
        name: {**fields, "sha256s": " ".join((fields["sha256s"], *digests.get(name, ())))}
        for name, fields in listed.items()
    }


def pin_lines(items: Sequence[PipItem], lock: Lock, wheels: Mapping[str, str]) -> list[PipItem]:
    """Return the definition's lines with the lock's versions as constraints, and built wheels (``wheels``: sha256 to
    path) in place of the lines that they were built from.

    A wheel that was built from an index's source is only made available: some line must still ask for it. What stands
    as its source is built again: a repository's line names its commit.
    """
    sources = {w.name: w.source for w in lock.wheels if w.source is not None and is_source(w)}
    items = _pin_commits(items, sources)
    built = {wheel.name: wheel for wheel in lock.wheels if wheel.kind == "built" and wheel.sha256}
    direct = {wheel.name for wheel in built.values() if not (wheel.origin or "").startswith("sha256:")}
    direct |= {_line_name(x.text.partition(" @ ")[0]) for x in expand_lines(items).items if x.kind == "url"} & set(
        built
    )
    versions = tuple(
        PipItem(kind="requirement", text=f"{wheel.name}=={wheel.version}")
        for wheel in lock.wheels
        if wheel.kind == "index"
        or (wheel.name in built and wheel.name not in direct)
        or (is_source(wheel) and wheel.source is not None and wheel.source.kind == "sdist")
    )
    in_place = [
        PipItem(kind="wheel", text=wheel.file_name, path=wheels[wheel.sha256])
        for wheel in built.values()
        if wheel.name in direct
    ]
    folders = {posixpath.dirname(wheels[wheel.sha256]) for wheel in built.values() if wheel.name not in direct}
    return [
        *(line for line in (_without_builds(item, built, sources) for item in items) if line is not None),
        *in_place,
        *(PipItem(kind="option", text=f"--find-links {folder}", path=folder) for folder in sorted(folders)),
        *([PipItem(kind="constraints", text="the lock", items=versions)] if versions else []),
    ]


def _pin_commits(items: Sequence[PipItem], sources: Mapping[str, WheelSource]) -> list[PipItem]:
    """Return ``items`` with the commits of ``sources`` (by name) in the URLs of the lines that name repositories."""
    pinned = []
    for item in items:
        source = sources.get(_line_name(item.text.partition(" @ ")[0])) if item.kind == "url" else None
        if item.items:
            item = msgspec.structs.replace(item, items=tuple(_pin_commits(item.items, sources)))
        elif source is not None and source.kind == "git":
            item = msgspec.structs.replace(item, text=pin_commit(item.text, source.commit))
        pinned.append(item)
    return pinned


def pin_commit(line: str, commit: str) -> str:
    """Return a line that names a repository (``name @ git+https://…@main#…``) with ``commit`` as its revision."""
    place, marker, condition = line.partition(" ;")
    url, fragment_sign, fragment = place.partition("#")
    head, slash, last = url.rpartition("/")
    return f"{head}{slash}{last.partition('@')[0]}@{commit}{fragment_sign}{fragment}{marker}{condition}"


def _without_builds(item: PipItem, built: Mapping[str, Wheel], sources: Mapping[str, WheelSource]) -> PipItem | None:
    """Return ``item`` without what asks for builds, since the built wheels are at hand, but for ``sources``, which are
    to be built; ``None`` if nothing is left."""
    if item.items:
        inner = (_without_builds(each, built, sources) for each in item.items)
        return msgspec.structs.replace(item, items=tuple(line for line in inner if line is not None))
    if item.kind == "source":
        folders = {f"sha256:{source.sha256}" for source in sources.values() if source.kind != "git"}
        return item if item.digest in folders else None
    if item.kind == "option" and item.text.startswith(("--no-binary", "--require-hashes")):
        return item if sources else None
    if item.kind == "url" and not item.text.partition(" ;")[0].partition("#")[0].endswith(".whl"):
        return item if _line_name(item.text.partition(" @ ")[0]) in sources else None
    if item.kind == "requirement" and _line_name(item.text) in built:
        return msgspec.structs.replace(item, text=item.text.partition(" --")[0])
    return item


def _line_name(text: str) -> str:
    return spec_name(text.partition("[")[0].partition(";")[0])
