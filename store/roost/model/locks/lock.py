"""The packages that a solve chose for one definition and platform, and the key to their content.

``Lock`` is what is stored and shared; ``digest_lock`` names the *content* of a prefix, so it covers what is linked
(file names and sha256s, the Python provider, editable folders) and not where it came from (URLs, mirrors, licences).
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

LOCK_FORMAT = 1


class CondaPackage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One conda record. ``record`` is the channel's own repodata record, needed to write ``conda-meta``."""

    name: str
    version: str
    build: str
    subdir: str
    file_name: str
    url: str
    sha256: str
    """64 hex digits; empty only where an explicit file gave an md5 alone and nothing was fetched yet."""
    size: int = 0
    record: dict[str, object] = {}


WheelKind = Literal["index", "url", "local", "built", "editable"]


class Wheel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One distribution that uv installs."""

    name: str
    """PEP 503 normalised."""
    version: str
    kind: WheelKind = "index"
    file_name: str = ""
    url: str | None = None
    """Where it was found (no credentials); ``None`` for built and local wheels, which the store keeps by sha256."""
    sha256: str = ""
    size: int = 0
    origin: str | None = None
    """For ``built``: the sdist or the folder's content (``sha256:…``), or the git commit it was built from."""
    path: str | None = None
    """For ``editable``: the absolute folder."""
    folder: str | None = None
    """For ``built`` in place of an editable install (images): the folder, which held what ``origin`` digests."""
    requires: tuple[str, ...] = ()
    """Names of the distributions that it needs, where known."""


class HostPython(msgspec.Struct, frozen=True, kw_only=True, tag="host", tag_field="kind"):
    """A Python of this machine; such a lock stays on this machine."""

    version: str
    """``X.Y.Z``"""
    executable: str
    """Absolute, symlinks resolved."""


class CondaPython(msgspec.Struct, frozen=True, kw_only=True, tag="conda", tag_field="kind"):
    """Python, if there is any, comes from the conda packages."""


Provider = HostPython | CondaPython


class RemoteInput(msgspec.Struct, frozen=True, kw_only=True):
    """A URL in ``-r`` or ``-c`` and the digest of what it held when the lock was made."""

    url: str
    sha256: str


class Lock(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that a prefix is made of, for one platform."""

    platform: str
    provider: Provider
    conda: tuple[CondaPackage, ...] = ()
    wheels: tuple[Wheel, ...] = ()
    system: dict[str, str] = {}
    """Virtual packages that the solve assumed (``__glibc`` …); a machine without them refuses the prefix."""
    inputs: tuple[RemoteInput, ...] = ()
    format: int = LOCK_FORMAT


def canonicalise_lock(lock: Lock) -> bytes:
    """The bytes that ``digest_lock`` covers: order of packages, URLs and repodata play no part."""
    content = {
        "format": lock.format,
        "platform": lock.platform,
        "provider": msgspec.to_builtins(lock.provider),
        "conda": sorted([p.subdir, p.file_name, p.sha256] for p in lock.conda),
        "wheels": sorted([w.name, w.version, w.file_name, w.sha256, w.path or ""] for w in lock.wheels),
    }
    return msgspec.json.encode(content, order="sorted")


def digest_lock(lock: Lock) -> str:
    """``sha256:`` of the canonical lock: the strong key, one for each content of a prefix."""
    return "sha256:" + hashlib.sha256(canonicalise_lock(lock)).hexdigest()
