"""Which packages can be looked up: those of PyPI, and those of conda whose record says which project they are. Pure.

OSV has no ecosystem for conda. Names alone say little: conda's pytorch is PyPI's torch, and others have nothing in
common but the name. So a package of conda counts only by the package URLs in its channel's record (``purls``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

import msgspec

from roost.daemon.audit.search import ProjectVersion
from roost.model.package_uses import PackageVersion
from roost.model.syntax.pip_lines import normalise_name

_PYPI_PURL = re.compile(r"pkg:pypi/([^@?#/]+)(?:@([^?#/]*))?(?:[?#].*)?", re.DOTALL)
_REASONS = {
    "conda": "its channel does not say which project of PyPI it is, and OSV knows no conda packages",
    "jar": "jars are not looked up",
    "r": "R packages are not looked up",
}


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A package of an environment, and what its record says it is."""

    package: PackageVersion
    purls: tuple[str, ...] = ()


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A package and a project of PyPI that it is."""

    package: PackageVersion
    subject: ProjectVersion


def find_subjects(candidates: Iterable[Candidate]) -> tuple[list[Checked], list[tuple[PackageVersion, str]]]:
    """Return what can be looked up, and the packages that can't, each with the reason."""
    checked: list[Checked] = []
    unchecked: list[tuple[PackageVersion, str]] = []
    for candidate in candidates:
        subjects = list(dict.fromkeys(_identify(candidate)))
        checked += [Checked(package=candidate.package, subject=subject) for subject in subjects]
        if not subjects:
            unchecked.append((candidate.package, _REASONS.get(candidate.package.kind, "it has no version")))
    return checked, unchecked


def _identify(candidate: Candidate) -> Iterable[ProjectVersion]:
    package = candidate.package
    if package.kind == "pip" and package.version:
        yield ProjectVersion(name=normalise_name(package.name), version=package.version)
    if package.kind == "conda":
        for match in map(_PYPI_PURL.fullmatch, candidate.purls):
            if match is not None:
                version = unquote(match[2] or "") or package.version
                yield ProjectVersion(name=normalise_name(unquote(match[1])), version=version)
