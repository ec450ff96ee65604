"""The packages that a solve selected for one definition and platform, and the digest of their content.

A ``Lock`` is stored and shared. The lock digest identifies the *content* of a prefix: it covers what is linked (file
names and sha256s, the Python provider, editable folders) and not where it came from (URLs, mirrors, licences).
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

LOCK_FORMAT = 1
PackageKind = Literal["conda", "pip"]


class CondaPackage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A conda package. ``record`` is the channel's repodata record, which is needed to write ``conda-meta``."""

    name: str
    version: str
    build: str
    subdir: str
    file_name: str
    url: str
    sha256: str
    """64 hex digits; empty only if an explicit file gave just an md5 and the package was not fetched yet."""
    size: int = 0
    record: dict[str, object] = {}


WheelKind = Literal["index", "url", "local", "built", "editable"]


class Wheel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A distribution that uv installs."""

    name: str
    """Normalised by PEP 503."""
    version: str
    kind: WheelKind = "index"
    file_name: str = ""
    url: str | None = None
    """Where it was found, without credentials; ``None`` for built and local wheels, which the store holds by sha256."""
    sha256: str = ""
    size: int = 0
    origin: str | None = None
    """Source of a ``built`` wheel: the content of the sdist or folder (``sha256:…``), or the git commit."""
    path: str | None = None
    """Absolute folder of an ``editable`` installation."""
    folder: str | None = None
    """Of a wheel ``built`` in place of an editable installation (for images): the folder, whose content had the digest
    ``origin``."""
    requires: tuple[str, ...] = ()
    """Names of the distributions that it requires, if known."""


class HostPython(msgspec.Struct, frozen=True, kw_only=True, tag="host", tag_field="kind"):
    """A Python of this machine. A lock with it is bound to this machine."""

    version: str
    """``X.Y.Z``"""
    executable: str
    """Absolute path with symlinks resolved."""


class CondaPython(msgspec.Struct, frozen=True, kw_only=True, tag="conda", tag_field="kind"):
    """Python, if any, is one of the conda packages."""


Provider = HostPython | CondaPython


class RemoteInput(msgspec.Struct, frozen=True, kw_only=True):
    """A URL in ``-r`` or ``-c`` and the digest of its content when the lock was made."""

    url: str
    sha256: str


class Lock(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The complete content of a prefix for one platform."""

    platform: str
    provider: Provider
    conda: tuple[CondaPackage, ...] = ()
    wheels: tuple[Wheel, ...] = ()
    system: dict[str, str] = {}
    """Virtual packages that the solve assumed (``__glibc`` …); a machine without them rejects the prefix."""
    inputs: tuple[RemoteInput, ...] = ()
    format: int = LOCK_FORMAT


def canonicalise_lock(lock: Lock) -> bytes:
    """Return the bytes that the lock digest covers: independent of the order of packages, URLs and repodata."""
    content = {
        "format": lock.format,
        "platform": lock.platform,
        "provider": msgspec.to_builtins(lock.provider),
        "conda": sorted([p.subdir, p.file_name, p.sha256] for p in lock.conda),
        "wheels": sorted([w.name, w.version, w.file_name, w.sha256, w.path or ""] for w in lock.wheels),
    }
    return msgspec.json.encode(content, order="sorted")


def digest_lock(lock: Lock) -> str:
    """Return ``sha256:`` of the canonical lock: the strong key, one for each content of a prefix."""
    return "sha256:" + hashlib.sha256(canonicalise_lock(lock)).hexdigest()


def sum_sizes(lock: Lock) -> int:
    """Return the bytes of all packages in ``lock`` whose size is known."""
    return sum(package.size for package in lock.conda) + sum(wheel.size for wheel in lock.wheels)
