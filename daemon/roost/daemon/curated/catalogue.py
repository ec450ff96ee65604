"""A catalogue of curated environments as an OCI artifact: its types, and the artifact's bytes. Pure.

In the repository ``<registry>/catalogue`` the tag ``v1`` names a manifest whose only layer is the catalogue: JSON with
every version of every environment, sorted. It contains no time and no machine, so the same versions give the same
bytes. Each version carries its definition as a document in the shape of ``roost.toml``, the defaults that it was
digested with, and both digests, which every reader computes again.

A catalogue is accepted as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from roost.daemon.oci.manifests import EMPTY_JSON, OCI_EMPTY, OCI_MANIFEST, Descriptor, ImageIndex, Manifest, describe
from roost.daemon.oci.references import Reference, parse_reference
from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.definition import Defaults, Definition, Settings
from roost.model.errors import MALFORMED_JSON, CodedError
from roost.model.names import CURATED_PREFIX, NameInvalidError, check_name
from roost.model.records import EnvironmentBody, NewVersion
from roost.model.syntax.urls import strip_credentials
from roost.model.writers.document import to_document

FORMAT = 1
REPOSITORY = "catalogue"
TAG = "v1"
CATALOGUE_TYPE = "application/vnd.roost.catalogue.v1+json"
LIMIT = 16 * 1024 * 1024
"""Largest catalogue in bytes; one version takes about five hundred."""
LARGEST_VERSION = 999_999_999
_QUOTED_LENGTH = 80


class CatalogueInvalidError(CodedError):
    """The content of a registry's catalogue is not valid, or not allowed; nothing of it is registered.

    ``fields``: ``registry``, and ``at``, the place in the catalogue, if the fault has one.
    """

    code = "catalogue-invalid"
    http_status = 502


class CatalogueNewerError(CatalogueInvalidError):
    """The catalogue was written by a later version of roost, in a format that this one can't read."""

    code = "catalogue-format"


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of one environment."""

    name: str
    version: Annotated[int, Meta(ge=1, le=LARGEST_VERSION)]
    definition_digest: str
    settings_digest: str
    document: dict[str, Any]
    """Definition and settings in the shape of ``roost.toml``, without local files."""
    defaults: DefaultsEntry

    @property
    def content(self) -> tuple[str, str]:
        """Digests of definition and settings. Versions with equal content are the same."""
        return self.definition_digest, self.settings_digest


class DefaultsEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``Defaults`` with every field spelled out."""

    channels: tuple[str, ...]
    base_image: str
    index: str


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All curated environments that are published in one registry."""

    entries: tuple[CatalogueEntry, ...] = ()
    format: int = FORMAT

    def find_latest(self, name: str) -> CatalogueEntry | None:
        """Return the highest version of ``name``."""
        return max((entry for entry in self.entries if entry.name == name), key=lambda e: e.version, default=None)

    def contains(self, wanted: CatalogueEntry) -> bool:
        """Whether the catalogue has that version with that content."""
        return any(
            (entry.name, entry.version, entry.content) == (wanted.name, wanted.version, wanted.content)
            for entry in self.entries
        )


class CatalogueArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """A catalogue's manifest and blobs. The blobs are pushed before the manifest."""

    manifest: bytes
    blobs: tuple[tuple[Descriptor, bytes], ...]


class _FormatNumber(msgspec.Struct):
    """The only field that is read of a catalogue before its format is known."""

    format: int = 0


def catalogue_reference(location: str) -> Reference:
    """Return the reference of the catalogue in a registry (``registry.example.org/team``). Raises
    ReferenceInvalidError."""
    return parse_reference(f"{location}/{REPOSITORY}").with_tag(TAG)


def check_curated_name(name: str) -> str:
    """Return ``name``. Raises NameInvalidError if a curated environment can't have it."""
    check_name(name)
    if not name.startswith(CURATED_PREFIX) or name == CURATED_PREFIX:
        raise NameInvalidError(
            f"{name!r} can't be the name of a curated environment: those begin with {CURATED_PREFIX!r}",
            hint=f"Publish it as {CURATED_PREFIX}{name.removeprefix(CURATED_PREFIX) or 'Name'}.",
        )
    return name


def make_curated_version(
    name: str, number: int, definition: Definition, settings: Settings, defaults: Defaults, origin: str
) -> NewVersion:
    """Return the row that registers a curated version."""
    canonical, settings_canonical = canonicalise_definition(definition, defaults), canonicalise_settings(settings)
    return NewVersion(
        name=name,
        number=number,
        body=EnvironmentBody(definition=definition, settings=settings, defaults=defaults),
        definition_digest=digest_bytes(canonical),
        settings_digest=digest_bytes(settings_canonical),
        canonical=canonical,
        settings_canonical=settings_canonical,
        kind="curated",
        by_hand=False,
        origin=origin,
    )


def make_entry(name: str, version: int, body: EnvironmentBody) -> CatalogueEntry:
    """Return the entry that publishes ``body``, which the caller has made portable."""
    defaults = DefaultsEntry(
        channels=tuple(strip_credentials(channel)[0] for channel in body.defaults.channels),
        base_image=body.defaults.base_image,
        index=strip_credentials(body.defaults.index)[0],
    )
    return CatalogueEntry(
        name=name,
        version=version,
        definition_digest=digest_bytes(canonicalise_definition(body.definition, body.defaults)),
        settings_digest=digest_bytes(canonicalise_settings(body.settings)),
        document=msgspec.json.decode(msgspec.json.encode(to_document(body.definition, body.settings))),
        defaults=defaults,
    )


def add_entry(catalogue: Catalogue, make: Callable[[int], CatalogueEntry]) -> tuple[Catalogue, CatalogueEntry]:
    """Return ``catalogue`` with the next version of an environment, and the entry of that version.

    ``make`` returns the entry for a version number. If the latest version has the same content, ``catalogue`` itself
    and that version are returned.
    """
    draft = make(1)
    latest = catalogue.find_latest(draft.name)
    if latest is not None and latest.content == draft.content:
        return catalogue, latest
    entry = make(latest.version + 1) if latest is not None else draft
    return msgspec.structs.replace(catalogue, entries=(*catalogue.entries, entry)), entry


def encode_catalogue(catalogue: Catalogue) -> CatalogueArtifact:
    """Return the manifest and blobs to push."""
    ordered = tuple(sorted(catalogue.entries, key=lambda entry: (entry.name, entry.version)))
    data = msgspec.json.encode(msgspec.structs.replace(catalogue, entries=ordered), order="sorted")
    body, config = describe(data, CATALOGUE_TYPE), describe(EMPTY_JSON, OCI_EMPTY)
    manifest = Manifest(
        schema_version=2, media_type=OCI_MANIFEST, artifact_type=CATALOGUE_TYPE, config=config, layers=(body,)
    )
    return CatalogueArtifact(
        manifest=msgspec.json.encode(manifest, order="sorted"), blobs=((config, EMPTY_JSON), (body, data))
    )


def find_catalogue_descriptor(document: Manifest | ImageIndex, registry: str) -> Descriptor:
    """Return the descriptor of the catalogue in an artifact. Raises CatalogueInvalidError if the artifact is not a
    catalogue."""
    if not isinstance(document, Manifest) or document.artifact_type != CATALOGUE_TYPE:
        found = document.artifact_type if isinstance(document, Manifest) else document.media_type
        raise catalogue_invalid_error(
            registry, f"it is {quote_shortened(found or 'an image')}, and not {CATALOGUE_TYPE}"
        )
    layers = document.layers
    if len(layers) != 1 or layers[0].media_type != CATALOGUE_TYPE:
        held = ", ".join(layer.media_type for layer in layers) or "nothing"
        raise catalogue_invalid_error(
            registry, f"it contains {quote_shortened(held)} where one {CATALOGUE_TYPE} was expected"
        )
    if layers[0].size > LIMIT:
        raise catalogue_invalid_error(registry, f"it has {layers[0].size:,} bytes, and the limit is {LIMIT:,}")
    return layers[0]


def decode_catalogue(data: bytes, registry: str) -> Catalogue:
    """Decode a catalogue. ``validation.read_versions`` checks its entries.

    Raises: CatalogueNewerError for a later format; CatalogueInvalidError if the JSON does not have the shape of one.
    """
    try:
        number = msgspec.json.decode(data, type=_FormatNumber).format
        if number > FORMAT:
            raise CatalogueNewerError(
                f"The catalogue of {registry} has format {number}; this version of roost reads up to {FORMAT}",
                hint="Update roost.",
                fields={"registry": registry},
            )
        catalogue = msgspec.json.decode(data, type=Catalogue)
    except msgspec.ValidationError as error:
        fault, _, at = str(error).partition(" - at `$.")
        raise catalogue_invalid_error(registry, fault, at.rstrip("`")) from None
    except RecursionError:
        raise catalogue_invalid_error(registry, "it is nested too deeply") from None
    except MALFORMED_JSON as error:
        raise catalogue_invalid_error(registry, f"it can't be read as JSON: {error}") from None
    if catalogue.format != FORMAT:
        raise catalogue_invalid_error(registry, f"format {catalogue.format} is not valid", "format")
    return catalogue


def catalogue_invalid_error(registry: str, fault: str, at: str = "") -> CatalogueInvalidError:
    """Return the error for a fault in the catalogue of ``registry``, and its place there."""
    place = f", {at}" if at else ""
    return CatalogueInvalidError(
        f"The catalogue of {registry} is not valid{place}: {fault}",
        hint="Nothing was imported from it; ask its maintainer to check the catalogue.",
        fields={"registry": registry, **({"at": at} if at else {})},
    )


def quote_shortened(text: str) -> str:
    """Quote ``text`` for a message, cut to 80 characters: it comes from a registry."""
    return repr(text if len(text) <= _QUOTED_LENGTH else text[: _QUOTED_LENGTH - 1] + "…")
