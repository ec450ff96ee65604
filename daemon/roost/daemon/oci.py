"""Names and documents of OCI registries: references, descriptors, manifests, indexes, platforms. Pure.

Sources: OCI image specification 1.1 (descriptor.md, manifest.md, image-index.md), OCI distribution specification 1.1,
Docker's reference grammar (distribution/reference) and its rule for what is a host (``splitDockerDomain``), Docker
image manifest V2 schema 2. Docker's and OCI's types are read alike, since registries hold both.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec

from roost.client.wire import Reason
from roost.store.errors import DefinitionError, UnreachableError

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (OCI_INDEX, DOCKER_INDEX)

EMPTY_JSON = b"{}"
"""Content of the ``OCI_EMPTY`` descriptor."""
MANIFEST_LIMIT = 4 * 1024 * 1024
"""Bytes; the distribution specification asks registries to take manifests up to 4 MiB; clients need read no more."""

DEFAULT_HOST = "docker.io"
DEFAULT_TAG = "latest"
_LEGACY_HOST = "index.docker.io"
_OFFICIAL = "library/"
_NAME_LIMIT = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?", re.ASCII)
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)


class ReferenceInvalidError(DefinitionError):
    """Text that names no image."""

    code = "reference-invalid"


class ManifestInvalidError(UnreachableError):
    """A document from a registry that is no manifest or index of a type that is known."""

    code = "manifest-invalid"
    retryable = False


Value = TypeVar("Value")


class Yes(msgspec.Struct, Generic[Value], frozen=True):
    """It is there."""

    value: Value


class No(msgspec.Struct, frozen=True):
    """The registry said, in so many words, that it is not there."""

    reason: Reason | None = None
    """Where there is more to say: an image that is there for other platforms only."""


class Unknown(msgspec.Struct, frozen=True):
    """Neither: refused, broken, too slow, or not to be believed. Never to be taken for ``No``."""

    reason: Reason


Answer = Yes[Value] | No | Unknown
"""What asking a registry gives: ``Answer[int]`` and so on."""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A repository on a host, and of it a tag, a digest, both (the digest holds) or neither (``latest``)."""

    host: str
    """With the port where one was given."""
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """Host and repository."""
        return f"{self.host}/{self.repository}"

    @property
    def wanted(self) -> str:
        """What stands behind ``/manifests/``: digest, else tag, else ``latest``."""
        return self.digest or self.tag or DEFAULT_TAG

    def tagged(self, tag: str) -> Reference:
        """Another tag of the same repository. Raises ReferenceInvalidError."""
        if not _TAG.fullmatch(tag):
            raise ReferenceInvalidError(f"{tag!r} is no tag", hint="Up to 128 of A-Z a-z 0-9 _ . and -.")
        return Reference(host=self.host, repository=self.repository, tag=tag)

    def by_digest(self, digest: str) -> Reference:
        """Exactly one document of the same repository. Raises ReferenceInvalidError."""
        check_digest(digest)
        return Reference(host=self.host, repository=self.repository, digest=digest)

    def __str__(self) -> str:
        """In full; ``parse_reference`` reads it back as the same."""
        tag = f":{self.tag}" if self.tag else ""
        return self.name + tag + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """What ``docker pull`` would take ``text`` for. Raises ReferenceInvalidError with what is wrong."""
    rest, at, digest = text.partition("@")
    if at:
        check_digest(digest, text)
    name, tag = _split_tag(rest)
    if tag is not None and not _TAG.fullmatch(tag):
        raise _invalid(text, f"{tag!r} is no tag")
    if re.fullmatch(r"[0-9a-f]{64}", name):
        raise _invalid(text, "64 hex digits are an image's id and no name")
    host, repository = split_host(name)
    if not _HOST.fullmatch(host):
        raise _invalid(text, f"{host!r} is no host")
    if not _REPOSITORY.fullmatch(repository):
        raise _invalid(text, _fault_of_repository(repository))
    if len(repository) > _NAME_LIMIT:
        raise _invalid(text, f"the name is longer than {_NAME_LIMIT} characters")
    return Reference(host=host, repository=repository, tag=tag, digest=digest or None)


def _fault_of_repository(repository: str) -> str:
    if repository != repository.lower():
        return f"repository {repository!r} has upper case letters"
    return f"{repository!r} is no repository" if repository else "no repository is named"


def _split_tag(rest: str) -> tuple[str, str | None]:
    """A colon behind the last slash is a tag's; before it, a port's."""
    head, colon, tag = rest.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (rest, None)


def split_host(name: str) -> tuple[str, str]:
    """Host and repository of a name without tag and digest, as Docker tells them apart: the first part is a host
    where it has a dot, a colon or an upper case letter, or is ``localhost``; else the host is Docker's own."""
    first, slash, rest = name.partition("/")
    is_host = bool(slash) and (any(c in first for c in ".:[") or first == "localhost" or first != first.lower())
    host, repository = (first, rest) if is_host else (DEFAULT_HOST, name)
    if host == _LEGACY_HOST:
        host = DEFAULT_HOST
    if host == DEFAULT_HOST and "/" not in repository and repository:
        repository = _OFFICIAL + repository
    return host, repository


def is_loopback(host: str) -> bool:
    """Whether ``host`` (with or without port) can only be this machine: such a registry is talked to over http."""
    name = re.sub(r":\d+$", "", host).strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def familiar(reference: Reference) -> str:
    """The short form that people write (``debian:12``)."""
    name = reference.name
    if reference.host == DEFAULT_HOST:
        # a first part that looks like a host must keep the real one in front
        short = reference.repository.removeprefix(_OFFICIAL)
        name = short if split_host(short) == (DEFAULT_HOST, reference.repository) else name
    return str(reference).replace(reference.name, name, 1)


def _invalid(text: str, fault: str) -> ReferenceInvalidError:
    return ReferenceInvalidError(
        f"{text!r} is no image reference: {fault}", hint="Write [HOST[:PORT]/]NAME[:TAG][@sha256:…]."
    )


def check_digest(digest: str, text: str | None = None) -> str:
    """``digest`` if it is one (``sha256:`` and 64 lower-case hex digits, or sha512). Raises ReferenceInvalidError."""
    if not _DIGEST.fullmatch(digest):
        raise _invalid(text or digest, f"{digest!r} is no digest")
    return digest


def digest_of(data: bytes) -> str:
    """``sha256:…`` of ``data``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_as(wanted: str, data: bytes) -> str:
    """The digest of ``data`` by the algorithm that ``wanted`` names; by sha256, which differs from it, where that is
    none of the specification's."""
    return "sha512:" + hashlib.sha512(data).hexdigest() if wanted.startswith("sha512:") else digest_of(data)


class Platform(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an image runs on, in Go's words."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_SUBDIRS = {
    "linux-64": "linux/amd64",
    "linux-32": "linux/386",
    "linux-aarch64": "linux/arm64",
    "linux-armv7l": "linux/arm/v7",
    "linux-armv6l": "linux/arm/v6",
    "linux-ppc64le": "linux/ppc64le",
    "linux-riscv64": "linux/riscv64",
    "linux-s390x": "linux/s390x",
}
_ARM_ORDER = ("v8", "v7", "v6", "v5")


def parse_platform(text: str) -> Platform:
    """``os/architecture[/variant]``, with other names of the same thing brought to one (containerd's ``platforms``).

    Raises ReferenceInvalidError.
    """
    parts = text.lower().split("/")
    if len(parts) not in (2, 3) or not all(re.fullmatch(r"[a-z0-9_.-]+", part) for part in parts):
        raise ReferenceInvalidError(f"{text!r} is no platform", hint="Write it like linux/amd64 or linux/arm64.")
    return _normal(Platform(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else ""))


def same_platform(one: str, other: str) -> bool:
    """Whether two platforms are the same, under whichever names; the processor's variant does not count."""
    first, second = parse_platform(one), parse_platform(other)
    return (first.os, first.architecture) == (second.os, second.architecture)


def _normal(platform: Platform) -> Platform:
    architecture, implied = _ARCHITECTURES.get(platform.architecture, (platform.architecture, ""))
    variant = platform.variant or implied
    if architecture == "arm64" and variant in ("8", "v8"):
        variant = ""
    if architecture == "amd64" and variant == "v1":
        variant = ""
    if architecture == "arm":
        variant = f"v{variant.removeprefix('v') or '7'}"
    return Platform(os=platform.os, architecture=architecture, variant=variant)


def image_platform(conda_platform: str) -> str:
    """The image platform of a conda subdir, with or without ``+cuda…``. Raises ReferenceInvalidError if there is none:
    containers are Linux."""
    subdir = conda_platform.partition("+")[0]
    if subdir not in _SUBDIRS:
        raise ReferenceInvalidError(
            f"No images are made for {conda_platform}", hint=f"Platforms of images: {', '.join(_SUBDIRS)}."
        )
    return _SUBDIRS[subdir]


def conda_platform(platform: str) -> str:
    """The conda subdir of an image platform (``linux/amd64`` → ``linux-64``). Raises ReferenceInvalidError."""
    wanted = str(parse_platform(platform))
    for subdir, name in _SUBDIRS.items():
        if name == wanted:
            return subdir
    raise ReferenceInvalidError(
        f"Conda has no packages for {platform}", hint=f"Platforms: {', '.join(_SUBDIRS.values())}."
    )


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Type, digest and size of something a registry holds."""

    media_type: str = msgspec.field(name="mediaType")
    digest: str
    size: int
    annotations: dict[str, str] = {}
    platform: Platform | None = None
    """In an index only."""
    artifact_type: str | None = msgspec.field(name="artifactType", default=None)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image (or other artifact): a config and layers, lowest first."""

    schema_version: int = msgspec.field(name="schemaVersion")
    media_type: str = msgspec.field(name="mediaType", default="")
    artifact_type: str | None = msgspec.field(name="artifactType", default=None)
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


class Index(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Manifests for several platforms."""

    schema_version: int = msgspec.field(name="schemaVersion")
    media_type: str = msgspec.field(name="mediaType", default="")
    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


def describe(data: bytes, media_type: str) -> Descriptor:
    """The descriptor of ``data``."""
    return Descriptor(media_type=media_type, digest=digest_of(data), size=len(data))


def parse_manifest(data: bytes, media_type: str = "") -> Manifest | Index:
    """A manifest or index of OCI's or Docker's type. ``media_type`` is what the server called it, if anything.

    Raises ManifestInvalidError, also where the document could be taken for both (CVE-2021-41190) or contradicts
    ``media_type``.
    """
    if len(data) > MANIFEST_LIMIT:
        raise ManifestInvalidError(f"the manifest is larger than {MANIFEST_LIMIT} bytes")
    said = media_type.partition(";")[0].strip().lower()
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        kind = _document_type(fields, said)
        document = _decode(data, kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestInvalidError(f"what should be a manifest is none: {error}") from error
    _check_descriptors(document)
    return msgspec.structs.replace(document, media_type=kind)


def _decode(data: bytes, kind: str) -> Manifest | Index:
    if kind in INDEX_TYPES:
        return msgspec.json.decode(data, type=Index)
    return msgspec.json.decode(data, type=Manifest)


def _document_type(fields: dict[str, msgspec.Raw], said: str) -> str:
    own = msgspec.json.decode(fields["mediaType"], type=str) if "mediaType" in fields else ""
    known = (*MANIFEST_TYPES, *INDEX_TYPES)
    if own and said in known and own != said:
        raise ManifestInvalidError(f"the manifest calls itself {own}, and the registry calls it {said}")
    if "manifests" in fields and ("layers" in fields or "config" in fields):
        raise ManifestInvalidError("the document is a manifest and an index at once")
    kind = own or (said if said in known else "") or (OCI_INDEX if "manifests" in fields else OCI_MANIFEST)
    if kind not in known or msgspec.json.decode(fields.get("schemaVersion", msgspec.Raw(b"0"))) != 2:
        raise ManifestInvalidError(f"manifests of type {kind} and schema version 2 alone are read; this is another")
    return kind


def _check_descriptors(document: Manifest | Index) -> None:
    inside = document.manifests if isinstance(document, Index) else (document.config, *document.layers)
    for each in inside:
        if not _DIGEST.fullmatch(each.digest) or each.size < 0:
            raise ManifestInvalidError(f"the manifest has a descriptor without digest or size: {each.digest[:80]!r}")


def choose_platform(index: Index, platform: str) -> Descriptor | None:
    """The entry of ``index`` for ``platform``: the same, else for ARM the next older variant that it still runs
    (containerd's order). Entries that are not for a platform (attestations) are never taken."""
    wanted = parse_platform(platform)
    for candidate in _compatible(wanted):
        for entry in index.manifests:
            if entry.platform is not None and _normal(entry.platform) == candidate:
                return entry
    return None


def _compatible(wanted: Platform) -> Iterable[Platform]:
    yield wanted
    if wanted.architecture == "arm" and wanted.variant in _ARM_ORDER:
        for older in _ARM_ORDER[_ARM_ORDER.index(wanted.variant) + 1 :]:
            yield msgspec.structs.replace(wanted, variant=older)
