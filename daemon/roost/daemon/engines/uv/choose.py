"""What uv chooses for one request: the resolution alone, which runs no code unless a build is let through.

Wheels come first: everything is resolved with building switched off, and only a package for which uv finds no wheel
is let through by name (where builds are allowed at all), so that allowing builds changes nothing for the others. As
with pip, all indexes count alike and the best version wins (uv's ``unsafe-best-match``): lines written for pip must
mean what they meant there.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timezone

import msgspec
from packaging.utils import canonicalize_name

from roost.daemon.engines.host_python import interpreters
from roost.daemon.engines.uv.builds import needs_build
from roost.daemon.engines.uv.errors import (
    LockNeedsBuildError,
    PipUnsatisfiableError,
    conflict,
    conflicting_urls,
    explanation,
    translate,
    url_conflict,
)
from roost.daemon.engines.uv.errors import needs_build as named_builds
from roost.daemon.engines.uv.fetch import Fetcher
from roost.daemon.engines.uv.process import Process, Secrets
from roost.daemon.engines.uv.pylock import PylockPackage, parse
from roost.daemon.engines.uv.requirements import Translated, name_of
from roost.daemon.engines.uv.stubs import write_stubs
from roost.daemon.jobs.progress import Progress
from roost.daemon.oci.target_platforms import split_platform
from roost.model.definition import PipItem

_TARGETS = {
    "osx-64": "x86_64-apple-darwin",
    "osx-arm64": "aarch64-apple-darwin",
    "win-64": "x86_64-pc-windows-msvc",
}
_LINUX = {"linux-64": "x86_64", "linux-aarch64": "aarch64"}
_GLIBC = ((2, 17), (2, 28), *((2, minor) for minor in range(31, 41)))
_MOST_BUILDS = 100
_NO_EXTRA = re.compile(r"The package `([A-Za-z0-9._-]+) @ file://\S*/provided/\S+` does not have an extra named")


class PythonFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The Python that the wheels are for. ``executable`` is ``None`` where conda will provide it."""

    version: str
    executable: str | None = None
    libc: str = ""
    """``glibc 2.36`` for a Python of this machine."""


class ResolutionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to lock, and how."""

    items: Sequence[PipItem]
    python: PythonFacts
    platform: str
    provided: Mapping[str, str]
    as_of: datetime | None
    allow_builds: bool
    credentials: Mapping[str, str]
    variables: Mapping[str, str]
    glibc: str
    index_url: str | None
    timeout: int
    editables_as_wheels: bool = False
    """For an image: an editable folder becomes a wheel of its content."""


def uv_platform(platform: str, glibc: str, host_libc: str | None) -> str | None:
    """uv's name for ``platform`` with the baseline ``glibc``; ``None`` where the host's own tags must do.

    ``host_libc`` is that of a Python of this machine (``None`` for conda's): the baseline is assumed there too, so
    that two machines choose alike, unless the machine has less than that.
    """
    subdir, _ = split_platform(platform)
    if subdir in _TARGETS:
        return _TARGETS[subdir] if host_libc is None else None
    if subdir not in _LINUX or (host_libc is not None and _glibc(host_libc) < _glibc(glibc)):
        return None
    fitting = [known for known in _GLIBC if known <= _glibc(glibc)]
    major, minor = fitting[-1] if fitting else _GLIBC[0]
    return f"{_LINUX[subdir]}-manylinux_{major}_{minor}"


def _glibc(text: str) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


class Choice:
    """One resolution. ``folder`` is the request's private temporary folder."""

    def __init__(
        self,
        process: Process,
        folder: str,
        request: ResolutionRequest,
        translated: Translated,
        secrets: Secrets,
        progress: Progress,
    ) -> None:
        self._process = process
        self._folder = folder
        self._request = request
        self._translated = translated
        self._secrets = secrets
        self._progress = progress
        self._real: set[str] = set()
        """Names that conda provides and somebody asks extras of: their own metadata, of the version that conda has,
        says what these need."""

    async def run(self) -> list[PylockPackage]:
        """Resolve without builds; then, one by one, let the packages through that have no wheel."""
        built: set[str] = set()
        await self._knock()
        while True:
            arguments = await asyncio.to_thread(self._write_inputs)
            binaries = self._binary_arguments(built)
            outcome = await self._process.run(
                [*arguments, *binaries], self._folder, secrets=self._secrets, on_line=self._tell
            )
            if outcome.status != 0:
                self._let_through(built, outcome.stderr, outcome.status)
            elif asked := extras_asked(outcome.stderr) & set(self._request.provided) - self._real:
                self._real |= asked
            else:
                return self._all_but_provided(parse(outcome.stdout))

    async def digests(self) -> dict[str, frozenset[str]]:
        """Name to the sha256s (hex) of all files that the indexes list for the version that is chosen, needs aside."""
        written = await asyncio.to_thread(self._write_inputs)
        arguments = [word for word in written if word not in ("--format", "pylock.toml")]
        arguments += ["--no-deps", "--no-annotate", "--generate-hashes", "--only-binary", ":all:"]
        outcome = await self._process.run(arguments, self._folder, secrets=self._secrets)
        if outcome.status != 0:
            raise self._failure(outcome.stderr, outcome.status)
        return parse_digests(outcome.stdout)

    async def _knock(self) -> None:
        """Ask each index that was named for one package. Where all indexes count alike, uv takes an index that
        refuses access for one that lacks the package, and would lock another's in silence."""
        out = self._translated
        names = (name_of(line) for line in out.requirements if not line.startswith("-"))
        name = next((name for name in names if name), None)
        if name is None or out.no_index:
            return
        for index in [out.index_url or self._request.index_url, *out.extra_index_urls]:
            if index is not None and index.startswith("http"):
                await Fetcher(self._secrets, self._request.timeout).knock(f"{index.rstrip('/')}/{name}/")

    def _tell(self, line: str) -> None:
        """Failures are told by the error, or are no failures: the first resolution of a build has to end in one. A
        stub has no extras, and where that is said the next resolution goes without it."""
        if not line.lstrip().startswith(("error:", "cause:", "hint:", "And ")) and not extras_asked(line):
            self._progress.log(line)

    def _let_through(self, built: set[str], stderr: str, status: int) -> None:
        """Add the packages that need a build to ``built``, or raise what went wrong."""
        named = named_builds(stderr)
        if named is None:
            raise self._failure(stderr, status)
        fresh = {canonicalize_name(name) for name in named or self._sources()} - built
        if not self._request.allow_builds:
            raise self.build_refused(fresh)
        if not fresh or len(built) > _MOST_BUILDS:
            raise self._failure(stderr, status)
        built |= fresh

    def _sources(self) -> set[str]:
        """Names asked for by URL that are no wheels: what a nameless refusal to build can only be about."""
        return {name for name, item in self._translated.origins.items() if item.kind == "url"}

    def build_refused(self, names: Set[str]) -> LockNeedsBuildError:
        """The error for packages that have to be built where that is not allowed."""
        item = next(
            (self._translated.origins[name] for name in sorted(names) if name in self._translated.origins), None
        )
        text = ", ".join(sorted(names)) or "a package given by URL"
        if item is not None or not names:
            return needs_build(item or PipItem(kind="url", text=text), text)
        return LockNeedsBuildError(
            f"{text} has no wheel for Python {self._request.python.version} on {self._request.platform}, "
            "and locking alone builds nothing: that would run its code",
            hint="`roost build` tries to build it from its source; or choose a version that has a wheel.",
            fields={"package": text},
        )

    def _failure(self, stderr: str, status: int) -> Exception:
        provided, twice = self._request.provided, conflicting_urls(stderr)
        if twice is not None and twice in provided:
            urls = [line[2:] for line in stderr.splitlines() if line.startswith("- ") and "/provided/" not in line]
            return url_conflict(twice, provided[twice], ", ".join(urls) or twice)
        if missing := sorted(name for name in self._real if f"{name}=={provided[name]}" in stderr):
            return _extras_unknown(missing[0], provided[missing[0]])
        error = translate(stderr, status, "locking")
        if isinstance(error, PipUnsatisfiableError):
            return conflict(explanation(stderr), provided) or error
        return error

    def _write_inputs(self) -> list[str]:
        """The files that uv reads, and the arguments that name them."""
        provided = self._request.provided
        stubbed = {name: version for name, version in provided.items() if name not in self._real}
        stubs, excluded = write_stubs(os.path.join(self._folder, "provided"), stubbed)
        fixed = [f"{name}=={provided[name]}" for name in sorted(self._real)]
        constraints = [*stubs, *fixed, *self._translated.constraints]
        requirements = self._write("requirements.in", self._translated.requirements_text(self._request.index_url))
        arguments = ["pip", "compile", "--format", "pylock.toml", "--no-header", "--no-sources", requirements]
        if constraints:
            arguments += ["-c", self._write("constraints.txt", "\n".join([*constraints, ""]))]
        if excluded:
            arguments += ["--excludes", self._write("excludes.txt", "\n".join([*excluded, ""]))]
        return arguments + self._options()

    def _write(self, name: str, text: str) -> str:
        path = os.path.join(self._folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _options(self) -> list[str]:
        python, request = self._request.python, self._request
        options = [
            "--index-strategy",
            "unsafe-best-match",
            "--preview-features",
            "pylock",
            *self._translated.arguments(),
        ]
        options += ["--python", python.executable or interpreters.own_interpreter()]
        if python.executable is None:
            options += ["--python-version", python.version]
        target = uv_platform(request.platform, request.glibc, python.libc if python.executable else None)
        if target is not None:
            options += ["--python-platform", target]
        if request.as_of is not None:
            options += ["--exclude-newer", request.as_of.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")]
        return options

    def _binary_arguments(self, built: set[str]) -> list[str]:
        wanted = set(self._translated.no_binary)
        if ":all:" in wanted:
            if not self._request.allow_builds:
                raise self.build_refused({"everything (--no-binary :all:)"})
            return ["--no-binary", ":all:"]
        names = sorted(built | (wanted if self._request.allow_builds else set()))
        return ["--only-binary", ":all:", *(part for name in names for part in ("--no-binary", name))]

    def _all_but_provided(self, chosen: list[PylockPackage]) -> list[PylockPackage]:
        """uv's choice without the stubs. Raises ConflictError where conda's package would be installed over."""
        provided = self._request.provided
        stubs = os.path.join(self._folder, "provided") + os.sep
        for one in chosen:
            is_stub = one.direct is not None and (one.direct.path or "").startswith(stubs)
            if one.name in provided and not is_stub and one.name not in self._real:
                raise url_conflict(one.name, provided[one.name], one.folder or _place(one))
        return [one for one in chosen if one.name not in provided]


def extras_asked(stderr: str) -> set[str]:
    """Names of the stubs that uv found without an extra that somebody asks for. Pure."""
    return {canonicalize_name(name) for name in _NO_EXTRA.findall(stderr)}


def _extras_unknown(name: str, version: str) -> PipUnsatisfiableError:
    return PipUnsatisfiableError(
        f"An extra of {name} is asked for; conda provides {name} {version}, and no index has that version to say what "
        "its extras need",
        hint=f"Name what the extra needs in its place, or leave {name} to pip.",
        fields={"package": name, "version": version},
    )


def parse_digests(text: str) -> dict[str, frozenset[str]]:
    """Name to sha256s of a requirements file that uv wrote with hashes. Pure."""
    found: dict[str, frozenset[str]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==", line):
            found[canonicalize_name(match[1])] = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
    return found


def _place(one: PylockPackage) -> str:
    archive = one.direct or one.wheel or one.sdist
    return f"{one.name} from {(archive.url or archive.path) if archive else (one.git or ('another place',))[0]}"
