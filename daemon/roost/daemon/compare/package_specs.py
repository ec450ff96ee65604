"""Package specs of users: a name, and which versions; for wheels by PEP 440, for conda packages in conda's order.

A spec that only one of conda and pip can read (``numpy=1.26``, ``numpy===1.26``) has the meaning of that one for both.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion

from roost.daemon.engines.conda.rules import CondaRules
from roost.model.errors import InvalidRequestError
from roost.model.package_uses import PackageVersion
from roost.model.syntax.match_specs import is_package_file, split_match_spec

_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_EXAMPLES = "'numpy', 'numpy<1.26.4', 'numpy==1.26.*', 'pillow>=9,<10.0.1'"


class PackageSpecError(InvalidRequestError):
    """The text does not name a package, or has a version constraint that neither conda nor pip can read."""

    code = "package-spec-invalid"


class PackageSpec(NamedTuple):
    """A package's name, and a constraint on its version; ``''`` allows all versions."""

    name: str
    constraint: str


def parse_package_spec(text: str) -> PackageSpec:
    """Parse ``PACKAGE[SPEC]``. Raises PackageSpecError if ``text`` is not of that form, or has channel or extras."""
    parts = split_match_spec(text)
    if _NAME.fullmatch(parts.name) is None or is_package_file(text):
        raise PackageSpecError(f"{text!r} names no package", hint=f"Expected something like {_EXAMPLES}.")
    if parts.channel or parts.bracket or ";" in parts.rest or "@" in parts.rest or "[" in parts.rest:
        raise PackageSpecError(
            f"{text!r} contains more than a name and versions",
            hint=f"Leave out channel, extras and markers; expected something like {_EXAMPLES}.",
        )
    return PackageSpec(parts.name, parts.rest)


async def match_packages(rules: CondaRules, spec: PackageSpec, packages: Sequence[PackageVersion]) -> list[bool]:
    """Return for each package, all of which have the spec's name, whether the spec allows its version.

    Raises PackageSpecError if neither conda nor pip can read the constraint,
    whatever ``packages`` are.
    """
    if not spec.constraint:
        return [True] * len(packages)
    specifiers = _parse_specifiers(spec.constraint)
    if specifiers is not None and all(package.kind == "pip" for package in packages):
        return await asyncio.to_thread(_match_as_pip, specifiers, packages)
    versions = [(package.version, package.build) for package in packages]
    as_conda = await rules.match_versions(spec.name, spec.constraint, versions)
    if as_conda is None and specifiers is None:
        raise PackageSpecError(
            f"Neither conda nor pip can read the versions {spec.constraint!r} of {spec.name}",
            hint=f"Expected something like {_EXAMPLES}.",
        )
    as_pip = as_conda or []
    if specifiers is not None:
        as_pip = await asyncio.to_thread(_match_as_pip, specifiers, packages)
    by_kind = {"conda": as_pip if as_conda is None else as_conda, "pip": as_pip}
    return [by_kind[package.kind][position] for position, package in enumerate(packages)]


def _parse_specifiers(constraint: str) -> SpecifierSet | None:
    text = constraint.strip()
    try:
        return SpecifierSet(text[1:-1] if text.startswith("(") and text.endswith(")") else text)
    except InvalidSpecifier:
        return None


def _match_as_pip(specifiers: SpecifierSet, packages: Sequence[PackageVersion]) -> list[bool]:
    return [_allows_version(specifiers, package.version) for package in packages]


def _allows_version(specifiers: SpecifierSet, version: str) -> bool:
    """Match pre-releases too: an installed one counts, whether or not a solver would choose it."""
    try:
        return specifiers.contains(version, prereleases=True)
    except InvalidVersion:
        return False
