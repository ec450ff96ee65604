"""The packages that a solve selected for one definition and platform, and the digest of their content.

A ``Lock`` is stored and shared. The lock digest identifies the *content* of a prefix: it covers what is linked (file
names and sha256s, the Python provider, editable folders) and not where it came from (URLs, mirrors, licences), nor what
is only known of it (markers, sources of wheels that were built).

A lock has the lowest format that can express its content (``with_format``), so that locks which older versions of roost
can read keep the digests that these give them:

1. conda's packages and wheels, by sha256. A Python of this machine is named by its executable and its patch level: such
   locks are of use on one machine only. They are still read, and no new ones are made.
2. A Python of a machine is named by implementation, X.Y and threading; the executable and the patch level are facts of
   the prefix. Jars, R packages, and wheels that are known by their source only.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

LOCK_FORMAT = 2
"""The newest format."""
PackageKind = Literal["conda", "pip", "jar", "r"]


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


class BuildRequirement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A distribution that was installed where a wheel was built."""

    name: str
    """Normalised by PEP 503."""
    version: str
    sha256: str = ""


SourceKind = Literal["sdist", "git", "folder"]


class WheelSource(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a wheel is or was built from."""

    kind: SourceKind
    url: str | None = None
    """Of an sdist or a repository, without credentials; ``None`` for a folder or a file of a machine."""
    sha256: str = ""
    """Of an sdist's file, or of a folder's content."""
    commit: str = ""
    subdirectory: str = ""
    requires: tuple[BuildRequirement, ...] = ()
    """The build requirements, pinned; empty if they are not known."""


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
    source: WheelSource | None = None
    """Of a ``built`` wheel. A wheel with a source and without a ``sha256`` has yet to be built."""


def is_source(wheel: Wheel) -> bool:
    """Whether a wheel stands as its source, and has yet to be built."""
    return not wheel.sha256 and wheel.source is not None


class Jar(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Java archive for Spark, by its Maven coordinates."""

    group: str
    name: str
    """The artifact's id."""
    version: str
    classifier: str = ""
    file_name: str
    url: str | None = None
    sha256: str
    size: int = 0


class RPackage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An R package from a repository such as CRAN: a source archive, or a binary one for the lock's platform."""

    name: str
    version: str
    file_name: str
    url: str | None = None
    sha256: str
    size: int = 0
    requires: tuple[str, ...] = ()
    """Names of the packages that it depends on, imports or links to, if known."""


Threading = Literal["gil", "free-threaded"]


class HostPython(msgspec.Struct, frozen=True, kw_only=True, tag="host", tag_field="kind"):
    """A Python of the machine on which the prefix is."""

    version: str
    """``X.Y``; in format 1 ``X.Y.Z``."""
    implementation: str = "cpython"
    """``sys.implementation.name``."""
    threading: Threading = "gil"
    executable: str | None = None
    """Format 1 only: absolute path with symlinks resolved, which binds the lock to one machine."""

    @property
    def is_bound(self) -> bool:
        """Whether the lock is of use on one machine only (format 1)."""
        return self.executable is not None


class CondaPython(msgspec.Struct, frozen=True, kw_only=True, tag="conda", tag_field="kind"):
    """Python, if any, is one of the conda packages."""


Provider = HostPython | CondaPython


class RemoteInput(msgspec.Struct, frozen=True, kw_only=True):
    """A URL in ``-r`` or ``-c`` and the digest of its content when the lock was made."""

    url: str
    sha256: str


class MarkerOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A marker (PEP 508) by which packages were chosen, and what it evaluated to when the lock was made."""

    marker: str
    applies: bool
    extra: str = ""
    """The value of ``extra``."""


class ProjectLayer(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a lock that of a project layer: no definition has it, and no other machine gets it."""

    name: str
    """Of the editable wheel that is the project."""
    base: str
    """Digest of the lock of the dependencies."""


class Lock(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The complete content of a prefix for one platform."""

    platform: str
    provider: Provider
    conda: tuple[CondaPackage, ...] = ()
    wheels: tuple[Wheel, ...] = ()
    system: dict[str, str] = {}
    """Virtual packages that the solve assumed (``__glibc`` …); a machine without them rejects the prefix."""
    inputs: tuple[RemoteInput, ...] = ()
    jars: tuple[Jar, ...] = ()
    r: tuple[RPackage, ...] = ()
    markers: tuple[MarkerOutcome, ...] = ()
    """With a Python of a machine: the markers that machines with such a Python may evaluate differently."""
    markers_known: bool = False
    """Whether ``markers`` has those of the packages' own requirements, which are read when they are installed."""
    unanswered: dict[str, str] = {}
    """Places of ``--find-links`` that did not answer when the packages were chosen, and why; not digested. Such a lock
    is not shared."""
    bundle: str = ""
    """Digest of the bundle that the lock came with, if no channel and no index attested it; not digested. Such a lock
    is not shared."""
    layer: ProjectLayer | None = None
    """Set in the lock of a project layer; not digested, since the digest covers the editable wheel."""
    format: int = 1


def with_format(lock: Lock) -> Lock:
    """Return ``lock`` with the number of the lowest format that can express its content."""
    portable = isinstance(lock.provider, HostPython) and not lock.provider.is_bound
    unbuilt = any(map(is_source, lock.wheels))
    return msgspec.structs.replace(lock, format=2 if portable or unbuilt or lock.jars or lock.r else 1)


def canonicalise_lock(lock: Lock) -> bytes:
    """Return the bytes that the lock digest covers: independent of the order of packages, URLs and repodata."""
    content = {
        "format": lock.format,
        "platform": lock.platform,
        "provider": _canonicalise_provider(lock),
        "conda": sorted([p.subdir, p.file_name, p.sha256] for p in lock.conda),
        "wheels": sorted([w.name, w.version, w.file_name, _wheel_content(w), w.path or ""] for w in lock.wheels),
    }
    if lock.format > 1:
        content["jars"] = sorted([j.group, j.name, j.version, j.classifier, j.file_name, j.sha256] for j in lock.jars)
        content["r"] = sorted([p.name, p.version, p.file_name, p.sha256] for p in lock.r)
    return msgspec.json.encode(content, order="sorted")


def _canonicalise_provider(lock: Lock) -> dict[str, str]:
    provider = lock.provider
    if not isinstance(provider, HostPython):
        return {"kind": "conda"}
    if lock.format == 1:
        return {"kind": "host", "version": provider.version, "executable": provider.executable or ""}
    return {
        "kind": "host",
        "implementation": provider.implementation,
        "version": provider.version,
        "threading": provider.threading,
    }


def _wheel_content(wheel: Wheel) -> str:
    """Return the sha256 of a wheel; for one that has yet to be built, the digest of its source and of what is installed
    to build it.

    Building is not reproducible in general, so once a wheel exists, its bytes are the content, whatever it was built
    from.
    """
    source = wheel.source
    if wheel.sha256 or source is None:
        return wheel.sha256
    requires = sorted([each.name, each.version, each.sha256] for each in source.requires)
    rows = [source.kind, source.sha256, source.commit, source.subdirectory, requires]
    return "source:" + hashlib.sha256(msgspec.json.encode(rows)).hexdigest()


def digest_lock(lock: Lock) -> str:
    """Return ``sha256:`` of the canonical lock: the strong key, one for each content of a prefix."""
    return "sha256:" + hashlib.sha256(canonicalise_lock(lock)).hexdigest()


def sum_sizes(lock: Lock) -> int:
    """Return the bytes of all packages in ``lock`` whose size is known."""
    sizes = [[each.size for each in packages] for packages in (lock.conda, lock.wheels, lock.jars, lock.r)]
    return sum(map(sum, sizes))
