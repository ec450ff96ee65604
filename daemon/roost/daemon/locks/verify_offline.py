"""Whether a lock from a registry may be used: it must be a lock that the definition itself could have given. Pure.

Whoever can write to a registry can put anything under a lock's tag. So nothing of a fetched lock counts until
``verify`` accepts it; errors name the first thing that is wrong:

1. The lock states that it is for this definition and platform, in a known format, and for conda's Python or one of the
   machine, whichever the definition uses. Whether one of this machine fits is decided before (``host_python.fit``).
2. Every package has a sha256, is for this platform, and its parts agree (name, version, build, file name, URL).
3. Every conda package lies in a channel that the definition or the config names (or is one of the files that the
   definition lists, with its digest), and is needed: by a spec, or by another package.
4. Every match spec is satisfied, by the engine's own rules (``matches``).
5. Every pip requirement is satisfied by a wheel, or left to conda's packages (the result of ``verify``). A wheel from a
   URL has the URL of a line of the definition; a wheel given as a file has the digest of one; a built wheel has an
   origin that a line can have given (some line must ask for what was built from an index's source), and is accepted
   from the workspace's own registry only: its bytes can't be checked.

Wheels of an index lie on other hosts than the index and are listed there, so that their URL proves nothing: ``attest``
has the pip engine ask the definition's own indexes for exactly these versions before anything is installed
(``listed``), and the conda engine ask the channels whether they list each package with this sha256.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import unquote, urlsplit

import msgspec
from packaging.markers import InvalidMarker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from roost.daemon.engines.host_python.fit import MAX_FILE_NAME
from roost.daemon.locks.artifact import SharedLock, untrusted_error
from roost.daemon.locks.platform_markers import marker_environment
from roost.model.definition import PipItem, PipKind
from roost.model.locks.lock import CondaPackage, HostPython, Lock, Wheel, WheelSource, with_format
from roost.model.syntax.match_specs import spec_name
from roost.model.syntax.urls import strip_credentials

_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"(?P<name>[\w.-]+)-(?P<version>[\w.!+]+)-(?P<build>[\w.!+]+)(?:\.conda|\.tar\.bz2)", re.ASCII)
_FOLDER = "a folder"
_SCHEMES = ("https", "http")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class LockExpectation(msgspec.Struct, frozen=True, kw_only=True):
    """What the definition and the config allow and require of a lock."""

    definition_digest: str
    platform: str
    subdir: str
    channels: tuple[str, ...]
    """Canonical URLs of all channels, including those that specs name."""
    specs: tuple[str, ...] = ()
    explicit: dict[str, str] | None = None
    """URL to ``sha256`` or ``md5`` (hex, or empty) of each file that the definition lists; ``None`` if it has specs."""
    items: tuple[PipItem, ...] = ()
    """The pip lines, those of nested local files in their place."""
    constraints: tuple[PipItem, ...] = ()
    remote: tuple[str, ...] = ()
    """URLs in ``-r`` and ``-c``."""
    variables: Mapping[str, str] = {}
    allow_built: bool = False
    """Whether wheels that were built by another machine are accepted."""
    allow_sources: bool = False
    """Whether wheels are accepted that stand as what they are built from, and that are built here."""
    uses_host_python: bool = False
    """Whether the lock is for a Python of the machine on which the prefix will be."""
    environment: Mapping[str, str] | None = None
    """The variables of markers (PEP 508) of the Python that the lock would be used with, if it has none of its own."""


Matches = Callable[[str, CondaPackage], bool]
"""Whether a package satisfies a match spec."""


def verify(shared: SharedLock, expected: LockExpectation, matches: Matches) -> tuple[Requirement, ...]:
    """Return the pip requirements that conda's packages have to satisfy. Raises LockUntrustedError."""
    lock = shared.lock
    _check_identity(shared, expected)
    _check_unique([package.name for package in lock.conda])
    _check_unique([wheel.name for wheel in lock.wheels])
    for package in lock.conda:
        _check_conda_package(package, expected)
    for wheel in lock.wheels:
        _check_wheel(wheel, expected)
    if lock.wheels and not (expected.items or expected.remote):
        raise untrusted_error(f"it has {lock.wheels[0].file_name}, and the definition has no pip packages")
    _check_specs(lock, expected, matches)
    _check_needed(lock, expected)
    _check_built_origins(lock, expected)
    _check_inputs(lock, expected)
    return tuple(_unmet_requirements(lock, expected))


def _check_identity(shared: SharedLock, expected: LockExpectation) -> None:
    if shared.definition_digest != expected.definition_digest:
        raise untrusted_error(f"it belongs to another definition ({shared.definition_digest[:19]}…)")
    if shared.platform != expected.platform or shared.lock.platform != expected.platform:
        raise untrusted_error(f"it is for {shared.lock.platform}, but {expected.platform} was requested")
    provider = shared.lock.provider
    if isinstance(provider, HostPython) and provider.is_bound:
        raise untrusted_error("it is for a Python of another machine")
    if isinstance(provider, HostPython) != expected.uses_host_python:
        wanted = "a Python of the machine" if expected.uses_host_python else "conda's Python"
        raise untrusted_error(f"it is not for {wanted}, which the definition uses")
    if shared.format != shared.lock.format or shared.lock != with_format(shared.lock):
        raise untrusted_error("its format is not that of its content")
    if shared.lock.jars or shared.lock.r:
        raise untrusted_error("it has jars or R packages, which the definition does not name")


def _check_unique(names: Sequence[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise untrusted_error(f"it has {twice} twice")


def _check_conda_package(package: CondaPackage, expected: LockExpectation) -> None:
    match = _FILE.fullmatch(package.file_name)
    if match is None or match["name"].lower() != package.name or match["build"] != package.build:
        described = f"{package.name[:100]} {package.version[:100]}"
        raise untrusted_error(f"{package.file_name[:100]!r} is not the file of {described}")
    for version in (package.version, package.record.get("version", package.version)):
        if _normalized_version(str(version)) != _normalized_version(match["version"]):
            raise untrusted_error(f"{package.file_name} is not of version {version}")
    if not _SHA256.fullmatch(package.sha256):
        raise untrusted_error(f"{package.file_name} has no sha256")
    if package.subdir not in (expected.subdir, "noarch"):
        raise untrusted_error(f"{package.file_name} is for {package.subdir}")
    _check_record(package)
    _check_channel(package, expected)


def _normalized_version(version: str) -> str:
    """Return a version without leading zeros and in lower case: rattler drops and lowers them (``2021.09``)."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", version).lower()


def _check_record(package: CondaPackage) -> None:
    """Check that the fields of the channel's record, which goes into ``conda-meta``, do not differ from the lock's."""
    fields = {"name": package.name, "build": package.build, "subdir": package.subdir}
    for key, value in {**fields, "sha256": package.sha256}.items():
        if package.record.get(key, value) != value:
            raise untrusted_error(f"{package.file_name} has a record with another {key}")


def _check_channel(package: CondaPackage, expected: LockExpectation) -> None:
    if expected.explicit is not None:
        digest = expected.explicit.get(package.url)
        if digest is None or (len(digest) == 64 and digest != package.sha256):
            raise untrusted_error(f"{package.url} is not in the definition's list")
        if len(digest) == 32 and package.record.get("md5") != digest:
            raise untrusted_error(f"{package.file_name} does not have the md5 of the definition's list")
        return
    if package.url not in {f"{channel}/{package.subdir}/{package.file_name}" for channel in expected.channels}:
        raise untrusted_error(f"{package.url} is not in a channel of the definition ({', '.join(expected.channels)})")


def _check_specs(lock: Lock, expected: LockExpectation, matches: Matches) -> None:
    if expected.explicit is not None:
        missing = set(expected.explicit) - {package.url for package in lock.conda}
        if missing:
            raise untrusted_error(f"it lacks {sorted(missing)[0]}")
        return
    by_name = {package.name: package for package in lock.conda}
    for spec in expected.specs:
        package = by_name.get(spec_name(spec))
        if package is None or not matches(spec, package):
            found = f"{package.version} {package.build}" if package else "none"
            raise untrusted_error(f"{spec!r} is requested, but it has {found}")


def _check_needed(lock: Lock, expected: LockExpectation) -> None:
    """Check that the lock contains no package that neither a spec nor another package asks for."""
    if expected.explicit is not None:
        return
    by_name = {package.name: package for package in lock.conda}
    waiting = [spec_name(spec) for spec in expected.specs]
    reached: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in reached:
            reached.add(name)
            waiting += _dependencies(by_name[name])
    strange = sorted(set(by_name) - reached)
    if strange:
        raise untrusted_error(f"it has {strange[0]}, which nothing requires")


def _dependencies(package: CondaPackage) -> list[str]:
    depends = package.record.get("depends", [])
    if not isinstance(depends, list) or not all(isinstance(each, str) for each in depends):
        raise untrusted_error(f"the record of {package.file_name} can't be read")
    return [spec_name(each) for each in depends]


def _check_inputs(lock: Lock, expected: LockExpectation) -> None:
    for each in lock.inputs:
        if not _SHA256.fullmatch(each.sha256):
            raise untrusted_error(f"{each.url} has no sha256")
    if lock.inputs and not expected.remote:
        raise untrusted_error(f"it was made with {lock.inputs[0].url}, which the definition does not name")


def _check_wheel(wheel: Wheel, expected: LockExpectation) -> None:
    if expected.allow_sources and not wheel.sha256 and wheel.source is not None:
        _check_source(wheel, wheel.source, expected)
        return
    if len(wheel.file_name) > MAX_FILE_NAME:
        raise untrusted_error(f"{wheel.file_name[:100]!r}… is too long a name for a file")
    try:
        name, version, _, _ = parse_wheel_filename(wheel.file_name)
    except InvalidWheelFilename:
        raise untrusted_error(f"{wheel.file_name[:100]!r} is not a wheel") from None
    if "/" in wheel.file_name or name != wheel.name or str(version) != wheel.version:
        raise untrusted_error(f"{wheel.file_name} is not the wheel of {wheel.name} {wheel.version}")
    if not _SHA256.fullmatch(wheel.sha256):
        raise untrusted_error(f"{wheel.file_name} has no sha256")
    if wheel.path is not None or wheel.folder is not None or wheel.kind == "editable":
        raise untrusted_error(f"{wheel.name} is a folder of another machine")
    _check_wheel_source(wheel, expected)


def _check_source(wheel: Wheel, source: WheelSource, expected: LockExpectation) -> None:
    """Check a wheel that stands as its source. What a line must ask for is checked with the other built wheels."""
    if wheel.kind != "built" or any((wheel.file_name, wheel.size, wheel.url, wheel.path, wheel.folder)):
        raise untrusted_error(f"{wheel.name[:100]} has a source, and is no wheel that is to be built")
    if wheel.name != canonicalize_name(wheel.name) or _parse_version(wheel.version) is None:
        raise untrusted_error(f"{wheel.name[:100]!r} {wheel.version[:100]!r} is not a name and a version")
    digest, is_folder = f"sha256:{source.sha256}", source.kind == "folder"
    if source.kind == "git":
        if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", source.commit) or not source.url:
            raise untrusted_error(f"{wheel.name} has a repository without a commit")
    elif not _SHA256.fullmatch(source.sha256):
        raise untrusted_error(f"{wheel.name} has a source without a sha256")
    if is_folder and digest not in {item.digest for item in expected.items if item.kind == "source"}:
        raise untrusted_error(f"{wheel.name} is built from a folder that the definition does not name")
    _check_origin(wheel)


def _parse_version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _check_wheel_source(wheel: Wheel, expected: LockExpectation) -> None:
    if wheel.kind in ("index", "url"):
        split = urlsplit(wheel.url or "")
        if split.scheme not in _SCHEMES or posixpath.basename(unquote(split.path)) != wheel.file_name:
            raise untrusted_error(f"{wheel.url} is not a location of {wheel.file_name}")
    if wheel.kind == "url" and _strip_url(wheel.url or "") not in _line_urls(expected):
        raise untrusted_error(f"{wheel.url} is on no line of the definition")
    if wheel.kind == "local" and f"sha256:{wheel.sha256}" not in {
        i.digest for i in expected.items if i.kind == "wheel"
    }:
        raise untrusted_error(f"{wheel.file_name} is not one of the files that the definition names")
    if wheel.kind == "built":
        _check_built_wheel(wheel, expected)
    elif wheel.source is not None:
        raise untrusted_error(f"{wheel.file_name} was not built, and has a source")


def _check_built_wheel(wheel: Wheel, expected: LockExpectation) -> None:
    if not expected.allow_built:
        raise untrusted_error(f"{wheel.file_name} was built elsewhere, and the registry is not the workspace's own")
    if wheel.url is not None:
        raise untrusted_error(f"{wheel.file_name} was built, and has a URL")
    _check_origin(wheel)


def _check_origin(wheel: Wheel) -> None:
    origin = wheel.origin or ""
    if origin and not origin.startswith("git+") and not re.fullmatch(r"sha256:[0-9a-f]{64}", origin):
        raise untrusted_error(f"{wheel.file_name} was built from {origin[:100]!r}")
    source = wheel.source
    if source is not None and origin:
        stated = f"git+{source.url}@{source.commit}" if source.kind == "git" else f"sha256:{source.sha256}"
        if stated != origin:
            raise untrusted_error(f"{wheel.file_name} has two sources")


def _check_built_origins(lock: Lock, expected: LockExpectation) -> None:
    """Check that each wheel that was built from a folder or a commit has a line of its own that names that."""
    built = [wheel for wheel in lock.wheels if wheel.kind == "built"]
    unnamed = [item.text for item in expected.items if _is_unnamed_source(item)]
    if built and unnamed:
        raise untrusted_error(f"what {unnamed[0]!r} became can't be determined (with NAME @ URL it can)")
    lines = [_repository_url(_line_url(item, expected)) for item in expected.items if item.kind == "url"]
    lines += [_FOLDER for item in expected.items if item.kind == "source"]
    for wheel in built:
        place = _built_origin(wheel)
        if place is not None and place not in lines:
            raise untrusted_error(f"{wheel.file_name} was built from something that the definition does not name")
        if place is not None:
            lines.remove(place)


def _built_origin(wheel: Wheel) -> str | None:
    """Return the folder or the repository; ``None`` for an archive, whose digest is the origin."""
    if wheel.origin is None:
        return _FOLDER
    return _repository_url(wheel.origin.rpartition("@")[0]) if wheel.origin.startswith("git+") else None


def _is_unnamed_source(item: PipItem) -> bool:
    place = item.text.partition(" ;")[0]
    return item.kind == "url" and " @ " not in place and not place.partition("#")[0].endswith(".whl")


def _repository_url(url: str) -> str:
    """Return a repository's URL without the revision (``@main``)."""
    head, slash, last = _strip_url(url).removeprefix("git+").rpartition("/")
    return f"{head}{slash}{last.partition('@')[0].removesuffix('.git')}"


def _line_urls(expected: LockExpectation) -> set[str]:
    return {
        _strip_url(_line_url(item, expected)) for item in (*expected.items, *expected.constraints) if item.kind == "url"
    }


def _line_url(item: PipItem, expected: LockExpectation) -> str:
    text = _VARIABLE.sub(lambda match: expected.variables.get(match[1], match[0]), item.text)
    _, separator, rest = text.partition(" @ ")
    return (rest if separator else text).partition(" ;")[0].partition(" --")[0].strip()


def _strip_url(url: str) -> str:
    return strip_credentials(url)[0].partition("#")[0]


def _unmet_requirements(lock: Lock, expected: LockExpectation) -> Iterable[Requirement]:
    """Check each line against the wheels; yield the requirements for which there is no wheel."""
    wheels = {wheel.name: wheel for wheel in lock.wheels}
    environment = dict(expected.environment or marker_environment(lock, expected.subdir))
    replaced = _find_replaced(expected)
    for item in (*expected.items, *expected.constraints, *replaced.values()):
        requirement, digests = _parse_line(item, expected)
        if requirement is None or not _marker_applies(requirement, environment):
            continue
        if canonicalize_name(requirement.name) in replaced and item not in replaced.values():
            continue
        wheel = wheels.get(canonicalize_name(requirement.name))
        if wheel is not None:
            _check_requirement(wheel, requirement, digests)
        elif item not in expected.constraints and item not in replaced.values():
            yield requirement


def _find_replaced(expected: LockExpectation) -> dict[str, PipItem]:
    """Return, by name, what overrides say in place of all requirements for a package; an exclusion says nothing."""
    replaced: dict[str, PipItem] = {}
    for item in expected.items:
        option, _, text = item.text.partition(" ")
        if item.kind == "option" and option in ("--override", "--exclude-dependency"):
            kind: PipKind = "requirement" if option == "--override" and " @ " not in text else "option"
            replaced[canonicalize_name(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0])] = PipItem(
                kind=kind, text=text
            )
    return replaced


def _check_requirement(wheel: Wheel, requirement: Requirement, digests: set[str]) -> None:
    try:
        fits = requirement.specifier.contains(Version(wheel.version), prereleases=True)
    except InvalidVersion:
        fits = False
    if not fits:
        raise untrusted_error(f"{requirement} is requested, but it has {wheel.name} {wheel.version}")
    digest = wheel.origin if wheel.kind == "built" else f"sha256:{wheel.sha256}"
    if digests and digest not in digests:
        raise untrusted_error(f"{wheel.file_name} has none of the digests that its line allows")


def _parse_line(item: PipItem, expected: LockExpectation) -> tuple[Requirement | None, set[str]]:
    """Return a line by name as a requirement (PEP 508), ``None`` for other lines, and the sha256s that it allows."""
    if item.kind != "requirement":
        return None, set()
    text = _VARIABLE.sub(lambda match: expected.variables.get(match[1], match[0]), item.text)
    body, _, options = text.partition(" --")
    try:
        digests = re.findall(r"hash[= ](sha256:[0-9a-fA-F]{64})", options)
        return Requirement(body.strip()), {digest.lower() for digest in digests}
    except InvalidRequirement:
        raise untrusted_error(f"{item.text!r} can't be checked") from None


def _marker_applies(requirement: Requirement, environment: dict[str, str]) -> bool:
    if requirement.marker is None:
        return True
    try:
        return requirement.marker.evaluate(environment)
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName):
        return False
