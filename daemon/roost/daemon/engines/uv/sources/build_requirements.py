"""What a build may install: each distribution by its digest, decided before uv fetches it.

uv asks a backend for its requirements in two steps (``build-system.requires``, then those that the backend computes),
and with ``--require-hashes`` it refuses every one that has no digest yet. roost locks what uv names and calls uv again.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement

from roost.daemon.background.code import KnownCode
from roost.daemon.engines.uv.errors import WheelBuildError
from roost.daemon.engines.uv.requirements import UvInputs
from roost.daemon.engines.uv.secrets import Secrets
from roost.daemon.engines.uv.sources.code import requirements_code
from roost.daemon.engines.uv.wheels import WheelStore
from roost.model.errors import MALFORMED_TOML
from roost.model.locks.lock import BuildRequirement, Wheel
from roost.store.disk.regular_files import read_regular

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LockRequirements = Callable[[Sequence[str]], Awaitable[Sequence[Wheel]]]
"""Locks requirements for builds, and returns the wheels of all that they need."""


class BuildContext(NamedTuple):
    """With what a build runs: what locks its requirements, uv's options for their indexes, and the secrets of these."""

    lock: LockRequirements
    options: Sequence[str]
    secrets: Secrets


_NEEDED = re.compile(r"No solution found when resolving: (`.+`)\s*$", re.MULTILINE)
_UNCHECKED = "Hash-checking is required"
_QUIET = ("Hash-checking is required", "No solution found when resolving: `", "Failed to resolve requirements from")
_ABOUT_UV = re.compile(r"(Using (Python|CPython|PyPy) |(Resolved|Audited|Checked) \d+ packages? in )")


def list_index_options(inputs: UvInputs, default: str | None) -> list[str]:
    """Return uv's options for the indexes of what builds need; their credentials are in the netrc file. ``default`` is
    the index if the lines name none."""
    index = inputs.index_url or default
    options = ["--default-index", index] if index else []
    more = [*inputs.choices.indexes, *inputs.extra_index_urls]
    options += [part for url in more for part in ("--index", url)]
    options += [part for location in inputs.find_links for part in ("--find-links", location)]
    options += ["--no-index"] if inputs.no_index else []
    return [*options, "--index-strategy", "unsafe-best-match"]


def find_build_requirements(stderr: str) -> tuple[str, ...]:
    """Return the requirements that uv refused to install because no digest of them is known; empty if it did not."""
    found = _NEEDED.search(stderr)
    return tuple(re.findall(r"`([^`]+)`", found[1])) if found and _UNCHECKED in stderr else ()


def read_build_requirements(folder: str) -> tuple[str, ...]:
    """Return what the project in ``folder`` requires under ``[build-system]``; empty if that can't be told, or is more
    than names and versions. Blocks."""
    try:
        document = tomllib.loads(read_regular(os.path.join(folder, "pyproject.toml")).decode())
        lines = tuple(document["build-system"]["requires"])
        return lines if all(Requirement(line).url is None for line in lines) else ()
    except (OSError, KeyError, TypeError, AttributeError, InvalidRequirement, *MALFORMED_TOML):
        return ()


def is_expected_line(line: str) -> bool:
    """Return whether a line of uv reports a refusal that is answered by another call, and no failure; or how uv does
    its work, which is no news."""
    return (
        any(text in line for text in _QUIET)
        or _ABOUT_UV.match(line) is not None
        or (line.startswith("warning:") and ("Requirements file" in line or "experimental" in line))
    )


class BuildRequirements:
    """The build requirements of one invocation of uv. ``folder`` is private to it; ``known``: what is
    locked already."""

    def __init__(
        self, lock: LockRequirements, store: WheelStore, folder: str, known_code: KnownCode, known: Iterable[Wheel] = ()
    ) -> None:
        self._lock = lock
        self._known_code = known_code
        self._store = store
        self._folder = os.path.join(folder, "build-requirements")
        self._constraints = os.path.join(self._folder, "constraints.txt")
        self._added: set[tuple[str, ...]] = set()
        self.wheels: dict[str, Wheel] = {wheel.name: wheel for wheel in known}
        """Name to the distribution that builds get."""

    def options(self, flag: str) -> list[str]:
        """Return uv's options. ``flag``: ``--require-hashes`` of ``uv build``, ``--require-build-hashes`` elsewhere.

        Blocks.
        """
        os.makedirs(self._folder, exist_ok=True)
        with open(self._constraints, "w", encoding="utf-8") as file:
            file.writelines(f"{w.name}=={w.version} --hash=sha256:{w.sha256}\n" for w in self.wheels.values())
        preview = ["--preview-features", "build-dependency-hashes"] if flag == "--require-build-hashes" else []
        constraints = ["--build-constraints", self._constraints] if self.wheels else []
        return [flag, *constraints, *preview, *self._link_built()]

    def _link_built(self) -> list[str]:
        """Return the option that makes uv find the wheels that were built here, rather than their sources."""
        built = [wheel for wheel in self.wheels.values() if wheel.kind in ("built", "local")]
        for wheel in built:
            link = os.path.join(self._folder, wheel.file_name)
            if not os.path.lexists(link):
                os.symlink(self._store.verified_path(wheel), link)
        return ["--find-links", self._folder] if built else []

    def pins(self) -> tuple[BuildRequirement, ...]:
        """Return what was locked, for the lock of the wheel that was built."""
        found = [BuildRequirement(name=w.name, version=w.version, sha256=w.sha256) for w in self.wheels.values()]
        return tuple(sorted(found, key=lambda each: each.name))

    async def add_needed(self, stderr: str) -> bool:
        """Lock what uv named in ``stderr``; return whether anything was added, so that another call gets further.

        Raises: WheelBuildError if two steps of one build need different versions of a distribution;
        CodeNotAllowedError in background work, if one of them has not run here.
        """
        return await self.add(find_build_requirements(stderr))

    async def add(self, needed: tuple[str, ...]) -> bool:
        """Lock ``needed``, lines of requirements; return whether anything was added. Raises as :meth:`add_needed`."""
        if not needed or needed in self._added:
            return False
        self._added.add(needed)
        # Together with what earlier steps have got: the builds' environment is one.
        pins = [f"{wheel.name}=={wheel.version}" for wheel in self.wheels.values()]
        locked = await self._lock([*needed, *pins])
        await self._known_code.require(requirements_code(locked))
        for wheel in locked:
            known = self.wheels.setdefault(wheel.name, wheel)
            if known.version != wheel.version:
                raise WheelBuildError(
                    f"A build needs {wheel.name} {known.version} and {wheel.version}",
                    hint="Build one of the packages apart, or choose a version that has a wheel.",
                )
        return True

    async def record_code(self) -> None:
        """Record that what was installed has run, in a build that succeeded."""
        await self._known_code.record(requirements_code(self.wheels.values()))
