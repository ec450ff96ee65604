"""Which versions of a package a spec means: of wheels by PEP 440, of conda packages by conda's own order.

A spec that only one of the two worlds can read (``numpy=1.26``, ``numpy===1.26``) is read as that world reads it for
both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion

from roost.model.errors import InvalidRequestError
from roost.model.package_uses import Package
from roost.model.syntax.match_specs import is_package_file, split_match_spec

_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_EXAMPLES = "'numpy', 'numpy<1.26.4', 'numpy==1.26.*', 'pillow>=9,<10.0.1'"


class PackageSpecError(InvalidRequestError):
    """The text names no package, or says of its version what neither conda nor pip can read."""

    code = "package-spec-invalid"


class PackageSpec(NamedTuple):
    """A package's name, and which versions: ``''`` for all."""

    name: str
    constraint: str


def parse_package_spec(text: str) -> PackageSpec:
    """``PACKAGE[SPEC]``. Raises ``PackageSpecError`` for what is no such thing, or holds more (channels, extras)."""
    parts = split_match_spec(text)
    if _NAME.fullmatch(parts.name) is None or is_package_file(text):
        raise PackageSpecError(f"{text!r} names no package", hint=f"Expected something like {_EXAMPLES}.")
    if parts.channel or parts.bracket or ";" in parts.rest or "@" in parts.rest or "[" in parts.rest:
        raise PackageSpecError(
            f"{text!r} says more than a name and versions",
            hint=f"Leave out channel, extras and markers; expected something like {_EXAMPLES}.",
        )
    return PackageSpec(parts.name, parts.rest)


def meant(spec: PackageSpec, packages: Sequence[Package]) -> list[bool]:
    """For each package (all are of the spec's name), whether its version is meant. Blocks: rattler may be imported.

    Raises ``PackageSpecError`` where no world can read the constraint, whatever packages there are.
    """
    if not spec.constraint:
        return [True] * len(packages)
    specifiers = _specifiers(spec.constraint)
    if specifiers is not None and all(package.kind == "pip" for package in packages):
        return _by_pip(specifiers, packages)
    by_conda = _by_conda(spec, packages)
    if by_conda is None and specifiers is None:
        raise PackageSpecError(
            f"Neither conda nor pip can read the versions {spec.constraint!r} of {spec.name}",
            hint=f"Expected something like {_EXAMPLES}.",
        )
    by_pip = _by_pip(specifiers, packages) if specifiers is not None else by_conda or []
    by_kind = {"conda": by_pip if by_conda is None else by_conda, "pip": by_pip}
    return [by_kind[package.kind][place] for place, package in enumerate(packages)]


def _by_conda(spec: PackageSpec, packages: Sequence[Package]) -> list[bool] | None:
    from roost.daemon.engines.conda.versions import (
        match_versions,  # rattler: 30 MB that a search without versions spares
    )

    return match_versions(spec.name, spec.constraint, [(package.version, package.build) for package in packages])


def _specifiers(constraint: str) -> SpecifierSet | None:
    text = constraint.strip()
    try:
        return SpecifierSet(text[1:-1] if text.startswith("(") and text.endswith(")") else text)
    except InvalidSpecifier:
        return None


def _by_pip(specifiers: SpecifierSet, packages: Sequence[Package]) -> list[bool]:
    return [_contains(specifiers, package.version) for package in packages]


def _contains(specifiers: SpecifierSet, version: str) -> bool:
    """A pre-release that is installed counts, whether or not a solver would choose it."""
    try:
        return specifiers.contains(version, prereleases=True)
    except InvalidVersion:
        return False
