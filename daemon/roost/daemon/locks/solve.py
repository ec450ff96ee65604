"""From a definition to a lock for one platform: the engines choose the packages, and run no code of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime

import msgspec

from roost.daemon.credentials.host import find_config_variables, find_solve_urls
from roost.daemon.credentials.substitution import (
    VariableMissingError,
    find_unset_index_variables,
    mask,
    require_variables,
    substitute_credentials,
    without_index_variables,
)
from roost.daemon.decision.images import adds_packages
from roost.daemon.definitions.resolved import FormerLock, TargetedDefinition
from roost.daemon.engines.conda.platforms import baseline_packages
from roost.daemon.engines.engine_set import Engines
from roost.daemon.engines.host_python.engine import find_interpreter
from roost.daemon.engines.host_python.errors import NoInterpreterError
from roost.daemon.engines.host_python.fit import marker_environment, needed_system, provider_of
from roost.daemon.engines.host_python.interpreters import Interpreter
from roost.daemon.engines.uv.errors import IndexDeniedError
from roost.daemon.engines.uv.request import PipLock, PipLockRequest, PythonFacts, describe_python
from roost.daemon.explanations.explain import UnmetDefinition, explain_unmet
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.target_platforms import split_platform
from roost.model.definition import BASELINE_GLIBC, Defaults, Definition, PipItem
from roost.model.errors import CodedError, InvalidDefinitionError, Location, ServiceUnreachableError
from roost.model.locks.lock import CondaPackage, CondaPython, Lock, RemoteInput, Wheel, with_format
from roost.model.locks.markers import merge_outcomes, record_markers, record_python_specifiers
from roost.model.locks.preferences import prefer_conda_packages, prefer_wheel_versions
from roost.model.syntax.match_specs import spec_name
from roost.wire.plans import EnvironmentSelector, Reason

_ANY_PYTHON = "3.12"
"""For which pip's index is asked whether it has a package, if the definition leaves the choice."""


class PlatformMissingError(InvalidDefinitionError):
    """An explicit definition lists no packages for the platform."""

    code = "platform-missing"


class SolveJob(msgspec.Struct, frozen=True, kw_only=True):
    """What to lock, and under which conditions. ``credentials`` and ``environ`` go to the engines only."""

    definition: Definition
    defaults: Defaults
    platform: str
    as_of: datetime | None = None
    allow_builds: bool = False
    """Whether wheels may be built from source, which runs the code of their build backends."""
    credentials: Mapping[str, str] = {}
    environ: Mapping[str, str] = {}
    index_variables: tuple[str, ...] = ()
    """Variables that may have credentials for an index of the definition, and that the request did not send."""
    is_image: bool = False
    """Whether the lock is for an image, which contains no Python and no folder of this machine."""
    extra_specs: tuple[str, ...] = ()
    """Match specs in addition to the definition's own."""
    preferences: Lock | None = None
    """A former lock, whose versions are chosen if the definition leaves the choice."""
    locations: Mapping[str, Location] = {}
    """Where match specs are written."""
    is_from_file: bool = False
    """Whether a file was read for it, so that all places are those of now."""
    python_location: Location | None = None
    """Where the Python is required."""

    @property
    def uses_host_python(self) -> bool:
        """Whether the lock is for a Python of the machine on which the prefix will be."""
        conda = self.definition.conda
        return not (conda.dependencies or conda.explicit or self.is_image)


def create_solve_job(
    resolved: TargetedDefinition, selector: EnvironmentSelector, former: FormerLock | None = None
) -> SolveJob:
    """Return what the engines need to lock ``resolved``, with the environment of the client and with the versions of
    ``former`` as preferences. Raises VariableMissingError."""
    return SolveJob(
        definition=resolved.definition,
        defaults=resolved.defaults,
        platform=resolved.platform,
        credentials=substitute_credentials(resolved.parsed.credentials, selector.environ),
        environ=without_index_variables(resolved.definition, resolved.parsed.credentials, selector.environ),
        is_image=resolved.is_image,
        index_variables=find_unset_index_variables(resolved.parsed.credentials, selector.environ),
        preferences=former.lock if former is not None else None,
        locations=resolved.parsed.locations,
        is_from_file=resolved.source.path is not None,
        python_location=resolved.parsed.python_location,
    )


def create_pip_request(job: SolveJob, python: PythonFacts) -> PipLockRequest:
    """Return the request for the definition's pip lines, under the conditions that hold whenever they are resolved: for
    a lock, and for the attestation of a lock from elsewhere. The index is the one that the definition was digested
    with, whatever the config says by now."""
    return PipLockRequest(
        items=job.definition.pip.requirements,
        python=python,
        platform=job.platform,
        glibc=job.definition.system.get("glibc", BASELINE_GLIBC),
        credentials=job.credentials,
        variables=job.environ,
        index=job.defaults.index,
    )


async def solve_lock(engines: Engines, job: SolveJob, progress: Progress) -> Lock:
    """Return the lock of ``job``, after those that were requested earlier. Raises the engines' errors, with the place
    of the requirement that can't be met, and VariableMissingError."""
    require_variables(job.definition, job.environ)
    async with engines.solving.hold(progress):
        with request_index_variables(job.index_variables):
            job = await with_credentials(engines, job)
            try:
                return await _solve(engines, job, progress)
            except CodedError as error:
                await explain_unmet(engines, _describe_unmet(job), error)
                raise


def _describe_unmet(job: SolveJob) -> UnmetDefinition:
    version = next(iter(re.findall(r"\d+\.\d+", job.definition.python.requires or "")), _ANY_PYTHON)
    return UnmetDefinition(
        definition=job.definition,
        channels=tuple(job.definition.conda.channels or job.defaults.channels),
        platform=job.platform,
        locations=job.locations,
        is_from_file=job.is_from_file,
        python_location=job.python_location,
        pip_request=create_pip_request(job, PythonFacts(version=version)),
    )


@contextmanager
def request_index_variables(names: Sequence[str]) -> Iterator[None]:
    """Request the variables ``names`` of the caller if an index refuses access in the block.

    They may have its credentials. Raises VariableMissingError in place of IndexDeniedError.
    """
    try:
        yield
    except IndexDeniedError as error:
        if not names:
            raise
        raise VariableMissingError(
            error.message,
            hint=f"{error.hint} Or set {' and '.join(names)} where roost is called.".strip(),
            fields={"variables": list(names)},
        ) from error


async def _solve(engines: Engines, job: SolveJob, progress: Progress) -> Lock:
    if job.uses_host_python:
        lock = await _solve_with_host_python(engines, job, progress)
    elif job.definition.conda.dependencies or job.definition.conda.explicit:
        lock = await _solve_with_conda(engines, job, progress)
    else:
        lock = await _solve_for_image(engines, job, progress)
    return mask(lock, job.environ)


async def with_credentials(engines: Engines, job: SolveJob) -> SolveJob:
    """Return ``job`` with the credentials of the config and other sources added. Variables that only such credentials
    come from are removed: they must not fill in URLs.

    Raises VariableMissingError, KeyringError, AuthFileError.
    """
    urls = find_solve_urls(job.definition, engines.config)
    found = await engines.find_credentials(urls, job.environ)
    written = msgspec.json.encode([job.definition.conda, job.definition.pip, job.credentials]).decode()
    others = {name for name in find_config_variables(engines.config) if name not in written}
    environ = {name: value for name, value in job.environ.items() if name not in others}
    return msgspec.structs.replace(job, credentials={**found, **job.credentials}, environ=environ)


async def _solve_for_image(engines: Engines, job: SolveJob, progress: Progress) -> Lock:
    """Lock a definition without conda packages for an image: with conda's Python, of the minor version that a prefix of
    this definition would have here; with nothing at all if the base has its own Python."""
    if not adds_packages(job.definition):
        return Lock(platform=job.platform, provider=CondaPython())
    with suppress(CodedError):  # no Python here fits: then conda's newest that does
        minor = (await find_interpreter(job.definition.python.requires)).minor
        job = msgspec.structs.replace(job, extra_specs=(f"python {minor}.*",))
    return await _solve_with_conda(engines, job, progress)


async def _solve_with_conda(engines: Engines, job: SolveJob, progress: Progress) -> Lock:
    return await _complete_with_wheels(engines, job, await _choose_conda_packages(engines, job, progress), progress)


async def _solve_without_host_python(
    engines: Engines, job: SolveJob, missing: NoInterpreterError, progress: Progress
) -> Lock:
    """Lock a definition without conda packages with conda's Python, because no Python of this machine fits.

    Raises NoInterpreterError if no channel has one either.
    """
    specs = () if job.definition.python.requires else ("python",)
    job = msgspec.structs.replace(job, extra_specs=specs)
    try:
        packages = await _choose_conda_packages(engines, job, progress)
    except VariableMissingError:
        raise
    except CodedError as error:
        channels = ", ".join(job.definition.conda.channels or job.defaults.channels)
        said = f"None comes from {channels} either"
        if isinstance(error, ServiceUnreachableError):  # nothing is known of what they have
            said = f"Whether {channels} has one could not be found out"
        raise NoInterpreterError(
            f"{missing.message}\n{said}: {error.message}",
            hint=missing.hint,
            fields=missing.fields,
        ) from error
    return await _complete_with_wheels(engines, job, packages, progress)


async def _complete_with_wheels(
    engines: Engines, job: SolveJob, packages: list[CondaPackage], progress: Progress
) -> Lock:
    wheels: tuple[Wheel, ...] = ()
    inputs: tuple[RemoteInput, ...] = ()
    unanswered: dict[str, str] = {}
    if job.definition.pip.requirements:
        locked = await _choose_wheels(engines, job, packages, progress)
        wheels, inputs, unanswered = tuple(locked.wheels), tuple(locked.inputs), locked.unanswered
    return Lock(
        platform=job.platform,
        provider=CondaPython(),
        conda=tuple(packages),
        wheels=wheels,
        system=baseline_packages(job.platform, job.definition.system),
        inputs=inputs,
        unanswered=unanswered,
    )


async def _choose_conda_packages(engines: Engines, job: SolveJob, progress: Progress) -> list[CondaPackage]:
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
    is_bare_image = job.is_image and not job.definition.conda.dependencies
    extra_specs = job.extra_specs or (("python",) if is_bare_image else ())
    return await conda.solve(
        channels=job.definition.conda.channels or job.defaults.channels,
        specs=[*conda_specs(job.definition), *extra_specs],
        platform=job.platform,
        system=job.definition.system,
        as_of=job.as_of,
        preferred=prefer_conda_packages(job.preferences) if job.preferences is not None else (),
        credentials=job.credentials,
        variables=job.environ,
        progress=progress,
    )


def conda_specs(definition: Definition) -> list[str]:
    """Return the match specs that are solved for: the definition's own, ``pip`` if there are pip packages (as conda
    does), and the Python that the definition requires."""
    specs = list(definition.conda.dependencies)
    names = {spec_name(spec) for spec in specs}
    if definition.pip.requirements and "pip" not in names:
        specs.append("pip")
    if definition.python.requires and "python" not in names:
        specs.append(f"python {format_conda_versions(definition.python.requires)}")
    return specs


def format_conda_versions(requires: str) -> str:
    """Return a specifier set (PEP 440) as versions of a match spec, in which ``==3.12.*`` is ``3.12.*``: rattler reads
    ``>=3.10,==3.12.*`` as the version 3.12 alone."""
    return ",".join(re.sub(r"^===?(?=.*\.\*$)", "", part) for part in requires.replace(" ", "").split(","))


async def _choose_wheels(engines: Engines, job: SolveJob, packages: list[CondaPackage], progress: Progress) -> PipLock:
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
    request = msgspec.structs.replace(
        create_pip_request(job, PythonFacts(version=python.version)),
        provided=provided,
        preferences=_wheel_preferences(job),
        as_of=job.as_of,
        allow_builds=job.allow_builds,
        editables_as_wheels=job.is_image,
    )
    return await pip.lock(request, progress)


def _wheel_preferences(job: SolveJob) -> dict[str, str]:
    return prefer_wheel_versions(job.preferences) if job.preferences is not None else {}


async def _solve_with_host_python(engines: Engines, job: SolveJob, progress: Progress) -> Lock:
    pip, requires = await engines.pip(), job.definition.python.requires
    try:
        interpreter = await find_interpreter(requires)
    except NoInterpreterError as missing:
        return await _solve_without_host_python(engines, job, missing, progress)
    request = msgspec.structs.replace(
        create_pip_request(job, describe_python(interpreter)),
        preferences=_wheel_preferences(job),
        as_of=job.as_of,
        allow_builds=job.allow_builds,
    )
    locked = await pip.lock(request, progress)
    wheels = tuple(locked.wheels)
    lock = Lock(
        platform=job.platform,
        provider=provider_of(interpreter),
        wheels=wheels,
        system=dict(needed_system(wheels, interpreter)),
        inputs=tuple(locked.inputs),
        unanswered=locked.unanswered,
    )
    return add_asked_markers(with_format(lock), job, interpreter)


def describe_unanswered(lock: Lock) -> Reason | None:
    """Return the reason to state with a lock that was made although a place of ``--find-links`` did not answer."""
    if not lock.unanswered:
        return None
    places = "; ".join(f"{place} did not answer: {fault}" for place, fault in lock.unanswered.items())
    message = (
        f"--find-links {places}. The packages were chosen without it, and this lock is not shared; "
        "`roost build --rebuild` chooses again"
    )
    return Reason(code="links-unanswered", message=message)


def add_asked_markers(lock: Lock, job: SolveJob, interpreter: Interpreter) -> Lock:
    """Return ``lock`` with the markers of the definition's own lines, and of the Python that it requires: a Python that
    is chosen for the lock later must fit these too."""
    requires, environment = job.definition.python.requires, marker_environment(interpreter)
    lines = record_markers(_list_lines(job.definition.pip.requirements), environment)
    specifiers = record_python_specifiers([requires] if requires else [], environment)
    return msgspec.structs.replace(lock, markers=merge_outcomes([*lock.markers, *lines, *specifiers]))


def _list_lines(items: Sequence[PipItem]) -> Iterator[str]:
    """Yield the texts of all lines, without pip's options."""
    for item in items:
        yield item.text.partition(" --")[0]
        yield from _list_lines(item.items)
