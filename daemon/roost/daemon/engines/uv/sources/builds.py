"""Build wheels from sources: sdists, folders and git commits.

A build runs code of the package, so it is done only on request, after the source was compared with its digests, and in
a copy of the source: it must not leave files in the user's folder, whose content is part of the definition's digest.
"""

from __future__ import annotations

import asyncio
import glob
import os
import re
import shutil
import sys
from collections.abc import Sequence, Set

import msgspec
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from roost.daemon.background.code import KnownCode, PackageCode
from roost.daemon.engines.uv.errors import LockNeedsBuildError, WheelBuildError, WheelDigestMismatchError
from roost.daemon.engines.uv.process import UvProcess
from roost.daemon.engines.uv.secrets import Secrets
from roost.daemon.engines.uv.sources.archives import require_digests, unpack_part
from roost.daemon.engines.uv.sources.build_requirements import (
    BuildRequirements,
    LockRequirements,
    is_expected_line,
)
from roost.daemon.engines.uv.sources.code import source_code
from roost.daemon.engines.uv.sources.digests import wrong_digest
from roost.daemon.engines.uv.sources.metadata import SourceMetadata
from roost.daemon.engines.uv.translation import translate_failure, translate_git_failure, wheel_build_error
from roost.daemon.engines.uv.wheels import StoredWheel, WheelStore, file_sha256
from roost.daemon.jobs.progress import Progress
from roost.model.definition import PipItem
from roost.model.errors import MALFORMED_TOML
from roost.store.disk.regular_files import read_regular
from roost.store.sources.files import LocalFiles

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_NOT_COPIED = shutil.ignore_patterns(
    "__pycache__",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".eggs",
    "node_modules",
    ".mypy_cache",
    ".pytest_cache",
    "*.egg-info",
)


class WheelBuilder:
    """Builds wheels for one request.

    ``interpreter`` runs the builds. ``target`` names the Python and platform that a wheel fits; it is part of the key
    under which the wheel of a source is recorded. ``index_options`` are uv's options for finding build requirements,
    which ``lock_requirements`` locks before anything of them is installed.

    Its methods raise WheelBuildError if a build fails, and the errors of locking its requirements; in background work
    CodeNotAllowedError, before anything runs, if the source or what builds it has not run here.
    """

    def __init__(
        self,
        process: UvProcess,
        store: WheelStore,
        secrets: Secrets,
        lock_requirements: LockRequirements,
        known_code: KnownCode,
        *,
        interpreter: str,
        target: str,
        index_options: Sequence[str],
        progress: Progress,
    ) -> None:
        self._process = process
        self._store = store
        self._secrets = secrets
        self._lock_requirements = lock_requirements
        self._known_code = known_code
        self._interpreter = interpreter
        self._target = target
        self._index_options = index_options
        self._progress = progress

    async def build_local(self, item: PipItem, expected: Set[str] = frozenset()) -> StoredWheel:
        """Return the wheel of a local folder or sdist. ``expected``: digests of which a file must have one.

        Raises WheelDigestMismatchError if the source changed since the definition was read, or has none of
        ``expected``.
        """
        key = f"{item.digest or item.path} {self._target}"
        if expected and item.digest is not None and item.digest not in expected:
            raise wrong_digest(item.text, expected, item.digest)
        known = await asyncio.to_thread(self._store.find_built, key) if item.digest else None
        if known is not None:
            return known
        code = source_code("build-backend", item.text, item.digest or "")
        await self._known_code.require(code)
        async with self._process.temporary_folder() as folder:
            source = await asyncio.to_thread(_copy_source, item, folder, expected)
            return await self._build(source, folder, key if item.digest else None, code)

    async def build_sdist(self, path: str, sha256: str, subdirectory: str | None) -> StoredWheel:
        """Return the wheel of the sdist at ``path``, whose content was checked and has ``sha256``."""
        key = f"{sha256} {self._target}" + (f" {subdirectory}" if subdirectory else "")
        known = await asyncio.to_thread(self._store.find_built, key)
        if known is not None:
            return known
        code = source_code("build-backend", os.path.basename(path), f"sha256:{sha256}")
        await self._known_code.require(code)
        async with self._process.temporary_folder() as folder:
            if subdirectory:
                unpacked = os.path.join(folder, "unpacked")
                path = await asyncio.to_thread(unpack_part, path, unpacked, subdirectory)
            return await self._build(path, folder, key, code)

    async def find_commit(self, repository: str, revision: str) -> str:
        """Return the commit that a branch, a tag or ``HEAD`` of a repository names now; a commit as it is."""
        if _COMMIT.fullmatch(revision):
            return revision
        names = ["HEAD"] if revision == "HEAD" else [f"refs/heads/{revision}", f"refs/tags/{revision}", revision]
        peeled = [f"{name}^{{}}" for name in names if name.startswith("refs/tags/")]
        async with self._process.temporary_folder() as folder:
            step = ["ls-remote", "--quiet", repository, *names, *peeled]
            outcome = await self._process.run(step, folder, secrets=self._secrets, program="git")
        if outcome.status != 0:
            raise translate_git_failure(outcome.stderr, url=repository)
        rows = (line.split("\t") for line in outcome.stdout.splitlines() if "\t" in line)
        found = {name: commit for commit, name in rows}
        order = [*peeled, *names] if f"refs/heads/{revision}" not in found else names
        return next((found[name] for name in order if name in found), revision)

    async def build_commit(self, repository: str, commit: str, subdirectory: str | None) -> StoredWheel:
        """Return the wheel of a git commit."""
        key = f"git {repository} {commit} {subdirectory or ''} {self._target}"
        known = await asyncio.to_thread(self._store.find_built, key)
        if known is not None:
            return known
        origin = f"git+{repository}@{commit}"
        code = source_code("git-checkout", origin, origin)
        await self._known_code.require(code)
        async with self._process.temporary_folder() as folder:
            source = os.path.join(folder, "source")
            await self._checkout(repository, commit, source, folder)
            return await self._build(os.path.join(source, subdirectory or ""), folder, key, code)

    async def _checkout(self, repository: str, commit: str, source: str, folder: str) -> None:
        steps = (
            ["clone", "--quiet", "--no-checkout", repository.removeprefix("git+"), source],
            ["-C", source, "checkout", "--quiet", "--detach", commit],
            ["-C", source, "submodule", "--quiet", "update", "--init", "--recursive"],
        )
        for step in steps:
            outcome = await self._process.run(step, folder, secrets=self._secrets, program="git")
            if outcome.status != 0:
                raise translate_git_failure(outcome.stderr, url=repository)

    async def _build(self, source: str, folder: str, key: str | None, code: Sequence[PackageCode]) -> StoredWheel:
        out = os.path.join(folder, "out")
        arguments = ["build", "--wheel", "--no-sources", "--python", self._interpreter, "--out-dir", out]
        self._progress.start("build-wheels")
        self._progress.note(f"building a wheel of {os.path.basename(source.rstrip('/'))}")
        requirements = BuildRequirements(self._lock_requirements, self._store, folder, self._known_code)
        while True:
            checked = await asyncio.to_thread(requirements.options, "--require-hashes")
            command = [*arguments, *self._index_options, *checked, source]
            outcome = await self._process.run(command, folder, secrets=self._secrets, on_line=self._log_line)
            if outcome.status == 0:
                break
            if not await requirements.add_needed(outcome.stderr):
                raise _build_error(source, outcome.stderr, outcome.status)
        self._progress.finish("build-wheels")
        await requirements.record_code()
        await self._known_code.record(code)
        wheels = await asyncio.to_thread(glob.glob, os.path.join(glob.escape(out), "*.whl"))
        if len(wheels) != 1:
            raise WheelBuildError(f"Building {os.path.basename(source)} produced {len(wheels)} wheels instead of one")
        return await asyncio.to_thread(
            self._store.add, wheels[0], built=True, source_key=key, requires=requirements.pins()
        )

    def _log_line(self, line: str) -> None:
        if not is_expected_line(line):
            self._progress.log(line)


def _build_error(source: str, stderr: str, status: int) -> Exception:
    error = translate_failure(stderr, status, "building")
    if error.code in ("uv-failed", "wheel-build-failed"):
        return wheel_build_error(f"a wheel of {os.path.basename(source.rstrip('/'))}", stderr)
    return error


def _copy_source(item: PipItem, folder: str, expected: Set[str]) -> str:
    """Copy a local source into ``folder``; return the path of the copy. Blocks.

    Raises WheelDigestMismatchError if the copy does not have the digest that the definition recorded, or is a file with
    none of the digests in ``expected``.
    """
    path = item.path or ""
    target = os.path.join(folder, "src", os.path.basename(path.rstrip("/")))
    if not os.path.isdir(path):
        os.makedirs(os.path.dirname(target))
        shutil.copy(path, target)
        if item.digest is not None and f"sha256:{file_sha256(target)}" != item.digest:
            raise source_changed(item)
        if item.digest is None and expected:
            require_digests(target, [expected])
        return target
    shutil.copytree(path, target, symlinks=True, ignore=_NOT_COPIED)
    if item.digest is not None and LocalFiles().tree_digest(target) != item.digest:
        raise source_changed(item)
    return target


def source_changed(item: PipItem) -> WheelDigestMismatchError:
    """Return the error for a local file or folder that changed since the definition was read."""
    return WheelDigestMismatchError(
        f"{item.path} changed while it was being locked", location=item.location, hint="Try again."
    )


_BUILT_FIELDS = frozenset({"version", "dependencies", "optional-dependencies", "requires-python"})
"""Fields of ``[project]`` that uv builds the project for, if they are dynamic."""


class StaticProject(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    """A ``[project]`` table (PEP 621), as far as locking needs it."""

    name: str
    version: str
    dynamic: frozenset[str] = frozenset()
    dependencies: tuple[str, ...] = ()
    optional_dependencies: dict[str, tuple[str, ...]] = {}
    requires_python: str | None = None


def read_static_project(folder: str) -> StaticProject | None:
    """Return the ``[project]`` table of a folder if no code has to run to lock it; otherwise ``None``. Blocks.

    That is so if it states version and dependencies statically (PEP 621). What is wrong with a table that is not valid,
    the project's build backend says.
    """
    try:
        text = read_regular(os.path.join(folder, "pyproject.toml")).decode()
        project = msgspec.convert(tomllib.loads(text).get("project"), StaticProject)
    except (OSError, *MALFORMED_TOML, msgspec.ValidationError):
        return None
    return None if project.dynamic & _BUILT_FIELDS else project


def read_static_metadata(folder: str) -> SourceMetadata | None:
    """Return the metadata of a folder if no code has to run to know it; otherwise ``None``. Blocks."""
    project = read_static_project(folder)
    if project is None:
        return None
    extras = project.optional_dependencies
    try:
        optional = [_limit_to_extra(line, extra) for extra, lines in extras.items() for line in lines]
        version = str(Version(project.version))
    except ValueError:  # InvalidVersion, InvalidRequirement and InvalidMarker
        return None
    return SourceMetadata(
        name=canonicalize_name(project.name),
        version=version,
        requires=(*project.dependencies, *optional),
        requires_python=project.requires_python,
        extras=tuple(canonicalize_name(extra) for extra in extras),
    )


def _limit_to_extra(line: str, extra: str) -> str:
    requirement = Requirement(line)
    own = f"({requirement.marker}) and " if requirement.marker else ""
    requirement.marker = Marker(f'{own}extra == "{extra}"')
    return str(requirement)


def build_needed(item: PipItem, what: str) -> LockNeedsBuildError:
    """Return the error for ``item``, which can't be locked without running its code; ``what`` is its name."""
    return LockNeedsBuildError(
        f"{what} has to be built before it can be locked, and locking alone does not run code of packages",
        location=item.location,
        hint="`roost build` builds it.",
        fields={"package": what},
    )
