"""What a definition expects of a lock from a registry, and the check of a lock against it without asking anybody.

The check itself is pure and lies in ``verify_offline``; here the definition is read with the engines' own rules for
channels and match specs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from packaging.requirements import Requirement

from roost.daemon.credentials.substitution import substitute
from roost.daemon.decision.images import adds_packages
from roost.daemon.engines.conda.rules import CondaRules
from roost.daemon.engines.host_python.engine import choose_for_lock, find_interpreter
from roost.daemon.engines.host_python.errors import NoInterpreterError
from roost.daemon.engines.host_python.fit import marker_environment, provider_of
from roost.daemon.engines.host_python.interpreters import Interpreter
from roost.daemon.locks.artifact import HINT, LockUntrustedError, SharedLock
from roost.daemon.locks.listed import check_provided
from roost.daemon.locks.solve import SolveJob, conda_specs
from roost.daemon.locks.verify_offline import LockExpectation, verify
from roost.daemon.oci.target_platforms import split_platform
from roost.daemon.workers.errors import WorkerCrashedError, WorkerTimeoutError
from roost.model.definition import PipItem
from roost.model.errors import BuildError, InvalidDefinitionError
from roost.model.locks.lock import HostPython, Lock
from roost.model.records import HOST_SCOPE


class LockJob(msgspec.Struct, frozen=True, kw_only=True):
    """A definition whose lock is looked for, and how it would be solved for on this machine."""

    definition_digest: str
    solve: SolveJob
    allow_sources: bool = False
    """Whether the lock may have wheels that stand as what they are built from."""
    python: HostPython | None = None
    """If set, only locks for such a Python are looked for: none here fits the lock that is everybody's."""

    @property
    def scope(self) -> str:
        """What the lock is for: the generation scope, and the Python, if set."""
        host = HOST_SCOPE if self.solve.uses_host_python else ""
        if self.python is None:
            return self.solve.platform + host
        suffix = "t" if self.python.threading == "free-threaded" else ""
        return f"{self.solve.platform}{host}+{self.python.implementation}{self.python.version}{suffix}"


class PipLines(msgspec.Struct, frozen=True, kw_only=True):
    """Pip lines with nested local files expanded in their place."""

    items: tuple[PipItem, ...]
    constraints: tuple[PipItem, ...]
    remote: tuple[str, ...]
    """URLs of nested files."""


async def verify_offline(
    rules: CondaRules, shared: SharedLock, job: LockJob, *, allow_built: bool, python: Interpreter | None = None
) -> None:
    """Raise LockUntrustedError if the definition shows that the lock can't be its own. Nobody is asked.

    ``allow_built``: whether the lock may contain wheels that were built by another machine. ``python``: the Python of
    this machine that it would be used with, if it has none of its own.
    """
    expectation = await asyncio.to_thread(derive_expectation, job, allow_built, python, shared.lock)
    _, unmet = await verify_expected(rules, shared, job, expectation)
    if not shared.lock.conda:
        check_provided(unmet, {})


async def narrow_to_python(job: LockJob) -> LockJob | None:
    """Return ``job`` for the Python that a solve would choose here; ``None`` if there is none."""
    try:
        chosen = await find_interpreter(job.solve.definition.python.requires)
    except NoInterpreterError:
        return None
    return msgspec.structs.replace(job, python=provider_of(chosen))


async def find_python(shared: SharedLock, job: LockJob) -> Interpreter | None:
    """Return the Python of this machine that a lock would be used with; ``None`` if the definition brings its own, or
    the lock names none or one by its path, which ``verify_offline`` refuses.

    Raises NoInterpreterError if none fits the lock and the definition.
    """
    provider = shared.lock.provider
    if not job.solve.uses_host_python or not isinstance(provider, HostPython) or provider.is_bound:
        return None
    return await asyncio.to_thread(choose_for_lock, shared.lock, job.solve.definition.python.requires)


async def verify_expected(
    rules: CondaRules, shared: SharedLock, job: LockJob, expectation: LockExpectation
) -> tuple[SharedLock, Sequence[Requirement]]:
    """Return the lock with the values of variables in its URLs, and the pip requirements that conda's packages have to
    satisfy. Raises LockUntrustedError."""
    lock = await asyncio.to_thread(substitute, shared.lock, job.solve.environ)
    substituted = msgspec.structs.replace(shared, lock=lock)
    try:
        pairs = await rules.find_matches(expectation.specs, lock.conda, expectation.variables)
    except (InvalidDefinitionError, WorkerCrashedError, WorkerTimeoutError):
        raise
    except BuildError as error:
        raise LockUntrustedError(f"The registry's lock can't be read: {error.message}", hint=HINT) from error
    unmet = await asyncio.to_thread(
        verify, substituted, expectation, lambda spec, package: (spec, package.name) in pairs
    )
    return substituted, unmet


def derive_expectation(
    job: LockJob, allow_built: bool, python: Interpreter | None = None, lock: Lock | None = None
) -> LockExpectation:
    """Return what the definition expects of ``lock``: with a Python of conda, it may be of a machine that had no other.

    Raises InvalidDefinitionError if a variable is missing.
    """
    from roost.daemon.engines.conda.channels import allowed_channels
    from roost.daemon.engines.conda.explicit import explicit_digests

    solve, variables = job.solve, job.solve.environ
    conda, subdir = solve.definition.conda, split_platform(solve.platform)[0]
    uses_host_python = solve.uses_host_python and (lock is None or isinstance(lock.provider, HostPython))
    is_bare = (solve.is_image or solve.uses_host_python) and not (conda.dependencies or uses_host_python)
    adds_python = is_bare and adds_packages(solve.definition)
    specs = [*conda_specs(solve.definition), *(("python",) if adds_python else ())]
    explicit = conda.explicit.get(subdir) or conda.explicit.get("noarch")
    lines = expand_lines(solve.definition.pip.requirements)
    return LockExpectation(
        definition_digest=job.definition_digest,
        platform=solve.platform,
        subdir=subdir,
        channels=allowed_channels(conda.channels or solve.defaults.channels, specs, variables),
        specs=() if uses_host_python else tuple(specs),
        uses_host_python=uses_host_python,
        environment=marker_environment(python) if python is not None else None,
        explicit=explicit_digests(explicit, subdir, variables) if explicit else None,
        items=lines.items,
        constraints=lines.constraints,
        remote=lines.remote,
        variables=variables,
        allow_built=allow_built,
        allow_sources=job.allow_sources,
    )


def expand_lines(items: Sequence[PipItem]) -> PipLines:
    """Return all lines, those of nested local files in their place, constraints apart."""
    lines: list[PipItem] = []
    constraints: list[PipItem] = []
    remote: list[str] = []

    def add(item: PipItem, into: list[PipItem]) -> None:
        if item.kind not in ("requirements", "constraints"):
            into.append(item)
            return
        if item.path is None and not item.items:
            remote.append(item.text)
        for inner in item.items:
            add(inner, constraints if item.kind == "constraints" else into)

    for item in items:
        add(item, lines)
    return PipLines(items=tuple(lines), constraints=tuple(constraints), remote=tuple(remote))
