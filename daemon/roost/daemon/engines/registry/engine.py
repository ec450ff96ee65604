"""A client of OCI registries, which says yes, no and "I don't know", and never takes one for another.

``No`` is said only where the registry itself says so, in its own words (404 as the OCI distribution specification has
it). Everything else that is not ``Yes`` is ``Unknown`` with its reason. Reads go to the configured mirrors of a host in
its place, unless they are not to be ``mirrored``: what a mirror lacks, and what it still has, says nothing of what a
write would meet. Writes always go to the host itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import msgspec

from roost.daemon.engines.registry.auth import RegistryAccess, access_scope
from roost.daemon.engines.registry.download import Download
from roost.daemon.engines.registry.errors import (
    BlobDigestError,
    BlobMissingError,
    NotRegistryError,
    RegistryError,
    TagMovedError,
)
from roost.daemon.engines.registry.http import (
    RegistryConfig,
    Transport,
    raise_for_status,
    raise_for_write_status,
    read_error_codes,
)
from roost.daemon.engines.registry.upload import BlobSource, Upload
from roost.daemon.oci.answers import Answer, No, Unknown, Yes
from roost.daemon.oci.manifests import (
    INDEX_TYPES,
    MANIFEST_LIMIT,
    MANIFEST_TYPES,
    Descriptor,
    ImageIndex,
    ManifestInvalidError,
    choose_platform,
    parse_manifest,
)
from roost.daemon.oci.references import Reference, digest_like, digest_of
from roost.wire.plans import Reason

__all__ = ["FetchedManifest", "Registry", "RegistryAccess", "RegistryConfig", "RegistryError", "RegistryProbe"]

T = TypeVar("T")
_ACCEPT = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))
_BELIEVED = 3.0
"""Seconds for which a host that answered as a registry is one."""
_ABSENT = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})


class FetchedManifest(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest or index as it is in the registry, its digest checked."""

    digest: str
    media_type: str
    data: bytes


class RegistryProbe(msgspec.Struct, frozen=True, kw_only=True):
    """What may be done in a place of a registry."""

    read: Answer[None]
    write: Answer[None]


class Registry:
    """All registries, under one config. Make it in the event loop, and ``close`` it at the end."""

    def __init__(self, config: RegistryConfig) -> None:
        self._transport = Transport(config)
        self._known: dict[str, float] = {}
        """When a host last answered as a registry does."""
        self._asking: dict[str, asyncio.Lock] = {}

    def configure(self, config: RegistryConfig) -> None:
        """Go by ``config`` from the next call on."""
        self._transport.config = config

    async def close(self) -> None:
        await self._transport.close()

    # ------------------------------------------------------------------ reading
    async def manifest(
        self, ref: Reference, *, platform: str | None = None, mirrored: bool = True
    ) -> Answer[FetchedManifest]:
        """The manifest of ``ref``. With ``platform`` an index is led to its manifest for that platform; ``No`` with a
        reason where it has none. (A manifest without an index does not say its platform: its config does.)"""
        return await self._first(self._places(ref, mirrored), lambda place: self._manifest(place, platform))

    async def has_blob(self, ref: Reference, digest: str, *, mirrored: bool = True) -> Answer[int]:
        """Whether the repository of ``ref`` has the blob, and its size in bytes."""
        return await self._first(self._places(ref, mirrored), lambda place: self._has_blob(place, digest, "pull"))

    async def fetch_blob(self, ref: Reference, descriptor: Descriptor, path: str, *, mirrored: bool = True) -> None:
        """Put the blob at ``path``, its size and digest checked; ``path`` + ``.partial`` is gone on with.

        Raises BlobMissingError, BlobDigestError, RegistryError and its kind.
        """
        places = self._places(ref, mirrored)
        for number, place in enumerate(places):
            try:
                await self._fetch(place, descriptor, path)
            except (BlobMissingError, RegistryError):
                if number + 1 == len(places):
                    raise
            else:
                return

    async def read_blob(self, ref: Reference, descriptor: Descriptor, limit: int, *, mirrored: bool = True) -> bytes:
        """A small blob (at most ``limit`` bytes) into memory. Raises as ``fetch_blob``."""
        if descriptor.size > limit:
            raise BlobDigestError(f"{descriptor.digest} has {descriptor.size} bytes; {limit} at most were expected")
        places = self._places(ref, mirrored)
        for number, place in enumerate(places):
            try:
                return await self._read(place, descriptor)
            except (BlobMissingError, RegistryError):
                if number + 1 == len(places):
                    raise
        raise AssertionError("a reference has a place")

    # ------------------------------------------------------------------ writing
    async def push_blob(
        self, ref: Reference, source: str | bytes, descriptor: Descriptor, *, mount_from: str | None = None
    ) -> int:
        """Make sure that the repository has the blob; the bytes that were really sent. ``source``: a path or bytes;
        ``mount_from``: another repository of the same registry that may have it.

        Raises RegistryError and its kind, also where the registry can't say whether it has it.
        """
        there = await self._has_blob(ref, descriptor.digest, "push")
        if isinstance(there, Yes):
            return 0
        if isinstance(there, Unknown):
            raise RegistryError(there.reason.message, hint="Nothing was sent.", fields={"reason": there.reason.code})
        access = _access(ref, "push", mount_from)
        async with BlobSource(source, descriptor.size) as blob:
            return await Upload(self._transport, access, ref, blob, descriptor.digest).run(mount_from)

    async def mount_blob(self, ref: Reference, digest: str, mount_from: str) -> bool:
        """Whether the repository of ``ref`` has the blob now, without a byte of it sent: it had it, or took it from the
        repository ``mount_from`` of the same registry. Raises RegistryError and its kind."""
        there = await self._has_blob(ref, digest, "push")
        if isinstance(there, Unknown):
            raise RegistryError(there.reason.message, fields={"reason": there.reason.code})
        if isinstance(there, Yes):
            return True
        access = _access(ref, "push", mount_from)
        return await Upload(self._transport, access, ref, BlobSource(b"", 0), digest).mount(mount_from)

    async def push_manifest(self, ref: Reference, data: bytes, media_type: str) -> str:
        """Write the manifest under ``ref``'s tag (or digest) and read it back; its digest.

        Raises TagMovedError where somebody else's is there afterwards, RegistryError and its kind.
        """
        digest, access = digest_of(data), _access(ref, "push")
        url = self._transport.url(ref.host, f"/v2/{ref.repository}/manifests/{ref.tag_or_digest}")
        headers = {"Content-Type": media_type}
        async with self._transport.open(access, "PUT", url, headers=headers, body=lambda: data) as response:
            if response.status not in (201, 202, 204):
                await raise_for_write_status(ref.host, ref.repository, response, f"writing {ref}")
        back = await self._manifest(ref, None)
        if isinstance(back, Yes) and back.value.data == data:
            return digest
        if isinstance(back, Yes):
            raise TagMovedError(
                f"{ref} names {back.value.digest} right after {digest} was written",
                hint="Somebody writes the same tag.",
                fields={"found": back.value.digest},
            )
        raise RegistryError(f"{ref} was written and can't be read back", hint="See `roost registry test`.")

    async def probe(self, ref: Reference) -> RegistryProbe:
        """What may be done in the repository of ``ref``: reading is tried, and beginning (not ending) an upload."""
        return RegistryProbe(
            read=await self._answer(lambda: self._may_read(ref)), write=await self._answer(lambda: self._may_write(ref))
        )

    # ------------------------------------------------------------------ one place
    def _places(self, ref: Reference, mirrored: bool) -> list[Reference]:
        """Where to read: the mirrors of the host in its place, where it is not the host that is meant."""
        mirrors = self._transport.config.mirrors.get(ref.host, ()) if mirrored else ()
        return [_at_mirror(ref, mirror) for mirror in mirrors] or [ref]

    async def _first(self, places: list[Reference], ask: Callable[[Reference], Awaitable[Answer[T]]]) -> Answer[T]:
        """The first yes; else what is not known of any; no only where all say so."""
        answers: list[No | Unknown] = []
        for place in places:
            answer = await ask(place)
            if isinstance(answer, Yes):
                return answer
            answers.append(answer)
        return next((answer for answer in answers if isinstance(answer, Unknown)), answers[-1])

    async def _answer(self, ask: Callable[[], Awaitable[Answer[T]]]) -> Answer[T]:
        try:
            return await ask()
        except (RegistryError, ManifestInvalidError, BlobMissingError) as error:
            return Unknown(Reason(code=error.code, message=error.message))

    async def _manifest(self, ref: Reference, platform: str | None) -> Answer[FetchedManifest]:
        return await self._answer(lambda: self._get_manifest(ref, platform))

    async def _get_manifest(self, ref: Reference, platform: str | None) -> Answer[FetchedManifest]:
        access = _access(ref, "pull")
        url = self._transport.url(ref.host, f"/v2/{ref.repository}/manifests/{ref.tag_or_digest}")
        async with self._transport.open(access, "GET", url, headers={"Accept": _ACCEPT}) as response:
            if response.status == 404:
                return await self._absent(access, response)
            if response.status != 200:
                raise_for_status(ref.host, response.status, f"asking for {ref}")
            fetched = await _read_manifest(ref, response)
        try:
            document = parse_manifest(fetched.data, fetched.media_type)
        except ManifestInvalidError as error:
            raise ManifestInvalidError(f"{ref}: {error.message}") from error
        self._known[ref.host] = time.monotonic()
        fetched = msgspec.structs.replace(fetched, media_type=document.media_type)
        if platform is None or not isinstance(document, ImageIndex):
            return Yes(fetched)
        chosen = choose_platform(document, platform)
        if chosen is None:
            there = ", ".join(sorted({str(entry.platform) for entry in document.manifests if entry.platform}))
            return No(Reason(code="platform-missing", message=f"{ref} is there for {there}, and not for {platform}"))
        return await self._get_manifest(ref.with_digest(chosen.digest), None)

    async def _has_blob(self, ref: Reference, digest: str, action: str) -> Answer[int]:
        async def ask() -> Answer[int]:
            access = _access(ref, action)
            url = self._transport.url(ref.host, f"/v2/{ref.repository}/blobs/{digest}")
            async with self._transport.open(access, "HEAD", url) as response:
                if response.status == 404:
                    return await self._absent(access, response)
                if response.status != 200:
                    raise_for_status(ref.host, response.status, f"asking for {digest[:19]}…")
                return Yes(int(response.headers.get("Content-Length", 0)))

        return await self._answer(ask)

    async def _absent(self, access: RegistryAccess, response: aiohttp.ClientResponse) -> No:
        """404 means no only from a registry: anything else may stand at that address and know nothing, also where one
        stood before. Raises what ``_confirm`` raises."""
        if _ABSENT.isdisjoint(await read_error_codes(response) or ()):
            await self._confirm(access.host)
        else:
            self._known[access.host] = time.monotonic()
        return No()

    async def _confirm(self, host: str) -> None:
        """That a registry answers there now; asked at most every few seconds, once for all who want to know.

        Raises NotRegistryError, RegistryError and its kind."""
        async with self._asking.setdefault(host, asyncio.Lock()):
            if time.monotonic() - self._known.get(host, -_BELIEVED) >= _BELIEVED:
                await self._check_registry(host)

    async def _check_registry(self, host: str) -> None:
        """``GET /v2/`` tells a registry from other servers (200, or 401 with a challenge)."""
        # without scopes and credentials: what counts is that it answers as a registry
        async with self._transport.open(_Unasked(host), "GET", self._transport.url(host, "/v2/")) as response:
            if response.status == 200 or (response.status == 401 and "WWW-Authenticate" in response.headers):
                self._known[host] = time.monotonic()
                return
            if response.status == 429 or response.status >= 500:
                raise_for_status(host, response.status, "asking whether it is there")
            raise NotRegistryError(
                f"{host} answers, but not as a registry does (HTTP {response.status} for /v2/)",
                hint="Check the registry's name and port.",
            )

    async def _fetch(self, ref: Reference, descriptor: Descriptor, path: str) -> None:
        url = self._transport.url(ref.host, f"/v2/{ref.repository}/blobs/{descriptor.digest}")
        try:
            await Download(self._transport, _access(ref, "pull"), url, descriptor, path).run()
        except BlobMissingError:
            await self._confirm(ref.host)
            raise

    async def _read(self, ref: Reference, descriptor: Descriptor) -> bytes:
        url = self._transport.url(ref.host, f"/v2/{ref.repository}/blobs/{descriptor.digest}")
        async with self._transport.open(_access(ref, "pull"), "GET", url) as response:
            if response.status == 404:
                await self._absent(_access(ref, "pull"), response)
            if response.status != 200:
                raise_for_status(ref.host, response.status, f"fetching {descriptor.digest[:19]}…")
            data = await _read_all(ref.host, response, descriptor.size)
        found = digest_like(descriptor.digest, data)
        if found != descriptor.digest:
            raise BlobDigestError(
                f"Registry {ref.host} sent {found} for {descriptor.digest}",
                hint="The registry or something on the way is wrong; nothing of it was kept.",
            )
        return data

    async def _may_read(self, ref: Reference) -> Answer[None]:
        await self._check_registry(ref.host)
        url = self._transport.url(ref.host, f"/v2/{ref.repository}/tags/list?n=1")
        async with self._transport.open(_access(ref, "pull"), "GET", url) as response:
            if response.status in (200, 404):  # an empty repository is as good as a full one
                return Yes(None)
            if response.status == 403:
                return No(Reason(code="registry-denied", message=f"{ref.host} does not let us read {ref.repository}"))
            raise_for_status(ref.host, response.status, f"reading {ref.name}")
        raise AssertionError("raise_status raises")

    async def _may_write(self, ref: Reference) -> Answer[None]:
        access = _access(ref, "push")
        url = self._transport.url(ref.host, f"/v2/{ref.repository}/blobs/uploads/")
        async with self._transport.open(access, "POST", url, headers={"Content-Length": "0"}) as response:
            if response.status == 202:
                place = self._transport.next_place(ref.host, response.url, response.headers.get("Location", ""))
            elif response.status in (403, 405):
                return No(Reason(code="registry-denied", message=f"{ref.host} does not let us write {ref.repository}"))
            else:
                await raise_for_write_status(ref.host, ref.repository, response, f"writing to {ref.name}")
        async with self._transport.open(access, "DELETE", place):
            return Yes(None)  # one that can't be given back is collected by the registry


class _Unasked(RegistryAccess):
    """Answers no challenge."""

    def __init__(self, host: str) -> None:
        super().__init__(host, ())
        self.tried = 1 << 20


def _access(ref: Reference, action: str, mount_from: str | None = None) -> RegistryAccess:
    own = access_scope(ref.repository, "pull", "push") if action == "push" else access_scope(ref.repository, "pull")
    other = (access_scope(mount_from, "pull"),) if mount_from is not None and mount_from != ref.repository else ()
    return RegistryAccess(ref.host, (own, *other))


def _at_mirror(ref: Reference, mirror: str) -> Reference:
    host, _, prefix = mirror.partition("/")
    repository = f"{prefix.strip('/')}/{ref.repository}" if prefix.strip("/") else ref.repository
    return msgspec.structs.replace(ref, host=host, repository=repository)


async def _read_manifest(ref: Reference, response: aiohttp.ClientResponse) -> FetchedManifest:
    """Raises BlobDigestError where the registry lies about what it sends, ManifestInvalidError where it is too much."""
    data = await _read_all(ref.host, response, MANIFEST_LIMIT)
    said = response.headers.get("Docker-Content-Digest") or digest_of(data)
    wanted = ref.digest or said
    if (found := digest_like(wanted, data)) != wanted and ref.digest:
        raise BlobDigestError(f"Registry {ref.host} sent {found} for {ref}")
    if (found := digest_like(said, data)) != said:
        raise BlobDigestError(f"Registry {ref.host} says that {ref} is {said}, and sent {found}")
    return FetchedManifest(digest=wanted, media_type=response.headers.get("Content-Type", ""), data=data)


async def _read_all(host: str, response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body, bounded."""
    data = bytearray()
    async for piece in response.content.iter_chunked(64 * 1024):
        data += piece
        if len(data) > limit:
            raise ManifestInvalidError(f"Registry {host} sends more than the {limit} bytes that were expected")
    return bytes(data)
