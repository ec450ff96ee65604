"""Catalogues where they are: fetched, and added to.

There is no way to write a tag only where nobody else did since: so, look, write, look again. Who finds that another's
catalogue took the place of the one just written, without the version that was added, adds it to that one. What a
registry can't say is never taken for no, and a catalogue that can't be understood is never written over.
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
    catalogue_descriptor,
    catalogue_reference,
    decode,
    encode,
    invalid,
    with_entry,
)
from roost.daemon.engines.engine_set import Engines
from roost.daemon.oci.answers import Answer, No, Unknown, Yes
from roost.daemon.oci.manifests import OCI_MANIFEST, parse_manifest
from roost.model.errors import LookupFailedError, ServiceUnreachableError

if TYPE_CHECKING:
    from roost.daemon.engines.registry.values import FetchedManifest

Check = Callable[[Catalogue, str], Awaitable[object]]
_TRIES = 12
_SETTLE_SECONDS = (0.5, 3.0)
"""At least so long, at most so long, as for locks: a slower machine than this one may be just about to write."""
_WRONG = frozenset(("manifest-invalid", "digest-mismatch"))
"""What a registry's answer is called that came, and is no good: not a registry that could not be asked."""


class CatalogueUnknownError(ServiceUnreachableError):
    """Whether a registry has a catalogue could not be found out."""

    code = "registry-unknown"


class CatalogueBusyError(ServiceUnreachableError):
    """Others wrote the catalogue again and again."""

    code = "catalogue-busy"


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A catalogue, checked, and the digest of its manifest."""

    catalogue: Catalogue
    digest: str


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """``added`` is false where the catalogue had it as its latest version already."""

    entry: CatalogueEntry
    reference: str
    digest: str
    """Of the manifest."""
    added: bool


class CatalogueRegistry:
    """Reads and writes catalogues by the registry engine."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def fetch(self, location: str, *, mirrored: bool = True) -> Fetched | None:
        """The catalogue of a registry, whole and in its form; ``None`` where the registry says that it has none. Not
        ``mirrored``: as the registry itself has it, which is what a publication goes on from.

        Raises CatalogueInvalidError, CatalogueUnknownError, ServiceUnreachableError.
        """
        reference, registry = catalogue_reference(location), await self._engines.registry()
        answer = await registry.manifest(reference, mirrored=mirrored)
        if isinstance(answer, No):
            return None
        if isinstance(answer, Unknown):
            raise _unknown(location, answer)
        manifest = parse_manifest(answer.value.data, answer.value.media_type)
        descriptor = catalogue_descriptor(manifest, location)
        try:
            data = await registry.read_blob(reference, descriptor, LIMIT, mirrored=mirrored)
        except LookupFailedError:
            raise invalid(location, f"its content, {descriptor.digest}, is missing from the registry") from None
        except ServiceUnreachableError as error:
            raise (invalid(location, error.message) if error.code in _WRONG else error) from None
        if len(data) != descriptor.size:
            raise invalid(location, f"it has {len(data):,} bytes, and its manifest says {descriptor.size:,}")
        return Fetched(catalogue=await asyncio.to_thread(decode, data, location), digest=answer.value.digest)

    async def publish(self, location: str, make: Callable[[int], CatalogueEntry], check: Check) -> Published:
        """Add the next version of what ``make`` makes for a number, unless it is the latest already.

        Raises as ``fetch`` and ``check``, which is given what is there, RegistryError and its kind, CatalogueBusyError.
        """
        added = False
        for attempt in range(_TRIES):
            before = await self.fetch(location, mirrored=False)
            known = before.catalogue if before is not None else Catalogue()
            await check(known, location)
            catalogue, entry = with_entry(known, make)
            if catalogue is known and before is not None:
                reference = str(catalogue_reference(location))
                return Published(entry=entry, reference=reference, digest=before.digest, added=added)
            added = True
            if published := await self._write(location, before, catalogue, entry):
                return published
            await asyncio.sleep(random.uniform(0, 0.2 * (attempt + 1)))  # not to meet the same ones again
        raise CatalogueBusyError(
            f"Others wrote the catalogue of {location} {_TRIES} times meanwhile", hint="Try again later."
        )

    async def _write(
        self, location: str, before: Fetched | None, catalogue: Catalogue, entry: CatalogueEntry
    ) -> Published | None:
        """``None`` where somebody else wrote at the same time. Who looked before we wrote may still write after us:
        once several times as long has gone by as looking and writing took here, that has happened if it will."""
        reference, registry = catalogue_reference(location), await self._engines.registry()
        artifact = await asyncio.to_thread(_encoded, catalogue, location)
        for descriptor, data in artifact.blobs:
            await registry.push_blob(reference, data, descriptor)
        begun = time.monotonic()
        there = await registry.manifest(reference, mirrored=False)
        if _digest(location, there) != (before.digest if before else None):
            return None
        try:
            await registry.push_manifest(reference, artifact.manifest, OCI_MANIFEST)
        except ServiceUnreachableError as error:
            if error.code != "tag-moved":
                raise
        least, most = _SETTLE_SECONDS
        await asyncio.sleep(max(least, min(most, 4 * (time.monotonic() - begun))))
        now = await self.fetch(location, mirrored=False)
        if now is None or not now.catalogue.holds(entry):
            return None
        return Published(entry=entry, reference=str(reference), digest=now.digest, added=True)


def _encoded(catalogue: Catalogue, location: str) -> CatalogueArtifact:
    artifact = encode(catalogue)
    if artifact.blobs[-1][0].size > LIMIT:
        raise CatalogueInvalidError(
            f"The catalogue of {location} would have more than {LIMIT:,} bytes, which nobody reads",
            hint="Publish to another registry.",
        )
    return artifact


def _digest(location: str, answer: Answer[FetchedManifest]) -> str | None:
    if isinstance(answer, Unknown):
        raise _unknown(location, answer)
    return answer.value.digest if isinstance(answer, Yes) else None


def _unknown(location: str, answer: Unknown) -> Exception:
    if answer.reason.code in _WRONG:
        return invalid(location, answer.reason.message)
    return CatalogueUnknownError(
        f"Whether {location} has a catalogue is unknown: {answer.reason.message}",
        hint="Nothing was changed. `roost registry test` shows what can be done with a registry.",
        fields={"registry": location, "reason": answer.reason.code},
    )
