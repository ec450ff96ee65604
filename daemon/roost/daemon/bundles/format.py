"""The file of a bundle: an OCI image layout in a tar archive, of which every byte is determined by its manifest. Pure.

The members, in this order: ``oci-layout``; ``index.json``, which names the manifest; the manifest; all other blobs, by
digest. All have mode 0644, owner 0 and time 0, so that the same content has the same bytes. A reader therefore knows
each header before it reads it, and parses none: what differs by one bit is refused, and names, links, types and sizes
of an archive made by others have no effect.

The manifest is an OCI artifact (image specification 1.1). Its config is the contents (``contents``), its layers are the
files, and its digest is the digest of the bundle.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable

import msgspec

from roost.daemon.bundles.errors import BundleInvalidError, BundleNewerError, BundleTooLargeError
from roost.daemon.oci.manifests import (
    MANIFEST_LIMIT,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    ImageIndex,
    Manifest,
    describe,
    parse_manifest,
)
from roost.model.errors import MALFORMED_JSON, CodedError

FORMAT = 1
"""The number of what this version writes; greater ones are refused."""
BUNDLE_TYPE = "application/vnd.roost.bundle+json"
CONTENTS_TYPE = "application/vnd.roost.bundle.contents+json"
CONDA_TYPE = "application/vnd.roost.conda-package"
WHEEL_TYPE = "application/vnd.roost.wheel.v1+zip"
TITLE = "org.opencontainers.image.title"
FORMAT_KEY = "org.roost.bundle.format"

LAYOUT_NAME, INDEX_NAME, BLOBS = "oci-layout", "index.json", "blobs/sha256/"
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
BLOCK = 512
"""Bytes of a header, and what the content of a member is padded to."""
END = bytes(2 * BLOCK)
INDEX_LIMIT = 4096
CONTENTS_LIMIT = 64 << 20
"""Bytes; a lock of a thousand packages has about two million."""


class BundleIndex(msgspec.Struct, frozen=True, kw_only=True):
    """All that is in a bundle, by its manifest."""

    digest: str
    """Of the manifest: the digest of the bundle."""
    manifest: bytes
    contents: Descriptor
    files: tuple[Descriptor, ...]
    """By digest."""

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The blobs after the manifest, in the order of the file."""
        return tuple(sorted((self.contents, *self.files), key=lambda blob: blob.digest))

    @property
    def content_size(self) -> int:
        """Bytes of all blobs after the manifest."""
        return sum(blob.size for blob in self.blobs)

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        head = sum(member_size(len(data)) for data in (LAYOUT, encode_index(self), self.manifest))
        return head + sum(member_size(blob.size) for blob in self.blobs) + len(END)


def create_index(contents: bytes, files: Iterable[Descriptor]) -> BundleIndex:
    """Return what is in a bundle of ``contents`` and ``files``, which may be in any order and occur twice.

    Raises BundleTooLargeError.
    """
    unique = {each.digest: each for each in sorted(files, key=lambda each: (each.digest, each.annotations.get(TITLE)))}
    config = describe(contents, CONTENTS_TYPE)
    layers = tuple(unique[digest] for digest in sorted(unique))
    manifest = Manifest(
        schema_version=2,
        media_type=OCI_MANIFEST,
        artifact_type=BUNDLE_TYPE,
        config=config,
        layers=layers,
        annotations={FORMAT_KEY: str(FORMAT)},
    )
    data = msgspec.json.encode(manifest, order="sorted")
    if len(data) > MANIFEST_LIMIT or len(contents) > CONTENTS_LIMIT:
        raise BundleTooLargeError(
            f"{len(layers):,} files and {len(contents):,} bytes of locks are too much for one bundle",
            hint="Export fewer environments at a time.",
        )
    return BundleIndex(digest=describe(data, OCI_MANIFEST).digest, manifest=data, contents=config, files=layers)


def encode_index(index: BundleIndex) -> bytes:
    """Return the content of ``index.json``."""
    return _encode_manifest_descriptor(describe(index.manifest, OCI_MANIFEST))


def _encode_manifest_descriptor(descriptor: Descriptor) -> bytes:
    entry = msgspec.structs.replace(descriptor, artifact_type=BUNDLE_TYPE)
    document = ImageIndex(schema_version=2, media_type=OCI_INDEX, manifests=(entry,))
    return msgspec.json.encode(document, order="sorted")


def decode_index(data: bytes) -> Descriptor:
    """Return the descriptor of the manifest in ``index.json``. Raises BundleInvalidError."""
    try:
        document = parse_manifest(data)
    except (CodedError, *MALFORMED_JSON):
        raise damaged(INDEX_NAME) from None
    if not isinstance(document, ImageIndex) or len(document.manifests) != 1:
        raise damaged(INDEX_NAME)
    found = document.manifests[0]
    entry = Descriptor(media_type=OCI_MANIFEST, digest=found.digest, size=found.size)
    if data != _encode_manifest_descriptor(entry) or not 0 < entry.size <= MANIFEST_LIMIT:
        raise damaged(INDEX_NAME)
    return entry


def decode_manifest(data: bytes, digest: str) -> BundleIndex:
    """Return what is in a bundle by its manifest, whose digest was compared already.

    Raises BundleNewerError if this version does not know the format, BundleInvalidError.
    """
    name = blob_name(digest)
    try:
        manifest = parse_manifest(data, OCI_MANIFEST)
    except (CodedError, *MALFORMED_JSON) as error:
        raise damaged(name, str(error)) from None
    if not isinstance(manifest, Manifest) or manifest.artifact_type != BUNDLE_TYPE:
        raise BundleInvalidError("This is an OCI layout, but not of a bundle", hint="Export one on the other machine.")
    number = manifest.annotations.get(FORMAT_KEY, "")
    if number != str(FORMAT):
        raise BundleNewerError(
            f"The bundle has format {number[:20] or 'unknown'}; this version of roost reads {FORMAT}",
            hint="Update roost on this machine, or export with the version that is here.",
        )
    digests = [blob.digest for blob in (manifest.config, *manifest.layers)]
    if len(set(digests)) != len(digests) or digests[1:] != sorted(digests[1:]) or digest in digests:
        raise damaged(name, "its blobs are not in order")
    if manifest.config.size > CONTENTS_LIMIT:
        raise damaged(name, "its contents are too large")
    return BundleIndex(digest=digest, manifest=data, contents=manifest.config, files=manifest.layers)


def describe_file(sha256: str, size: int, media_type: str, title: str) -> Descriptor:
    """Return the descriptor of a file. ``sha256``: 64 hex digits."""
    return Descriptor(media_type=media_type, digest=f"sha256:{sha256}", size=size, annotations={TITLE: title})


def blob_name(digest: str) -> str:
    """Return the member's name of a blob."""
    return BLOBS + digest.removeprefix("sha256:")


def describe_blob(blob: Descriptor) -> str:
    """Return a blob for a message: its file's name, if it has one, and its member."""
    title = blob.annotations.get(TITLE, "")
    return f"{title[:120]} ({blob_name(blob.digest)})" if title else blob_name(blob.digest)


def member_header(name: str, size: int) -> bytes:
    """Return the header of a member: 512 bytes of GNU's tar format."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    """Return what follows a member's content of ``size`` bytes."""
    return bytes(-size % BLOCK)


def member_size(size: int) -> int:
    """Return the bytes of a member with its header and its padding."""
    return BLOCK + size + -size % BLOCK


def damaged(name: str, reason: str = "") -> BundleInvalidError:
    """Return the error for a member that is not as it was written."""
    return BundleInvalidError(
        f"The bundle was altered or damaged: {name} is not as it was written{f': {reason}' if reason else ''}",
        hint="Nothing of it was used. Copy the bundle again, and compare its digest with the one that the export "
        "printed (--expect).",
        fields={"member": name},
    )
