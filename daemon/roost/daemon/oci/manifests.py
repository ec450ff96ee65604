"""Names and documents of OCI registries: references, descriptors, manifests, indexes, platforms. Pure.

Sources: OCI image specification 1.1 (descriptor.md, manifest.md, image-index.md), OCI distribution specification 1.1,
Docker's reference grammar (distribution/reference) and its rule for what is a host (``splitDockerDomain``), Docker
image manifest V2 schema 2. Docker's and OCI's types are read alike, since registries hold both.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from roost.daemon.oci.platforms import _ARM_ORDER, Platform, _normal, parse_platform
from roost.daemon.oci.references import _DIGEST, digest_of
from roost.model.errors import ServiceUnreachableError

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


class ManifestInvalidError(ServiceUnreachableError):
    """A document from a registry that is no manifest or index of a type that is known."""

    code = "manifest-invalid"
    retryable = False


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


class ImageIndex(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Manifests for several platforms."""

    schema_version: int = msgspec.field(name="schemaVersion")
    media_type: str = msgspec.field(name="mediaType", default="")
    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


def describe(data: bytes, media_type: str) -> Descriptor:
    """The descriptor of ``data``."""
    return Descriptor(media_type=media_type, digest=digest_of(data), size=len(data))


def parse_manifest(data: bytes, media_type: str = "") -> Manifest | ImageIndex:
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


def _decode(data: bytes, kind: str) -> Manifest | ImageIndex:
    if kind in INDEX_TYPES:
        return msgspec.json.decode(data, type=ImageIndex)
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


def _check_descriptors(document: Manifest | ImageIndex) -> None:
    inside = document.manifests if isinstance(document, ImageIndex) else (document.config, *document.layers)
    for each in inside:
        if not _DIGEST.fullmatch(each.digest) or each.size < 0:
            raise ManifestInvalidError(f"the manifest has a descriptor without digest or size: {each.digest[:80]!r}")


def choose_platform(index: ImageIndex, platform: str) -> Descriptor | None:
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
