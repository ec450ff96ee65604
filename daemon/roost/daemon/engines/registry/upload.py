"""Upload of a blob: mounted from another repository if possible, else sent as a stream that resumes after a failure.

OCI distribution specification 1.1, "Pushing a blob in chunks" and "Mounting a blob from another repository". One PATCH
sends the complete blob, as docker and podman do: registries differ in their treatment of chunks.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import aiohttp
from yarl import URL

from roost.daemon.engines.registry.auth import RegistryAccess
from roost.daemon.engines.registry.errors import BlobDigestError, BlobMissingError, NotRegistryError, RegistryError
from roost.daemon.engines.registry.http import Body, Transport
from roost.daemon.engines.registry.translation import raise_for_status, raise_for_write_status
from roost.daemon.oci.references import Reference

_READ_BLOCK = 256 * 1024
_PROGRESS_BYTES = 16 * 1024 * 1024
"""Bytes of progress that reset the count of tries."""
_RESUME_REFUSALS = frozenset({400, 405, 411, 501})
"""Statuses with which registries refuse to resume an upload."""
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")


class BlobSource:
    """Content of a blob: bytes, or a file that is open during the ``async with`` block.

    It is read in blocks, so that memory does not grow with the blob, and without a file position, so that a body that
    is not read to its end has no effect on the next one.
    """

    def __init__(self, source: str | bytes, size: int) -> None:
        self._source = source
        self._file = -1
        self.size = size

    async def __aenter__(self) -> BlobSource:
        """Open the file. Raises: BlobDigestError if its size is wrong; the registry checks the digest."""
        found = await asyncio.to_thread(self._open) if isinstance(self._source, str) else len(self._source)
        if found != self.size:
            await self.__aexit__()
            raise BlobDigestError(f"A blob should have {self.size} bytes, but has {found}")
        return self

    def _open(self) -> int:
        self._file = os.open(self._source, os.O_RDONLY | os.O_CLOEXEC)
        return os.fstat(self._file).st_size

    async def __aexit__(self, *ignored: object) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    async def blocks(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """Yield ``length`` bytes from ``offset`` on."""
        if isinstance(self._source, bytes):
            yield self._source[offset : offset + length]
            return
        end = offset + length
        while offset < end and (block := await asyncio.to_thread(self._read, offset, min(_READ_BLOCK, end - offset))):
            offset += len(block)
            yield block

    def _read(self, offset: int, length: int) -> bytes:
        return os.pread(self._file, length, offset)


class Upload:
    """Upload of one blob to ``reference``'s repository."""

    def __init__(
        self, transport: Transport, access: RegistryAccess, reference: Reference, source: BlobSource, digest: str
    ) -> None:
        self._transport = transport
        self._access = access
        self._reference = reference
        self._source = source
        self._digest = digest
        self._doing = f"sending {digest[:19]}… to {reference.name}"
        self.sent = 0
        """Bytes that were sent, repeated ones included."""
        self._request_limit = source.size
        """Bytes that are sent in one request."""
        self._may_resume = True
        """Whether an upload is resumed after a failure."""
        self._resumed = False
        """Whether this upload was resumed."""

    async def run(self, mount_from: str | None) -> int:
        """Send the blob, or mount it from the repository ``mount_from``; return the bytes that were sent.

        Raises: BlobDigestError if the registry computes another digest; RegistryError and its subclasses.
        """
        location = await self._begin(mount_from)
        if location is None:
            return 0
        tries = 0
        while True:
            try:
                await self._finish(await self._send_content(location))
            except BlobMissingError as error:  # the registry lost the upload: begin a new one
                failure: RegistryError = NotRegistryError(error.message, hint="Try again.")
            except RegistryError as error:
                # A wrong digest of a resumed upload: the registry had fewer, or more, bytes than it reported.
                if not error.retryable and not (self._resumed and isinstance(error, BlobDigestError)):
                    raise
                self._may_resume, self._resumed = error.retryable and self._may_resume, False
                failure = error
            else:
                return self.sent
            tries += 1
            if tries > self._transport.config.retries:
                raise failure
            location = await self._begin(None) or location

    async def mount(self, mount_from: str) -> bool:
        """Mount the blob from the registry's repository ``mount_from``, and return whether that succeeded.

        If it did not, the upload that was begun is cancelled.
        """
        location = await self._begin(mount_from)
        if location is None:
            return True
        async with self._transport.open(self._access, "DELETE", location):
            return False  # the registry collects an upload that can't be cancelled

    async def _begin(self, mount_from: str | None) -> URL | None:
        """Begin an upload and return its URL; ``None`` if the registry mounted the blob from ``mount_from``."""
        url = self._transport.url(self._reference.host, f"/v2/{self._reference.repository}/blobs/uploads/")
        if mount_from is not None:
            url = url.with_query({"mount": self._digest, "from": mount_from})
        async with self._transport.open(self._access, "POST", url, headers={"Content-Length": "0"}) as response:
            if response.status == 201 and mount_from is not None:
                return None
            if response.status != 202:
                await raise_for_write_status(self._reference.host, self._reference.repository, response, self._doing)
            return await self._next_location(response)

    async def _next_location(self, response: aiohttp.ClientResponse) -> URL:
        """Return the URL for the next request, possibly on another host, which gets no credentials.

        Raises: NotRegistryError if the response has none.
        """
        location = response.headers.get("Location")
        if location is None:
            raise NotRegistryError(f"Registry {self._reference.host} did not return a location while {self._doing}")
        return await self._transport.resolve_location(self._reference.host, response.url, location)

    async def _send_content(self, location: URL) -> URL:
        """Send the complete blob and return the URL at which to finish.

        After a failure the upload is resumed only if the registry has more bytes than before the request; otherwise the
        failure is raised, and a new upload is needed.
        """
        offset = tries = 0
        while offset < self._source.size:
            length = min(self._request_limit, self._source.size - offset)
            try:
                location = await self._patch(location, offset, length)
                offset += length  # not by ``Range``: Amazon's stays at the end of the first part
            except RegistryError as error:
                if not error.retryable or not self._may_resume:
                    raise
                location, reached = await self._find_reached(location, error)
                tries = 0 if reached >= offset + _PROGRESS_BYTES else tries + 1
                if not offset < reached <= self._source.size or tries > self._transport.config.retries:
                    raise
                offset, self._resumed = reached, True
        return location

    async def _patch(self, location: URL, offset: int, length: int) -> URL:
        """Send ``length`` bytes from ``offset`` and return the URL for the next request.

        A complete blob is sent without ``Content-Range``, like docker does: Google's registry accepts nothing else.
        """
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        if length < self._source.size:
            headers["Content-Range"] = f"{offset}-{offset + length - 1}"
        body = self._counted_body(offset, length)
        async with self._transport.open(
            self._access, "PATCH", location, headers=headers, body=body, retries=0
        ) as response:
            if response.status == 413 and self._request_limit > self._transport.config.chunk:
                self._request_limit = self._transport.config.chunk
                raise RegistryError(f"Registry {self._reference.host} does not accept {length} bytes at once")
            if response.status == 416 or (offset and response.status in _RESUME_REFUSALS):
                raise RegistryError(
                    f"Registry {self._reference.host} does not resume an interrupted upload", hint="Try again."
                )
            if response.status not in (200, 201, 202, 204):
                raise_for_status(self._reference.host, response.status, self._doing)
            return await self._next_location(response)

    def _counted_body(self, offset: int, length: int) -> Body:
        async def blocks() -> AsyncIterator[bytes]:
            async for block in self._source.blocks(offset, length):
                self.sent += len(block)
                yield block

        return blocks

    async def _find_reached(self, location: URL, failure: RegistryError) -> tuple[URL, int]:
        """Return the URL for the next request and the offset that a broken upload reached.

        Raises: ``failure`` if the registry does not report the offset.
        """
        async with self._transport.open(self._access, "GET", location) as response:
            if response.status not in (200, 202, 204) or "Range" not in response.headers:
                raise failure
            # The offset after the last byte that the registry has: ``Range: 0-N``. ``0-0`` also means no bytes.
            match = _RANGE.fullmatch(response.headers["Range"])
            last = int(match[1]) if match is not None else 0
            return (await self._next_location(response)), last + 1 if last else 0

    async def _finish(self, location: URL) -> None:
        """Close the upload with the blob's digest. Raises: BlobDigestError if the registry computes another one."""
        query = "&".join(part for part in (location.raw_query_string, f"digest={quote(self._digest, safe='')}") if part)
        url = URL(f"{location.origin()}{location.raw_path}?{query}", encoded=True)
        async with self._transport.open(
            self._access, "PUT", url, headers={"Content-Length": "0"}, retries=0
        ) as response:
            if response.status in (400, 416):
                raise BlobDigestError(
                    f"Registry {self._reference.host} computed a different digest than {self._digest}: the uploaded "
                    "data "
                    "is damaged, or the registry is faulty",
                    hint="Try again; `roost build --rebuild` recreates a damaged file.",
                )
            if response.status not in (201, 204):
                raise_for_status(self._reference.host, response.status, self._doing)
