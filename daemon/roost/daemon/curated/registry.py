"""Fetches the catalogues of registries, and publishes versions to them.

Registries have no conditional write of a tag. So a publication looks, writes, and looks again: if it finds that another
catalogue replaced the one just written, without the version that was added, it adds the version to that one. An answer
of "unknown" is never treated as "no", and a catalogue that can't be understood is never overwritten.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from roost.daemon.curated.catalogue import (
    LIMIT,
    Catalogue,
    CatalogueArtifact,
    CatalogueEntry,
    CatalogueInvalidError,
    add_entry,
    catalogue_invalid_error,
    catalogue_reference,
    decode_catalogue,
    encode_catalogue,
    find_catalogue_descriptor,
)
from roost.daemon.engines.engine_set import Engines
from roost.daemon.oci.answers import Answer, No, Unknown, Yes
from roost.daemon.oci.manifests import OCI_MANIFEST, parse_manifest
from roost.model.errors import LookupFailedError, ServiceUnreachableError

if TYPE_CHECKING:
    from roost.daemon.engines.registry.values import FetchedManifest

CatalogueCheck = Callable[[Catalogue, str], Awaitable[object]]
"""Raises if the catalogue of a location is not valid."""
_ATTEMPTS = 12
_RACE_SECONDS = (0.5, 3.0)
"""Shortest and longest wait for a rival's write after our own, as for locks: a slower machine than this one may be
about to write."""
_INVALID_CODES = frozenset(("manifest-invalid", "digest-mismatch"))
"""Codes of answers that arrived and are invalid, as opposed to a registry that could not be asked."""


class CatalogueUnknownError(ServiceUnreachableError):
    """Whether a registry has a catalogue could not be determined."""

    code = "registry-unknown"


class CatalogueBusyError(ServiceUnreachableError):
    """Others replaced the catalogue during every attempt to publish."""

    code = "catalogue-busy"


class FetchedCatalogue(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded catalogue, and the digest of its manifest."""

    catalogue: Catalogue
    digest: str


class CataloguePublication(msgspec.Struct, frozen=True, kw_only=True):
    """Result of publishing a version."""

    entry: CatalogueEntry
    reference: str
    digest: str
    """Digest of the catalogue's manifest."""
    added: bool
    """Whether the catalogue changed; ``False`` if it already had the content as its latest version."""


class CatalogueRegistry:
    """Reads and writes catalogues through the registry engine."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def fetch(self, location: str, *, mirrored: bool = True) -> FetchedCatalogue | None:
        """Return the catalogue of a registry, decoded; ``None`` if the registry reports that it has none.

        ``mirrored``: whether mirrors may answer. A publication asks the registry itself, since it builds on the answer.

        Raises: CatalogueInvalidError; CatalogueUnknownError if the registry gave no usable answer;
        ServiceUnreachableError if the content can't be fetched.
        """
        reference, registry = catalogue_reference(location), await self._engines.registry()
        answer = await registry.manifest(reference, mirrored=mirrored)
        if isinstance(answer, No):
            return None
        if isinstance(answer, Unknown):
            raise _unknown_answer_error(location, answer)
        manifest = parse_manifest(answer.value.data, answer.value.media_type)
        descriptor = find_catalogue_descriptor(manifest, location)
        try:
            data = await registry.read_blob(reference, descriptor, LIMIT, mirrored=mirrored)
        except LookupFailedError:
            fault = f"its content, {descriptor.digest}, is missing from the registry"
            raise catalogue_invalid_error(location, fault) from None
        except ServiceUnreachableError as error:
            invalid = error.code in _INVALID_CODES
            raise (catalogue_invalid_error(location, error.message) if invalid else error) from None
        if len(data) != descriptor.size:
            raise catalogue_invalid_error(
                location, f"it has {len(data):,} bytes, but its manifest says {descriptor.size:,}"
            )
        return FetchedCatalogue(
            catalogue=await asyncio.to_thread(decode_catalogue, data, location), digest=answer.value.digest
        )

    async def publish(
        self, location: str, make: Callable[[int], CatalogueEntry], check: CatalogueCheck
    ) -> CataloguePublication:
        """Add the next version of an environment, unless its latest version has the same content.

        ``make`` returns the entry for a version number, and ``check`` validates the existing catalogue. Both are called
        for every attempt, since a rival's catalogue may have taken the number.

        Raises: what :meth:`fetch` and ``check`` raise; RegistryError and its subclasses; CatalogueBusyError.
        """
        added = False
        for attempt in range(_ATTEMPTS):
            before = await self.fetch(location, mirrored=False)
            existing = before.catalogue if before is not None else Catalogue()
            await check(existing, location)
            catalogue, entry = add_entry(existing, make)
            if catalogue is existing and before is not None:
                reference = str(catalogue_reference(location))
                return CataloguePublication(entry=entry, reference=reference, digest=before.digest, added=added)
            added = True
            if publication := await self._replace_catalogue(location, before, catalogue, entry):
                return publication
            await asyncio.sleep(random.uniform(0, 0.2 * (attempt + 1)))  # so that rivals don't meet again
        raise CatalogueBusyError(
            f"The catalogue of {location} was changed by others during each of {_ATTEMPTS} attempts",
            hint="Try again later.",
        )

    async def _replace_catalogue(
        self, location: str, before: FetchedCatalogue | None, catalogue: Catalogue, entry: CatalogueEntry
    ) -> CataloguePublication | None:
        """Write ``catalogue`` in place of ``before``; ``None`` if another writer was faster.

        A rival that looked before we wrote may still write after us, and so erase our version. Therefore we wait
        several times as long as looking and writing took here, and then look once more.
        """
        reference, registry = catalogue_reference(location), await self._engines.registry()
        artifact = await asyncio.to_thread(_encode_within_limit, catalogue, location)
        for descriptor, data in artifact.blobs:
            await registry.push_blob(reference, data, descriptor)
        started = time.monotonic()
        current = await registry.manifest(reference, mirrored=False)
        if _manifest_digest(location, current) != (before.digest if before else None):
            return None
        try:
            await registry.push_manifest(reference, artifact.manifest, OCI_MANIFEST)
        except ServiceUnreachableError as error:
            if error.code != "tag-moved":
                raise
        shortest, longest = _RACE_SECONDS
        await asyncio.sleep(max(shortest, min(longest, 4 * (time.monotonic() - started))))
        after = await self.fetch(location, mirrored=False)
        if after is None or not after.catalogue.contains(entry):
            return None
        return CataloguePublication(entry=entry, reference=str(reference), digest=after.digest, added=True)


def _encode_within_limit(catalogue: Catalogue, location: str) -> CatalogueArtifact:
    artifact = encode_catalogue(catalogue)
    if artifact.blobs[-1][0].size > LIMIT:
        raise CatalogueInvalidError(
            f"The catalogue of {location} would exceed the limit of {LIMIT:,} bytes",
            hint="Publish to another registry.",
        )
    return artifact


def _manifest_digest(location: str, answer: Answer[FetchedManifest]) -> str | None:
    if isinstance(answer, Unknown):
        raise _unknown_answer_error(location, answer)
    return answer.value.digest if isinstance(answer, Yes) else None


def _unknown_answer_error(location: str, answer: Unknown) -> Exception:
    if answer.reason.code in _INVALID_CODES:
        return catalogue_invalid_error(location, answer.reason.message)
    return CatalogueUnknownError(
        f"Cannot determine whether {location} has a catalogue: {answer.reason.message}",
        hint="Nothing was changed. `roost registry test` shows what can be done with a registry.",
        fields={"registry": location, "reason": answer.reason.code},
    )
