"""Client of OCI registries, whose answers are yes, no, or unknown.

``No`` is returned only if the registry itself reports it (404 as the OCI distribution specification defines it). Every
other answer that is not ``Yes`` is ``Unknown`` with its reason. Reads use the configured mirrors of a host in its
place, unless they are not to be ``mirrored``: what a mirror lacks, or still has, does not predict the outcome of a
write. Writes always go to the host itself.
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
from roost.daemon.engines.registry.http import Transport
from roost.daemon.engines.registry.translation import raise_for_status, raise_for_write_status, read_error_codes
from roost.daemon.engines.registry.upload import BlobSource, Upload
from roost.daemon.engines.registry.values import FetchedManifest, RegistryConfig, RegistryProbe
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

T = TypeVar("T")
_ACCEPT = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))
_TRUST_SECONDS = 3.0
"""Seconds for which a host that answered as a registry is assumed to be one."""
_ABSENT_CODES = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})


class RegistryClient:
    """Client of all registries, under one config. Construct it in the event loop, and close it at the end."""

    def __init__(self, config: RegistryConfig) -> None:
        self._transport = Transport(config)
        self._confirmed: dict[str, float] = {}
        """Host to the (monotonic) time at which it last answered as a registry."""
        self._confirm_locks: dict[str, asyncio.Lock] = {}

    def configure(self, config: RegistryConfig) -> None:
        """Use ``config`` from the next call on."""
        self._transport.config = config

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()

    # ------------------------------------------------------------------ reading
    async def manifest(
        self, ref: Reference, *, platform: str | None = None, mirrored: bool = True
    ) -> Answer[FetchedManifest]:
        """Return the manifest of ``ref``.

        With ``platform``, an index is resolved to its manifest for that platform; ``No`` with a reason if it has none.
        (A manifest that is not in an index does not name its platform: its config does.)
        """
        return await self._ask_each(
            self._read_references(ref, mirrored), lambda each: self._ask_manifest(each, platform)
        )

    async def has_blob(self, ref: Reference, digest: str, *, mirrored: bool = True) -> Answer[int]:
        """Return whether the repository of ``ref`` has the blob, and its size in bytes."""
        return await self._ask_each(
            self._read_references(ref, mirrored), lambda each: self._ask_blob(each, digest, "pull")
        )

    async def fetch_blob(self, ref: Reference, descriptor: Descriptor, path: str, *, mirrored: bool = True) -> None:
        """Download the blob to ``path`` and verify it; resume from ``path`` + ``.partial`` if that exists.

        Raises: BlobMissingError if the registry does not have it; BlobDigestError if its digest or size is wrong;
        RegistryError and its subclasses.
        """

        async def fetch(reference: Reference) -> None:
            url = self._transport.url(reference.host, f"/v2/{reference.repository}/blobs/{descriptor.digest}")
            try:
                await Download(self._transport, _new_access(reference, "pull"), url, descriptor, path).run()
            except BlobMissingError:
                await self._confirm_registry(reference.host)
                raise

        await _try_each(self._read_references(ref, mirrored), fetch)

    async def read_blob(self, ref: Reference, descriptor: Descriptor, limit: int, *, mirrored: bool = True) -> bytes:
        """Return a small blob (at most ``limit`` bytes). Raises: as ``fetch_blob``."""
        if descriptor.size > limit:
            raise BlobDigestError(f"{descriptor.digest} has {descriptor.size} bytes; at most {limit} were expected")
        return await _try_each(
            self._read_references(ref, mirrored), lambda each: self._read_small_blob(each, descriptor)
        )

    # ------------------------------------------------------------------ writing
    async def push_blob(
        self, ref: Reference, source: str | bytes, descriptor: Descriptor, *, mount_from: str | None = None
    ) -> int:
        """Push the blob unless the repository has it; return the bytes that were sent.

        ``source``: a path or bytes. ``mount_from``: another repository of the same registry that may have the blob.

        Raises: RegistryError and its subclasses, also if the registry can't report whether it has the blob.
        """
        answer = await self._ask_blob(ref, descriptor.digest, "push")
        if isinstance(answer, Yes):
            return 0
        if isinstance(answer, Unknown):
            raise RegistryError(answer.reason.message, hint="Nothing was sent.", fields={"reason": answer.reason.code})
        access = _new_access(ref, "push", mount_from)
        async with BlobSource(source, descriptor.size) as blob:
            return await Upload(self._transport, access, ref, blob, descriptor.digest).run(mount_from)

    async def mount_blob(self, ref: Reference, digest: str, mount_from: str) -> bool:
        """Return whether the repository of ``ref`` has the blob now, without sending any of it.

        It had it before, or mounted it from ``mount_from``, a repository of the same registry.

        Raises: RegistryError and its subclasses.
        """
        answer = await self._ask_blob(ref, digest, "push")
        if isinstance(answer, Unknown):
            raise RegistryError(answer.reason.message, fields={"reason": answer.reason.code})
        if isinstance(answer, Yes):
            return True
        access = _new_access(ref, "push", mount_from)
        return await Upload(self._transport, access, ref, BlobSource(b"", 0), digest).mount(mount_from)

    async def push_manifest(self, ref: Reference, data: bytes, media_type: str) -> str:
        """Push the manifest under ``ref``'s tag (or digest), read it back, and return its digest.

        Raises: TagMovedError if another manifest is read back; RegistryError and its subclasses.
        """
        digest, access = digest_of(data), _new_access(ref, "push")
        url = self._transport.url(ref.host, f"/v2/{ref.repository}/manifests/{ref.tag_or_digest}")
        headers = {"Content-Type": media_type}
        async with self._transport.open(access, "PUT", url, headers=headers, body=lambda: data) as response:
            if response.status not in (201, 202, 204):
                await raise_for_write_status(ref.host, ref.repository, response, f"writing {ref}")
        back = await self._ask_manifest(ref, None)
        if isinstance(back, Yes) and back.value.data == data:
            return digest
        if isinstance(back, Yes):
            raise TagMovedError(
                f"{ref} names {back.value.digest} right after {digest} was written",
                hint="Another process writes the same tag.",
                fields={"found": back.value.digest},
            )
        raise RegistryError(f"{ref} was written but can't be read back", hint="See `roost registry test`.")

    async def probe(self, ref: Reference) -> RegistryProbe:
        """Return whether the repository of ``ref`` may be read and written; an upload is begun and cancelled."""
        return RegistryProbe(
            read=await _answer_of(lambda: self._probe_read(ref)), write=await _answer_of(lambda: self._probe_write(ref))
        )

    # ------------------------------------------------------------------ one repository
    def _read_references(self, ref: Reference, mirrored: bool) -> list[Reference]:
        """Return the references to read from: on the mirrors of the host, else on the host itself."""
        mirrors = self._transport.config.mirrors.get(ref.host, ()) if mirrored else ()
        return [_at_mirror(ref, mirror) for mirror in mirrors] or [ref]

    async def _ask_each(
        self, references: list[Reference], ask: Callable[[Reference], Awaitable[Answer[T]]]
    ) -> Answer[T]:
        """Return the first ``Yes``, else an ``Unknown``, else ``No``, which thus means that all say no."""
        answers: list[No | Unknown] = []
        for reference in references:
            answer = await ask(reference)
            if isinstance(answer, Yes):
                return answer
            answers.append(answer)
        return next((answer for answer in answers if isinstance(answer, Unknown)), answers[-1])

    async def _ask_manifest(self, ref: Reference, platform: str | None) -> Answer[FetchedManifest]:
        return await _answer_of(lambda: self._get_manifest(ref, platform))

    async def _get_manifest(self, ref: Reference, platform: str | None) -> Answer[FetchedManifest]:
        access = _new_access(ref, "pull")
        url = self._transport.url(ref.host, f"/v2/{ref.repository}/manifests/{ref.tag_or_digest}")
        async with self._transport.open(access, "GET", url, headers={"Accept": _ACCEPT}) as response:
            if response.status == 404:
                return await self._confirm_absent(access, response)
            if response.status != 200:
                raise_for_status(ref.host, response.status, f"asking for {ref}")
            fetched = await _read_manifest(ref, response)
        try:
            document = parse_manifest(fetched.data, fetched.media_type)
        except ManifestInvalidError as error:
            raise ManifestInvalidError(f"{ref}: {error.message}") from error
        self._confirmed[ref.host] = time.monotonic()
        fetched = msgspec.structs.replace(fetched, media_type=document.media_type)
        if platform is None or not isinstance(document, ImageIndex):
            return Yes(fetched)
        chosen = choose_platform(document, platform)
        if chosen is None:
            there = ", ".join(sorted({str(entry.platform) for entry in document.manifests if entry.platform}))
            return No(Reason(code="platform-missing", message=f"{ref} exists for {there}, but not for {platform}"))
        return await self._get_manifest(ref.with_digest(chosen.digest), None)

    async def _ask_blob(self, ref: Reference, digest: str, action: str) -> Answer[int]:
        async def head() -> Answer[int]:
            access = _new_access(ref, action)
            url = self._transport.url(ref.host, f"/v2/{ref.repository}/blobs/{digest}")
            async with self._transport.open(access, "HEAD", url) as response:
                if response.status == 404:
                    return await self._confirm_absent(access, response)
                if response.status != 200:
                    raise_for_status(ref.host, response.status, f"asking for {digest[:19]}…")
                return Yes(int(response.headers.get("Content-Length", 0)))

        return await _answer_of(head)

    async def _confirm_absent(self, access: RegistryAccess, response: aiohttp.ClientResponse) -> No:
        """Return ``No`` for a 404, if it is a registry's.

        Another server may be at that address, which knows nothing of images, even if a registry was there before.

        Raises: as ``_confirm_registry``.
        """
        if _ABSENT_CODES.isdisjoint(await read_error_codes(response) or ()):
            await self._confirm_registry(access.host)
        else:
            self._confirmed[access.host] = time.monotonic()
        return No()

    async def _confirm_registry(self, host: str) -> None:
        """Check that ``host`` answers as a registry, at most every few seconds and once for concurrent callers.

        Raises: NotRegistryError if it does not; RegistryError and its other subclasses.
        """
        async with self._confirm_locks.setdefault(host, asyncio.Lock()):
            if time.monotonic() - self._confirmed.get(host, -_TRUST_SECONDS) >= _TRUST_SECONDS:
                await self._check_registry(host)

    async def _check_registry(self, host: str) -> None:
        """Tell a registry from other servers by ``GET /v2/``: 200, or 401 with a challenge."""
        # Without scopes and credentials: all that matters is that it answers as a registry does.
        async with self._transport.open(_AnonymousAccess(host), "GET", self._transport.url(host, "/v2/")) as response:
            if response.status == 200 or (response.status == 401 and "WWW-Authenticate" in response.headers):
                self._confirmed[host] = time.monotonic()
                return
            if response.status == 429 or response.status >= 500:
                raise_for_status(host, response.status, "checking whether it exists")
            raise NotRegistryError(
                f"{host} answers, but not as a registry does (HTTP {response.status} for /v2/)",
                hint="Check the registry's name and port.",
            )

    async def _read_small_blob(self, ref: Reference, descriptor: Descriptor) -> bytes:
        url = self._transport.url(ref.host, f"/v2/{ref.repository}/blobs/{descriptor.digest}")
        async with self._transport.open(_new_access(ref, "pull"), "GET", url) as response:
            if response.status == 404:
                await self._confirm_absent(_new_access(ref, "pull"), response)
            if response.status != 200:
                raise_for_status(ref.host, response.status, f"fetching {descriptor.digest[:19]}…")
            data = await _read_body(ref.host, response, descriptor.size)
        found = digest_like(descriptor.digest, data)
        if found != descriptor.digest:
            raise BlobDigestError(
                f"Registry {ref.host} sent {found} for {descriptor.digest}",
                hint="The registry or a proxy in between is faulty; nothing was stored.",
            )
        return data

    async def _probe_read(self, ref: Reference) -> Answer[None]:
        await self._check_registry(ref.host)
        url = self._transport.url(ref.host, f"/v2/{ref.repository}/tags/list?n=1")
        async with self._transport.open(_new_access(ref, "pull"), "GET", url) as response:
            if response.status in (200, 404):  # an empty repository may be read too
                return Yes(None)
            if response.status == 403:
                return No(Reason(code="registry-denied", message=f"{ref.host} denies read access to {ref.repository}"))
            raise_for_status(ref.host, response.status, f"reading {ref.name}")
        raise AssertionError("raise_for_status raises")

    async def _probe_write(self, ref: Reference) -> Answer[None]:
        access = _new_access(ref, "push")
        url = self._transport.url(ref.host, f"/v2/{ref.repository}/blobs/uploads/")
        async with self._transport.open(access, "POST", url, headers={"Content-Length": "0"}) as response:
            if response.status == 202:
                location = response.headers.get("Location", "")
                upload = await self._transport.resolve_location(ref.host, response.url, location)
            elif response.status in (403, 405):
                return No(Reason(code="registry-denied", message=f"{ref.host} denies write access to {ref.repository}"))
            else:
                await raise_for_write_status(ref.host, ref.repository, response, f"writing to {ref.name}")
        async with self._transport.open(access, "DELETE", upload):
            return Yes(None)  # the registry collects an upload that can't be cancelled


class _AnonymousAccess(RegistryAccess):
    """Access that answers no challenge."""

    def __init__(self, host: str) -> None:
        super().__init__(host, ())
        self.tried = 1 << 20


async def _answer_of(ask: Callable[[], Awaitable[Answer[T]]]) -> Answer[T]:
    """Return the answer of ``ask``, or ``Unknown`` with the error that it raises."""
    try:
        return await ask()
    except (RegistryError, ManifestInvalidError, BlobMissingError) as error:
        return Unknown(Reason(code=error.code, message=error.message))


async def _try_each(references: list[Reference], read: Callable[[Reference], Awaitable[T]]) -> T:
    """Return the first result of ``read``. Raises: the error for the last of ``references`` if all fail."""
    for reference in references[:-1]:
        try:
            return await read(reference)
        except (BlobMissingError, RegistryError):
            continue
    return await read(references[-1])


def _new_access(ref: Reference, action: str, mount_from: str | None = None) -> RegistryAccess:
    """Return the access for ``pull`` or ``push``, with reading of the repository ``mount_from``."""
    own = access_scope(ref.repository, "pull", "push") if action == "push" else access_scope(ref.repository, "pull")
    other = (access_scope(mount_from, "pull"),) if mount_from is not None and mount_from != ref.repository else ()
    return RegistryAccess(ref.host, (own, *other))


def _at_mirror(ref: Reference, mirror: str) -> Reference:
    host, _, prefix = mirror.partition("/")
    repository = f"{prefix.strip('/')}/{ref.repository}" if prefix.strip("/") else ref.repository
    return msgspec.structs.replace(ref, host=host, repository=repository)


async def _read_manifest(ref: Reference, response: aiohttp.ClientResponse) -> FetchedManifest:
    """Return the manifest in ``response``.

    Raises: BlobDigestError if it does not have the requested digest or the one that the registry reports;
    ManifestInvalidError if it is too large.
    """
    data = await _read_body(ref.host, response, MANIFEST_LIMIT)
    reported = response.headers.get("Docker-Content-Digest") or digest_of(data)
    expected = ref.digest or reported
    if (found := digest_like(expected, data)) != expected and ref.digest:
        raise BlobDigestError(f"Registry {ref.host} sent {found} for {ref}")
    if (found := digest_like(reported, data)) != reported:
        raise BlobDigestError(f"Registry {ref.host} reports {reported} for {ref}, but sent {found}")
    return FetchedManifest(digest=expected, media_type=response.headers.get("Content-Type", ""), data=data)


async def _read_body(host: str, response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the complete body. Raises: ManifestInvalidError if it has more than ``limit`` bytes."""
    data = bytearray()
    async for piece in response.content.iter_chunked(64 * 1024):
        data += piece
        if len(data) > limit:
            raise ManifestInvalidError(f"Registry {host} sent more than the {limit} bytes that were expected")
    return bytes(data)
