"""From a definition to a lock, for one platform: the engines choose, and nothing of a package runs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

import msgspec

from roost.daemon.credentials.host import find_config_variables, find_solve_urls
from roost.daemon.credentials.substitution import mask, require_variables
from roost.daemon.decision.images import adds_packages
from roost.daemon.engines.conda.platforms import baseline_packages
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.engine import find_interpreter
from roost.daemon.engines.uv.request import PipLockRequest, PythonFacts
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.target_platforms import split_platform
from roost.model.definition import BASELINE_GLIBC, Defaults, Definition
from roost.model.errors import CodedError, InvalidDefinitionError
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, RemoteInput, Wheel
from roost.model.syntax.match_specs import spec_name


class PlatformMissingError(InvalidDefinitionError):
    """An explicit definition lists no packages for the platform."""

    code = "platform-missing"


class SolveJob(msgspec.Struct, frozen=True, kw_only=True):
    """What to lock, and under which conditions. ``credentials`` and ``environ`` are for the engines alone."""

    definition: Definition
    defaults: Defaults
    platform: str
    as_of: datetime | None = None
    allow_builds: bool = False
    """Whether wheels may be built from source, which runs code of theirs."""
    credentials: Mapping[str, str] = {}
    environ: Mapping[str, str] = {}
    image: bool = False
    """For an image: no Python and no folder of this machine is in it."""
    beside: tuple[str, ...] = ()
    """Match specs beside the definition's own."""


async def solve_lock(engines: Engines, job: SolveJob, progress: Progress) -> Lock:
    """The packages for ``job``. Raises the engines' errors, all of the roost tree, and VariableMissingError."""
    require_variables(job.definition, job.environ)
    job = await with_credentials(engines, job)
    conda = job.definition.conda.dependencies or job.definition.conda.explicit
    without = _for_image if job.image else _with_host_python
    lock = await (_with_conda if conda else without)(engines, job, progress)
    return mask(lock, job.environ)


async def with_credentials(engines: Engines, job: SolveJob) -> SolveJob:
    """``job`` with the credentials that are not its own; a variable that only these come from fills in no URL.

    Raises VariableMissingError, KeyringError, AuthFileError.
    """
    urls = find_solve_urls(job.definition, engines.config)
    found = await engines.credentials(urls, job.environ)
    written = msgspec.json.encode([job.definition.conda, job.definition.pip, job.credentials]).decode()
    others = {name for name in find_config_variables(engines.config) if name not in written}
    environ = {name: value for name, value in job.environ.items() if name not in others}
    return msgspec.structs.replace(job, credentials={**found, **job.credentials}, environ=environ)


async def _for_image(engines: Engines, job: SolveJob, progress: Progress) -> Lock:
    """No conda packages are named: conda's Python, of the minor version that a prefix of this definition would have
    here; nothing at all where the base brings its own Python."""
    if not adds_packages(job.definition):
        return Lock(platform=job.platform, provider=CondaPython())
    with suppress(CodedError):  # no Python here fits: conda's newest that does
        minor = (await find_interpreter(job.definition.python.requires)).version.rpartition(".")[0]
        job = msgspec.structs.replace(job, beside=(f"python {minor}.*",))
    return await _with_conda(engines, job, progress)


async def _with_conda(engines: Engines, job: SolveJob, progress: Progress) -> Lock:
    packages = await _conda_packages(engines, job, progress)
    wheels: tuple[Wheel, ...] = ()
    inputs: tuple[RemoteInput, ...] = ()
    if job.definition.pip.requirements:
        wheels, inputs = await _wheels_beside(engines, job, packages, progress)
    return Lock(
        platform=job.platform,
        provider=CondaPython(),
        conda=tuple(packages),
        wheels=wheels,
        system=baseline_packages(job.platform, job.definition.system),
        inputs=inputs,
    )


async def _conda_packages(engines: Engines, job: SolveJob, progress: Progress) -> list[CondaPackage]:
    conda = await engines.conda()
    subdir, _ = split_platform(job.platform)
    explicit = job.definition.conda.explicit
    if explicit:
        listed = explicit.get(subdir) or explicit.get("noarch")
        if listed is None:
            raise PlatformMissingError(
                f"The definition lists packages for {', '.join(sorted(explicit))}, and none for {subdir}",
                hint=f"Lock it for {subdir} as well, or run it on one of those platforms.",
            )
        return await conda.resolve_explicit(
            listed, job.platform, credentials=job.credentials, variables=job.environ, progress=progress
        )
    return await conda.solve(
        channels=job.definition.conda.channels or job.defaults.channels,
        specs=[*conda_specs(job.definition), *(job.beside or _any_python(job))],
        platform=job.platform,
        system=job.definition.system,
        as_of=job.as_of,
        credentials=job.credentials,
        variables=job.environ,
        progress=progress,
    )


def _any_python(job: SolveJob) -> tuple[str, ...]:
    return ("python",) if job.image and not job.definition.conda.dependencies else ()


def conda_specs(definition: Definition) -> list[str]:
    """The match specs that are solved for: as conda does, ``pip`` is added where there is a pip section without it."""
    specs = list(definition.conda.dependencies)
    names = {spec_name(spec) for spec in specs}
    if definition.pip.requirements and "pip" not in names:
        specs.append("pip")
    if definition.python.requires and "python" not in names:
        specs.append(f"python {definition.python.requires.replace(' ', '')}")
    return specs


async def _wheels_beside(
    engines: Engines, job: SolveJob, packages: list[CondaPackage], progress: Progress
) -> tuple[tuple[Wheel, ...], tuple[RemoteInput, ...]]:
    python = next((package for package in packages if package.name == "python"), None)
    if python is None:
        raise InvalidDefinitionError(
            "The definition has pip packages and no Python among its conda packages",
            hint="Add python to its conda dependencies.",
        )
    conda, pip = await engines.conda(), await engines.pip()
    written = [*job.definition.conda.channels, *job.definition.conda.dependencies]
    secrets = conda.channel_credentials(written, job.environ, job.credentials)
    provided = await conda.find_distributions(packages, credentials=secrets)
    request = PipLockRequest(
        items=job.definition.pip.requirements,
        python=PythonFacts(version=python.version),
        platform=job.platform,
        glibc=job.definition.system.get("glibc", BASELINE_GLIBC),
        provided=provided,
        as_of=job.as_of,
        allow_builds=job.allow_builds,
        credentials=job.credentials,
        variables=job.environ,
        index=job.defaults.index,
        editables_as_wheels=job.image,
    )
    locked = await pip.lock(request, progress)
    return tuple(locked.wheels), tuple(locked.inputs)


async def _with_host_python(engines: Engines, job: SolveJob, progress: Progress) -> Lock:
    pip = await engines.pip()
    interpreter = await find_interpreter(job.definition.python.requires)
    request = PipLockRequest(
        items=job.definition.pip.requirements,
        python=await pip.inspect_python(interpreter),
        platform=job.platform,
        glibc=BASELINE_GLIBC,
        as_of=job.as_of,
        allow_builds=job.allow_builds,
        credentials=job.credentials,
        variables=job.environ,
        index=job.defaults.index,
    )
    locked = await pip.lock(request, progress)
    return Lock(platform=job.platform, provider=interpreter, wheels=tuple(locked.wheels), inputs=tuple(locked.inputs))
