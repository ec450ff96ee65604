"""What a solve prefers of a former lock: the versions that were there before a definition was edited. Pure.

A preference is no requirement. If it does not fit the definition any more, or no channel or index has it any more, the
solve chooses as if there had been none.
"""

from __future__ import annotations

import re

import msgspec
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from roost.model.locks.lock import Lock


class PreferredPackage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A conda package to prefer: a file of a channel; without a sha256 any build of the version."""

    name: str
    version: str
    build: str = ""
    sha256: str = ""


class ListedPackage(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel lists that may be what is preferred."""

    version: str
    build: str
    build_number: int
    sha256: str


def prefer_conda_packages(lock: Lock) -> tuple[PreferredPackage, ...]:
    """Return what to prefer of conda's packages: those of ``lock``, and the versions of its wheels for packages that
    the definition now gets from conda."""
    packages = {
        each.name: PreferredPackage(name=each.name, version=each.version, build=each.build, sha256=each.sha256)
        for each in lock.conda
    }
    for wheel in lock.wheels:
        packages.setdefault(wheel.name, PreferredPackage(name=wheel.name, version=wheel.version))
    return tuple(packages[name] for name in sorted(packages))


def prefer_wheel_versions(lock: Lock) -> dict[str, str]:
    """Return the versions to prefer of pip's packages, by PEP 503 name: those of the wheels of ``lock``, and of conda's
    packages, as far as the two call a package by the same name, for those that the definition now gets from pip."""
    packages = [*((each.name, each.version) for each in lock.conda), *((w.name, w.version) for w in lock.wheels)]
    return {canonicalize_name(name): version for name, version in packages if _is_pip_version(version)}


def _is_pip_version(version: str) -> bool:
    try:
        Version(version)
    except InvalidVersion:
        return False
    return True


def choose_listed(preferred: PreferredPackage, listed: list[ListedPackage], python: str | None) -> int | None:
    """Return the position of what to prefer among the records that a channel lists under the name; ``None`` if the
    version is not listed.

    The very file comes first, unless it was built for another Python than ``python`` (``X.Y``); else a build of the
    same version: for this Python, and with the greatest number.
    """
    same = [number for number, each in enumerate(listed) if each.version == preferred.version]
    if not same:
        return None

    def rank(number: int) -> tuple[bool, bool, int, str]:
        each = listed[number]
        is_same = bool(preferred.sha256) and each.sha256 == preferred.sha256
        return _fits_python(each.build, python), is_same, each.build_number, each.build

    return max(same, key=rank)


def _fits_python(build: str, python: str | None) -> bool:
    """Return whether the build string allows for ``python``: most builds for one Python begin with ``py311``."""
    if python is None:
        return True
    found = re.match(r"(?:cuda\d+|cpu)?_?py(\d)(\d+)(?:_|h|$)", build)
    return found is None or f"{found[1]}.{found[2]}" == python
