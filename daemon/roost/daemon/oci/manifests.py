"""Manifests and indexes of registries, and the descriptors in them. Pure.

Sources: OCI image specification 1.1 (descriptor.md, manifest.md, image-index.md), OCI distribution specification 1.1,
Docker image manifest V2 schema 2. Docker's and OCI's types are read alike, since registries hold both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from roost.daemon.oci.platforms import Platform, compatible_platforms, normalize_platform, parse_platform
from roost.daemon.oci.references import digest_of, is_digest
from roost.model.errors import MALFORMED_JSON, ServiceUnreachableError

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
"""Bytes. The distribution specification requires registries to accept manifests of up to 4 MiB; clients need not read
more."""


class ManifestInvalidError(ServiceUnreachableError):
    """A document from a registry is not a manifest or index of a known type."""

    code = "manifest-invalid"
    retryable = False


class Descriptor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Type, digest and size (bytes) of a blob or manifest."""

    media_type: str = msgspec.field(name="mediaType")
    digest: str
    size: int
    annotations: dict[str, str] = {}
    platform: Platform | None = None
    """Set in an index only."""
    artifact_type: str | None = msgspec.field(name="artifactType", default=None)


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Manifest of an image or another artifact: a config and layers, lowest first."""

    schema_version: int = msgspec.field(name="schemaVersion")
    media_type: str = msgspec.field(name="mediaType", default="")
    artifact_type: str | None = msgspec.field(name="artifactType", default=None)
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


class ImageIndex(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Index of manifests for several platforms."""

    schema_version: int = msgspec.field(name="schemaVersion")
    media_type: str = msgspec.field(name="mediaType", default="")
    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


def describe(data: bytes, media_type: str) -> Descriptor:
    """Return the descriptor of ``data``."""
    return Descriptor(media_type=media_type, digest=digest_of(data), size=len(data))


def parse_manifest(data: bytes, media_type: str = "") -> Manifest | ImageIndex:
    """Parse a manifest or index of OCI's or Docker's type. ``media_type``: the server's Content-Type, if any.

    Raises: ManifestInvalidError if the document is invalid, could be read as both (CVE-2021-41190), or contradicts
    ``media_type``.
    """
    if len(data) > MANIFEST_LIMIT:
        raise ManifestInvalidError(f"the manifest is larger than {MANIFEST_LIMIT} bytes")
    served_type = media_type.partition(";")[0].strip().lower()
    document: Manifest | ImageIndex
    try:
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        kind = _document_type(fields, served_type)
        if kind in INDEX_TYPES:
            document = msgspec.json.decode(data, type=ImageIndex)
        else:
            document = msgspec.json.decode(data, type=Manifest)
    except MALFORMED_JSON as error:
        raise ManifestInvalidError(f"the manifest is not valid: {error}") from error
    descriptors = document.manifests if isinstance(document, ImageIndex) else (document.config, *document.layers)
    for each in descriptors:
        if not is_digest(each.digest) or each.size < 0:
            raise ManifestInvalidError(f"the manifest has a descriptor without digest or size: {each.digest[:80]!r}")
    return msgspec.structs.replace(document, media_type=kind)


def _document_type(fields: dict[str, msgspec.Raw], served_type: str) -> str:
    own = msgspec.json.decode(fields["mediaType"], type=str) if "mediaType" in fields else ""
    known = (*MANIFEST_TYPES, *INDEX_TYPES)
    if own and served_type in known and own != served_type:
        raise ManifestInvalidError(f"the manifest's type is {own}, but the registry reports {served_type}")
    if "manifests" in fields and ("layers" in fields or "config" in fields):
        raise ManifestInvalidError("the document is both a manifest and an index")
    kind = own or (served_type if served_type in known else "")
    kind = kind or (OCI_INDEX if "manifests" in fields else OCI_MANIFEST)
    if kind not in known or msgspec.json.decode(fields.get("schemaVersion", msgspec.Raw(b"0"))) != 2:
        raise ManifestInvalidError(f"only manifests of type {kind} and schema version 2 are supported; this is another")
    return kind


def choose_platform(index: ImageIndex, platform: str) -> Descriptor | None:
    """Return the entry of ``index`` for ``platform``, else for ARM that of the next older variant; ``None``: neither.

    Entries without a platform (attestations) are never chosen.
    """
    for candidate in compatible_platforms(parse_platform(platform)):
        for entry in index.manifests:
            if entry.platform is not None and normalize_platform(entry.platform) == candidate:
                return entry
    return None


def image_manifest(config: bytes, layers: Iterable[Descriptor], annotations: Mapping[str, str] | None = None) -> bytes:
    """Return the OCI manifest of an image. ``layers``: all of its layers, lowest first."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": each.media_type, "digest": each.digest, "size": each.size} for each in layers],
        **({"annotations": dict(annotations)} if annotations else {}),
    }
    return msgspec.json.encode(manifest, order="sorted")
