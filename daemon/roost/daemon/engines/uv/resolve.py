"""Let uv choose versions and wheels for one request; uv itself runs no code of a package meanwhile.

Wheels come first: everything is resolved with building disabled, and only a package for which uv finds no wheel is
admitted by name (if builds are allowed at all), so that allowing builds changes nothing for the others. uv would run
its source to know its dependencies, before it compares digests. So a package that is admitted has none at first; once
uv chose a version, ``sources`` fetches and checks that source and says what it depends on, and uv chooses again, until
the metadata of all that it chose is known. As with pip,
all indexes are equal and the best version wins (uv's ``unsafe-best-match``): lines written for pip must mean what they
mean there.

What conda provides is a stub for uv, a wheel that contains nothing but a name and a version. A stub is a constraint by
URL (uv, unlike pip, accepts these): the resolver can choose nothing else for that name, checks all requirements against
its version, and fetches no metadata of the real package. Stubs never get into a lock.
"""

from __future__ import annotations

import asyncio
import os
import re
import zipfile
from collections.abc import Awaitable, Mapping, Sequence, Set
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from roost.daemon.engines.host_python import interpreters
from roost.daemon.engines.uv.errors import LockNeedsBuildError, PipUnsatisfiableError
from roost.daemon.engines.uv.fetch import Fetcher
from roost.daemon.engines.uv.process import UvProcess
from roost.daemon.engines.uv.project import render_configuration, render_metadata, render_pinned_project
from roost.daemon.engines.uv.pylock import PylockPackage, parse_pylock, render_versions
from roost.daemon.engines.uv.request import PipLockRequest
from roost.daemon.engines.uv.requirements import UvInputs, requirement_name
from roost.daemon.engines.uv.secrets import Secrets
from roost.daemon.engines.uv.sources.build_requirements import BuildRequirements, is_expected_line
from roost.daemon.engines.uv.sources.builds import build_needed, read_static_metadata
from roost.daemon.engines.uv.sources.checked import CheckedSources
from roost.daemon.engines.uv.sources.digests import parse_direct_source
from roost.daemon.engines.uv.sources.metadata import SourceMetadata, render_uv_metadata
from roost.daemon.engines.uv.translation import (
    conda_conflict,
    extract_explanation,
    find_conflicting_url,
    find_direct_sources,
    find_needed_builds,
    translate_failure,
    url_conflict,
)
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.target_platforms import split_platform
from roost.model.definition import PipItem

_TARGETS = {
    "osx-64": "x86_64-apple-darwin",
    "osx-arm64": "aarch64-apple-darwin",
    "win-64": "x86_64-pc-windows-msvc",
}
_LINUX_MACHINES = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}
_KNOWN_GLIBCS = ((2, 17), (2, 28), *((2, minor) for minor in range(31, 41)))
"""Those that uv has a platform for."""
_STUB_METADATA = "Wheel-Version: 1.0\nGenerator: roost\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
"""Content of the file ``WHEEL`` of a stub."""
_MOST_BUILDS = 100
_MISSING_EXTRA = re.compile(r"The package `([A-Za-z0-9._-]+) @ file://\S*/provided/\S+` does not have an extra named")


def uv_platform(platform: str, glibc: str, host_libc: str | None) -> str | None:
    """Return uv's name for ``platform`` with the baseline ``glibc``; ``None`` if the host's own tags must be used.

    ``host_libc`` is that of a Python of this machine (``None`` for conda's): the baseline is assumed there too, so
    that two machines choose the same wheels, unless the machine has less.
    """
    subdir, _ = split_platform(platform)
    if subdir in _TARGETS:
        return _TARGETS[subdir] if host_libc is None else None
    baseline = _parse_glibc(glibc)
    if subdir not in _LINUX_MACHINES or (host_libc is not None and _parse_glibc(host_libc) < baseline):
        return None
    fitting = [known for known in _KNOWN_GLIBCS if known <= baseline]
    major, minor = fitting[-1] if fitting else _KNOWN_GLIBCS[0]
    return f"{_LINUX_MACHINES[subdir]}-manylinux_{major}_{minor}"


def _parse_glibc(text: str) -> tuple[int, int]:
    found = re.search(r"(?<!\d)(\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


class Resolver:
    """Resolves one request. ``folder`` is its private temporary folder, ``inputs`` are its translated lines."""

    def __init__(
        self,
        process: UvProcess,
        folder: str,
        request: PipLockRequest,
        inputs: UvInputs,
        secrets: Secrets,
        progress: Progress,
    ) -> None:
        self._process = process
        self._folder = folder
        self._request = request
        self._inputs = inputs
        self._secrets = secrets
        self._progress = progress
        self._unstubbed: set[str] = set()
        """Names that conda provides and whose extras are requested: no stub, but the metadata of the version that conda
        has says what the extras need."""
        self._admitted: set[str] = set()
        """Names of which uv may choose sources of an index."""
        self._known: dict[tuple[str, str], SourceMetadata] = {}
        """Name and version to the metadata of a source of an index."""
        self._direct: dict[str, SourceMetadata] = {}
        """Name to the metadata of a source that is requested by URL."""

    async def resolve(self, sources: CheckedSources, build_requirements: BuildRequirements) -> list[PylockPackage]:
        """Return uv's choice, without what conda provides.

        The first resolution allows no builds; then the packages without a wheel are admitted one by one.
        ``build_requirements`` are those of editable folders, which uv builds to know their metadata.

        Raises:
            LockNeedsBuildError: if a package must be built and builds are not allowed.
            ConflictError, PipUnsatisfiableError, and the other errors of the translation.
            WheelDigestMismatchError, WheelBuildError, and the other errors of checking and building sources.
        """
        access = asyncio.create_task(self._check_index_access())  # while uv chooses: nothing is used before both ended
        try:
            return await self._choose(sources, build_requirements, access)
        finally:
            access.cancel()
            await asyncio.gather(access, return_exceptions=True)

    async def _choose(
        self, sources: CheckedSources, build_requirements: BuildRequirements, access: Awaitable[None]
    ) -> list[PylockPackage]:
        self._admit_requested()
        while True:
            arguments = await asyncio.to_thread(self._write_inputs)
            arguments += await asyncio.to_thread(self._write_preferences)
            checked = await asyncio.to_thread(build_requirements.options, "--require-build-hashes")
            outcome = await self._process.run(
                [*arguments, *self._binary_options(), *checked],
                self._folder,
                secrets=self._secrets,
                on_line=self._log_line,
                config=os.path.join(self._folder, "uv.toml"),
            )
            await access
            if outcome.status != 0:
                if not await build_requirements.add_needed(outcome.stderr):
                    await self._admit_builds(sources, outcome.stderr, outcome.status)
            elif extras := find_missing_extras(outcome.stderr) & set(self._request.provided) - self._unstubbed:
                self._unstubbed |= extras
            else:
                chosen = self._without_provided(parse_pylock(outcome.stdout))
                if not await self._read_sources(sources, chosen):
                    return chosen

    async def list_digests(self) -> dict[str, frozenset[str]]:
        """Return, by name, the sha256s (hex) of all files that the indexes list for the chosen version.

        Dependencies are ignored.
        """
        written = await asyncio.to_thread(self._write_inputs)
        arguments = [word for word in written if word not in ("--format", "pylock.toml")]
        arguments += ["--no-deps", "--no-annotate", "--generate-hashes", "--only-binary", ":all:"]
        outcome = await self._process.run(arguments, self._folder, secrets=self._secrets)
        if outcome.status != 0:
            raise self._explain_failure(outcome.stderr, outcome.status)
        return parse_digests(outcome.stdout)

    async def _check_index_access(self) -> None:
        """Request one package from each index.

        If all indexes are equal, uv treats an index that refuses access as one that lacks the package, and would
        silently lock the package of another index.
        """
        inputs = self._inputs
        for line, url in inputs.pinned:
            if (pinned := requirement_name(line)) and url.startswith("http"):
                await self._fetcher().check_access(f"{url.rstrip('/')}/{pinned}/")
        names = (requirement_name(line) for line in inputs.requirements if not line.startswith("-"))
        name = next((name for name in names if name), None)
        for index in self._list_indexes() if name and not inputs.no_index else ():
            if index is not None and index.startswith("http"):
                await self._fetcher().check_access(f"{index.rstrip('/')}/{name}/")

    def _list_indexes(self) -> list[str | None]:
        first = self._inputs.index_url or self._request.index
        return [first, *self._inputs.choices.indexes, *self._inputs.extra_index_urls]

    def _list_asked(self) -> list[str]:
        places = [*([] if self._inputs.no_index else self._list_indexes()), *self._inputs.find_links]
        return [self._secrets.redact(place or "PyPI") for place in places]

    def _fetcher(self) -> Fetcher:
        return Fetcher(self._secrets, self._process.timeout)

    def _log_line(self, line: str) -> None:
        """Log a line of uv, unless it is about a failure.

        The error reports a failure; or it is none: the first resolution of a build has to fail, and if a stub lacks an
        extra, the next resolution goes without the stub.
        """
        is_failure = line.lstrip().startswith(("error:", "cause:", "hint:", "And ")) or is_expected_line(line)
        if not is_failure and not find_missing_extras(line):
            self._progress.log(line)

    def _admit_requested(self) -> None:
        """Admit what the lines want built from source (``--no-binary``). Raises LockNeedsBuildError."""
        if ":all:" in self._inputs.no_binary and not self._request.allow_builds:
            raise self.build_refused({"everything (--no-binary :all:)"})
        if self._request.allow_builds:
            self._admitted |= set(self._inputs.no_binary) - {":all:"}

    async def _admit_builds(self, sources: CheckedSources, stderr: str, status: int) -> None:
        """Admit the packages that need a build, or raise the error for the failure."""
        named = find_needed_builds(stderr)
        if named is None:
            raise self._explain_failure(stderr, status)
        # A refusal to build without a name can only be about what is requested by URL and is not a wheel.
        direct = {**find_direct_sources(stderr), **self._inputs.direct}
        by_url = {name for name, item in self._inputs.origins.items() if item.kind == "url"}
        new = {canonicalize_name(name) for name in named} - self._admitted - set(self._direct)
        if not self._request.allow_builds:
            raise self.build_refused(new if named else by_url)
        if forbidden := {name for name in new or by_url if self._inputs.choices.forbids_build(name)}:
            raise _build_forbidden(sorted(forbidden)[0])
        if not (new or (not named and self._inputs.unnamed)) or len(self._admitted) > _MOST_BUILDS:
            raise self._explain_failure(stderr, status)
        for line in [] if named else list(self._inputs.unnamed):
            metadata = await sources.read_metadata(parse_direct_source(line.partition(" ;")[0].strip()))
            self._inputs.name_direct(line, metadata.name)
            self._direct[metadata.name] = metadata
        for name in sorted(new):
            if name in direct:
                self._direct[name] = await sources.read_metadata(parse_direct_source(direct[name], name))
            else:
                self._admitted.add(name)

    async def _read_sources(self, sources: CheckedSources, chosen: Sequence[PylockPackage]) -> bool:
        """Read the metadata of sources that uv chose without knowing it; return whether uv has to choose again."""
        changed, all_from_source = False, ":all:" in self._inputs.no_binary
        for package in chosen:
            if package.wheel is None and package.sdist is not None:
                key = (package.name, package.version)
                if key not in self._known and not self._inputs.choices.has_metadata(*key):
                    self._known[key] = await sources.read_metadata(package)
                    changed = True
            elif package.wheel is not None and all_from_source and package.name not in self._admitted:
                self._admitted.add(package.name)
                changed = True
        return changed

    def build_refused(self, names: Set[str]) -> LockNeedsBuildError:
        """Return the error for packages that must be built although builds are not allowed."""
        origins = self._inputs.origins
        item = next((origins[name] for name in sorted(names) if name in origins), None)
        text = ", ".join(sorted(names)) or "a package given by URL"
        if item is not None or not names:
            return build_needed(item or PipItem(kind="url", text=text), text)
        return LockNeedsBuildError(
            f"{text} has no wheel for Python {self._request.python.version} on {self._request.platform}, "
            "and locking alone does not build it, because that would run its code",
            hint="`roost build` tries to build it from its source; or choose a version that has a wheel.",
            fields={"package": text},
        )

    def _explain_failure(self, stderr: str, status: int) -> Exception:
        provided, conflicting = self._request.provided, find_conflicting_url(stderr)
        if conflicting is not None and conflicting in provided:
            urls = [line[2:] for line in stderr.splitlines() if line.startswith("- ") and "/provided/" not in line]
            return url_conflict(conflicting, provided[conflicting], ", ".join(urls) or conflicting)
        if missing := sorted(name for name in self._unstubbed if f"{name}=={provided[name]}" in stderr):
            return _extras_unknown(missing[0], provided[missing[0]])
        error = translate_failure(stderr, status, "locking", self._list_asked())
        if isinstance(error, PipUnsatisfiableError):
            return conda_conflict(extract_explanation(stderr), provided) or error
        return error

    def _write_inputs(self) -> list[str]:
        """Write the files that uv reads; return the command line that names them. Blocks."""
        provided, inputs = self._request.provided, self._inputs
        stubbed = {name: version for name, version in provided.items() if name not in self._unstubbed}
        stubs, excluded = write_stubs(os.path.join(self._folder, "provided"), stubbed)
        fixed = [f"{name}=={provided[name]}" for name in sorted(self._unstubbed)]
        constraints = [*stubs, *fixed, *inputs.constraints]
        self._write_private("uv.toml", self._render_configuration())
        requirements = self._write_private("requirements.in", inputs.requirements_text(self._request.index))
        arguments = ["pip", "compile", "--format", "pylock.toml", "--no-header", requirements]
        if inputs.pinned:
            os.makedirs(os.path.join(self._folder, "pinned"), exist_ok=True)
            project = os.path.join("pinned", "pyproject.toml")
            arguments.append(self._write_private(project, render_pinned_project(inputs.pinned)))
        else:
            arguments.append("--no-sources")
        if inputs.choices.overrides:
            overrides = "\n".join([*inputs.choices.overrides, ""])
            arguments += ["--overrides", self._write_private("overrides.txt", overrides)]
        if constraints:
            arguments += ["-c", self._write_private("constraints.txt", "\n".join([*constraints, ""]))]
        if excluded := [*excluded, *inputs.choices.excluded]:
            arguments += ["--excludes", self._write_private("excludes.txt", "\n".join([*excluded, ""]))]
        return arguments + self._resolution_options()

    def _write_preferences(self) -> list[str]:
        """Write what is preferred; return the options that have uv prefer it. Blocks.

        uv prefers the versions in its output file, if that exists. It has to be written anew for each attempt.
        """
        preferred = {k: v for k, v in self._request.preferences.items() if k not in self._request.provided}
        if not preferred:
            return []
        return ["--output-file", self._write_private("pylock.toml", render_versions(preferred))]

    def _render_configuration(self) -> str:
        """Return the only configuration that uv reads. Blocks."""
        choices = self._inputs.choices
        metadata = [*self._known.values(), *self._direct.values()]
        if self._inputs.pinned:  # uv would follow the sources of editable folders too, and not those of this project
            metadata += [found for found in map(read_static_metadata, self._inputs.editables) if found is not None]
        given = {canonicalize_name(str(table.get("name"))) for table in choices.metadata}
        return "".join(
            (
                render_configuration(choices, self._inputs.index_url or self._request.index),
                render_metadata(choices.metadata),
                render_uv_metadata(self._admitted - given, metadata),
            )
        )

    def _write_private(self, name: str, text: str) -> str:
        path = os.path.join(self._folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _resolution_options(self) -> list[str]:
        python, request = self._request.python, self._request
        options = ["--preview-features", "pylock", *self._inputs.options()]
        if "index-strategy" not in self._inputs.choices.settings:
            options += ["--index-strategy", "unsafe-best-match"]
        options += ["--python", python.executable or interpreters.own_interpreter()]
        if python.executable is None:
            options += ["--python-version", python.version]
        target = uv_platform(request.platform, request.glibc, python.libc if python.executable else None)
        if target is not None:
            options += ["--python-platform", target]
        if request.as_of is not None:
            stated = self._inputs.choices.settings.get("exclude-newer")
            options += ["--exclude-newer", earlier_limit(request.as_of, str(stated or ""), datetime.now(timezone.utc))]
        return options

    def _binary_options(self) -> list[str]:
        """Return the options that allow wheels only, except for what is admitted."""
        return ["--only-binary", ":all:", *(part for name in sorted(self._admitted) for part in ("--no-binary", name))]

    def _without_provided(self, chosen: list[PylockPackage]) -> list[PylockPackage]:
        """Return uv's choice without the stubs. Raises ConflictError if a package of conda would be overwritten."""
        provided = self._request.provided
        stubs = os.path.join(self._folder, "provided") + os.sep
        for package in chosen:
            is_stub = package.direct is not None and (package.direct.path or "").startswith(stubs)
            if package.name in provided and not is_stub and package.name not in self._unstubbed:
                raise url_conflict(package.name, provided[package.name], package.folder or _describe_source(package))
        return [package for package in chosen if package.name not in provided]


def earlier_limit(as_of: datetime, stated: str, now: datetime) -> str:
    """Return the earlier of two limits to uploads, in UTC: ``as_of``, and ``stated`` by the definition.

    ``stated``: a time, a span before ``now`` (``P7D``, ``PT24H``), or nothing.
    """
    limits = [as_of.astimezone(timezone.utc)]
    if span := re.fullmatch(r"P(?:T(\d+)H|(\d+)D)", stated):
        limits.append(now - timedelta(hours=int(span[1] or 0), days=int(span[2] or 0)))
    elif stated:
        limits.append(datetime.fromisoformat(stated.replace("Z", "+00:00")))
    return min(limits).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_stubs(folder: str, provided: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Write stub wheels for ``provided`` (name to version) below ``folder``.

    Returns constraint lines, and the names whose version is not valid by PEP 440: nothing can be checked against
    these, so they must be excluded from the resolution.
    """
    os.makedirs(folder, exist_ok=True)
    lines, excluded = [], []
    for name, version in sorted(provided.items()):
        try:
            normalized = str(Version(version))
        except InvalidVersion:
            excluded.append(name)
            continue
        lines.append(f"{name} @ file://{quote(_write_stub(folder, name, normalized))}")
    return lines, excluded


def _write_stub(folder: str, name: str, version: str) -> str:
    stem = f"{name.replace('-', '_')}-{version}"
    path = os.path.join(folder, f"{stem}-py3-none-any.whl")
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", _STUB_METADATA)
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return path


def find_missing_extras(stderr: str) -> set[str]:
    """Return the names of the stubs of which uv did not find a requested extra."""
    return {canonicalize_name(name) for name in _MISSING_EXTRA.findall(stderr)}


def _build_forbidden(name: str) -> LockNeedsBuildError:
    return LockNeedsBuildError(
        f"{name} has no wheel that fits, and no-build forbids to build it from its source",
        hint="Remove it from no-build or no-build-package, or choose a version that has a wheel.",
        fields={"package": name},
    )


def _extras_unknown(name: str, version: str) -> PipUnsatisfiableError:
    return PipUnsatisfiableError(
        f"An extra of {name} is requested, but conda provides {name} {version}, and no index has that version to "
        "tell what "
        "its extras need",
        hint=f"List what the extra needs instead, or leave {name} to pip.",
        fields={"package": name, "version": version},
    )


def parse_digests(text: str) -> dict[str, frozenset[str]]:
    """Return name to sha256s (hex) of a requirements file that uv wrote with hashes."""
    found: dict[str, frozenset[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==", line):
            found[canonicalize_name(match[1])] = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
    return found


def _describe_source(package: PylockPackage) -> str:
    archive = package.direct or package.wheel or package.sdist
    source = (archive.url or archive.path) if archive else (package.git or ("another place",))[0]
    return f"{package.name} from {source}"
