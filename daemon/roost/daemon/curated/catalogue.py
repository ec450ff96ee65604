"""A catalogue of curated environments as an OCI artifact: its types, its bytes, and what it must hold. Pure.

In the repository ``<registry>/catalogue`` the tag ``v1`` names a manifest whose one layer is the catalogue: JSON with
every version of every environment, sorted. There is no time and no machine in it, so the same versions give the same
bytes. Each version carries its definition as a document in the shape of ``roost.toml``, the defaults that it was
digested with, and both digests, which whoever reads it makes anew.

Nothing of a catalogue is taken unless all of it is right.
"""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Callable, Iterable
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta

from roost.daemon.curated.portability import fault_of
from roost.daemon.oci.manifests import EMPTY_JSON, OCI_EMPTY, OCI_MANIFEST, Descriptor, ImageIndex, Manifest, describe
from roost.daemon.oci.references import Reference
from roost.daemon.oci.references import parse_reference as parse_image_reference
from roost.model.canonical.form import canonicalise_definition, canonicalise_settings, digest_bytes
from roost.model.definition import Defaults, Definition, Settings
from roost.model.errors import CodedError
from roost.model.names import CURATED_PREFIX, NameInvalidError, check_name
from roost.model.readers.read import read_document
from roost.model.records import EnvironmentBody, NewVersion
from roost.model.syntax.urls import strip_credentials
from roost.model.writers.document import to_document

FORMAT = 1
REPOSITORY = "catalogue"
TAG = "v1"
CATALOGUE_TYPE = "application/vnd.roost.catalogue.v1+json"
LIMIT = 16 * 1024 * 1024
"""Bytes of the whole; a version has about five hundred."""
LARGEST_VERSION = 999_999_999
_SHOWN = 80
HINT = "Nothing of it was taken; have whoever keeps the catalogue look at it."


class CatalogueInvalidError(CodedError):
    """What a registry has as its catalogue is none, or holds something that none may hold; nothing of it is taken.

    ``fields``: ``registry``, and ``at``, the place in the catalogue, where one is to blame.
    """

    code = "catalogue-invalid"
    http_status = 502


class CatalogueNewerError(CatalogueInvalidError):
    """A catalogue of a later version of roost."""

    code = "catalogue-format"


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of one environment."""

    name: str
    version: Annotated[int, Meta(ge=1, le=LARGEST_VERSION)]
    definition_digest: str
    settings_digest: str
    document: dict[str, Any]
    """In the shape of ``roost.toml``, without local files."""
    defaults: DefaultsEntry

    @property
    def content(self) -> tuple[str, str]:
        """Two versions with the same content are the same."""
        return self.definition_digest, self.settings_digest


class DefaultsEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``Defaults``, all of them said."""

    channels: tuple[str, ...]
    base_image: str
    index: str


class Catalogue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is published in one registry."""

    entries: tuple[CatalogueEntry, ...] = ()
    format: int = FORMAT

    def latest(self, name: str) -> CatalogueEntry | None:
        """The highest version of ``name``."""
        return max((entry for entry in self.entries if entry.name == name), key=lambda e: e.version, default=None)

    def holds(self, wanted: CatalogueEntry) -> bool:
        """Whether that version is in it, with that content."""
        return any(
            (entry.name, entry.version, entry.content) == (wanted.name, wanted.version, wanted.content)
            for entry in self.entries
        )


class CatalogueArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """What is pushed: the blobs first, then the manifest."""

    manifest: bytes
    blobs: tuple[tuple[Descriptor, bytes], ...]


class NoFiles:
    """For definitions that come from elsewhere: they see nothing of this machine's disk. Implements ``Files``."""

    def read(self, path: str) -> bytes:
        self._refuse(path)

    def file_digest(self, path: str) -> str:
        self._refuse(path)

    def tree_digest(self, path: str) -> str:
        self._refuse(path)

    def context_digest(self, path: str) -> str:
        self._refuse(path)

    def exists(self, path: str) -> bool:
        return False

    def is_folder(self, path: str) -> bool:
        return False

    def resolve(self, path: str) -> str:
        return posixpath.normpath(path)

    def _refuse(self, path: str) -> NoReturn:
        raise PermissionError(errno.EPERM, "a curated environment can't name files of one machine", path)


def catalogue_reference(location: str) -> Reference:
    """Where the catalogue of a registry (``registry.example.org/team``) is. Raises ReferenceInvalidError."""
    return parse_image_reference(f"{location}/{REPOSITORY}").with_tag(TAG)


def check_curated_name(name: str) -> str:
    """``name``, if it may be a curated environment's. Raises NameInvalidError."""
    check_name(name)
    if not name.startswith(CURATED_PREFIX) or name == CURATED_PREFIX:
        raise NameInvalidError(
            f"{name!r} can't be the name of a curated environment: those begin with {CURATED_PREFIX!r}",
            hint=f"Publish it as {CURATED_PREFIX}{name.removeprefix(CURATED_PREFIX) or 'Name'}.",
        )
    return name


def curated_version(
    name: str, number: int, definition: Definition, settings: Settings, defaults: Defaults, origin: str
) -> NewVersion:
    """What the index needs to register a curated version."""
    form, run = canonicalise_definition(definition, defaults), canonicalise_settings(settings)
    return NewVersion(
        name=name,
        number=number,
        body=EnvironmentBody(definition=definition, settings=settings, defaults=defaults),
        definition_digest=digest_bytes(form),
        settings_digest=digest_bytes(run),
        canonical=form,
        settings_canonical=run,
        kind="curated",
        by_hand=False,
        origin=origin,
    )


# ---------------------------------------------------------------------------------------------------------- writing
def entry_of(name: str, version: int, body: EnvironmentBody) -> CatalogueEntry:
    """One version to publish. The caller has made it portable."""
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


def with_entry(catalogue: Catalogue, make: Callable[[int], CatalogueEntry]) -> tuple[Catalogue, CatalogueEntry]:
    """``catalogue`` with the next version of what ``make`` makes for a number; the same catalogue where its latest
    version is that already."""
    draft = make(1)
    latest = catalogue.latest(draft.name)
    if latest is not None and latest.content == draft.content:
        return catalogue, latest
    entry = make(latest.version + 1) if latest is not None else draft
    return msgspec.structs.replace(catalogue, entries=(*catalogue.entries, entry)), entry


def encode(catalogue: Catalogue) -> CatalogueArtifact:
    """The bytes to push."""
    ordered = tuple(sorted(catalogue.entries, key=lambda entry: (entry.name, entry.version)))
    data = msgspec.json.encode(msgspec.structs.replace(catalogue, entries=ordered), order="sorted")
    body, config = describe(data, CATALOGUE_TYPE), describe(EMPTY_JSON, OCI_EMPTY)
    manifest = Manifest(
        schema_version=2, media_type=OCI_MANIFEST, artifact_type=CATALOGUE_TYPE, config=config, layers=(body,)
    )
    return CatalogueArtifact(
        manifest=msgspec.json.encode(manifest, order="sorted"), blobs=((config, EMPTY_JSON), (body, data))
    )


# ---------------------------------------------------------------------------------------------------------- reading
def catalogue_descriptor(document: Manifest | ImageIndex, registry: str) -> Descriptor:
    """Where in an artifact the catalogue is. Raises CatalogueInvalidError for one that is none of ours."""
    if not isinstance(document, Manifest) or document.artifact_type != CATALOGUE_TYPE:
        found = document.artifact_type if isinstance(document, Manifest) else document.media_type
        raise invalid(registry, f"it is {_shown(found or 'an image')}, and not {CATALOGUE_TYPE}")
    layers = document.layers
    if len(layers) != 1 or layers[0].media_type != CATALOGUE_TYPE:
        held = ", ".join(layer.media_type for layer in layers) or "nothing"
        raise invalid(registry, f"it holds {_shown(held)} where one {CATALOGUE_TYPE} was expected")
    if layers[0].size > LIMIT:
        raise invalid(registry, f"it has {layers[0].size:,} bytes, and {LIMIT:,} are the most that is read")
    return layers[0]


def decode(data: bytes, registry: str) -> Catalogue:
    """The catalogue, in its form only: ``versions_of`` looks into it. Raises CatalogueInvalidError, its kind."""
    try:
        number = msgspec.json.decode(data, type=_Format).format
        if number > FORMAT:
            raise CatalogueNewerError(
                f"The catalogue of {registry} has format {number}; this version of roost reads up to {FORMAT}",
                hint="Update roost.",
                fields={"registry": registry},
            )
        catalogue = msgspec.json.decode(data, type=Catalogue)
    except msgspec.ValidationError as error:
        what, _, at = str(error).partition(" - at `$.")
        raise invalid(registry, what, at.rstrip("`")) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(registry, f"it can't be read as JSON: {error}") from None
    except RecursionError:
        raise invalid(registry, "it is nested too deeply") from None
    if catalogue.format != FORMAT:
        raise invalid(registry, f"format {catalogue.format} is none", "format")
    return catalogue


def versions_of(catalogue: Catalogue, registry: str) -> list[NewVersion]:
    """Every version, checked. Raises CatalogueInvalidError with the first that is wrong, and where."""
    _check_numbers(catalogue.entries, registry)
    return [_version(entry, registry, f"entries[{number}]") for number, entry in enumerate(catalogue.entries)]


def _check_numbers(entries: Iterable[CatalogueEntry], registry: str) -> None:
    seen: dict[tuple[str, int], int] = {}
    spelt: dict[str, str] = {}
    for number, entry in enumerate(entries):
        at = f"entries[{number}]"
        try:
            check_curated_name(entry.name)
        except NameInvalidError as error:
            raise invalid(registry, error.message, f"{at}.name") from None
        first = seen.setdefault((entry.name, entry.version), number)
        if first != number:
            raise invalid(registry, f"{entry.name}:{entry.version} is entries[{first}] already", at)
        if spelt.setdefault(entry.name.lower(), entry.name) != entry.name:
            raise invalid(registry, f"{entry.name} is there as {spelt[entry.name.lower()]} too", f"{at}.name")


def _version(entry: CatalogueEntry, registry: str, at: str) -> NewVersion:
    called = f"{entry.name}:{entry.version}"
    try:
        parsed = read_document(entry.document, NoFiles(), f"/{entry.name}.toml")
        fault = "it names a file of one machine" if parsed.inputs else None
        fault = fault or ("it holds credentials" if parsed.credentials else None)
        fault = fault or fault_of(parsed.definition, parsed.settings)
    except CodedError as error:
        raise invalid(registry, f"{called}: {error.message}", f"{at}.document") from None
    except RecursionError:
        raise invalid(registry, f"{called} is nested too deeply", f"{at}.document") from None
    if fault is not None:
        raise invalid(registry, f"{called} can't be used elsewhere: {fault}", f"{at}.document")
    new = curated_version(
        entry.name, entry.version, parsed.definition, parsed.settings, _defaults(entry, registry, at), registry
    )
    for name, said in (("definition_digest", entry.definition_digest), ("settings_digest", entry.settings_digest)):
        if getattr(new, name) != said:
            raise invalid(registry, f"{called} says {_shown(said)} and comes to {getattr(new, name)}", f"{at}.{name}")
    return new


def _defaults(entry: CatalogueEntry, registry: str, at: str) -> Defaults:
    said = entry.defaults
    given = Definition()
    given = msgspec.structs.replace(given, conda=msgspec.structs.replace(given.conda, channels=said.channels))
    fault = fault_of(given, Settings())
    if fault is None and strip_credentials(said.index)[0] != said.index:
        fault = "the index holds credentials"
    if fault is not None:
        raise invalid(registry, f"{entry.name}:{entry.version} can't be used elsewhere: {fault}", f"{at}.defaults")
    return Defaults(channels=said.channels, base_image=said.base_image, index=said.index)


def invalid(registry: str, fault: str, at: str = "") -> CatalogueInvalidError:
    """What is wrong with the catalogue of ``registry``, and where in it."""
    place = f", {at}" if at else ""
    return CatalogueInvalidError(
        f"The catalogue of {registry} is no good{place}: {fault}",
        hint=HINT,
        fields={"registry": registry, **({"at": at} if at else {})},
    )


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


class _Format(msgspec.Struct):
    format: int = 0
