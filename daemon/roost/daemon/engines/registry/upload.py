"""Sending a blob: asked for first, mounted where it can be, else in one stream that is gone on with where it broke off.

OCI distribution specification 1.1, "Pushing a blob in chunks" and "Mounting a blob from another repository". One PATCH
takes all of it, as docker and podman send it: chunks are what registries do differently.
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
from roost.daemon.engines.registry.http import Body, Transport, raise_for_status, raise_for_write_status
from roost.daemon.oci.references import Reference

_BLOCK = 256 * 1024
_MUCH = 16 * 1024 * 1024
"""Bytes that a try must have brought to count as none."""
_NO_PARTS = frozenset({400, 405, 411, 501})
"""Statuses with which registries refuse to go on."""
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")


class BlobSource:
    """What is sent: bytes, or a file, which is open while the context is. Read in blocks, so that memory does not grow
    with the blob, and without a position, so that a body that nobody reads to its end leaves nothing behind."""

    def __init__(self, source: str | bytes, size: int) -> None:
        self._source = source
        self._file = -1
        self.size = size

    async def __aenter__(self) -> BlobSource:
        """Raises BlobDigestError where there are more or fewer bytes; the registry checks the digest."""
        found = await asyncio.to_thread(self._open) if isinstance(self._source, str) else len(self._source)
        if found != self.size:
            await self.__aexit__()
            raise BlobDigestError(f"A blob should have {self.size} bytes, and there are {found}")
        return self

    def _open(self) -> int:
        self._file = os.open(self._source, os.O_RDONLY | os.O_CLOEXEC)
        return os.fstat(self._file).st_size

    async def __aexit__(self, *ignored: object) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    async def blocks(self, offset: int, length: int) -> AsyncIterator[bytes]:
        """``length`` bytes from ``offset``."""
        if isinstance(self._source, bytes):
            yield self._source[offset : offset + length]
            return
        end = offset + length
        while offset < end and (block := await asyncio.to_thread(self._read, offset, min(_BLOCK, end - offset))):
            offset += len(block)
            yield block

    def _read(self, offset: int, length: int) -> bytes:
        return os.pread(self._file, length, offset)


class Upload:
    """One blob on its way to ``reference``'s repository."""

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
        """Bytes that really went over."""
        self._most = source.size
        """Bytes that are sent at once."""
        self._resumes = True
        """Whether what broke off is gone on with."""
        self._resumed = False

    async def run(self, mount_from: str | None) -> int:
        """Send it. Raises RegistryError and its kind; BlobDigestError where the registry counts another digest."""
        location = await self._begin(mount_from)
        if location is None:
            return 0
        tries = 0
        while True:
            try:
                await self._finish(await self._send(location))
            except BlobMissingError as error:  # the registry lost the upload: a new one, from the beginning
                failure: RegistryError = NotRegistryError(error.message, hint="Try again.")
            except RegistryError as error:
                # one that was gone on with and does not add up: the registry had less, or more, than it said
                if not error.retryable and not (self._resumed and isinstance(error, BlobDigestError)):
                    raise
                self._resumes, self._resumed = error.retryable and self._resumes, False
                failure = error
            else:
                return self.sent
            tries += 1
            if tries > self._transport.config.retries:
                raise failure
            location = await self._begin(None) or location

    async def mount(self, mount_from: str) -> bool:
        """Whether the registry takes it from another of its repositories; where not, the upload is given back."""
        location = await self._begin(mount_from)
        if location is None:
            return True
        async with self._transport.open(self._access, "DELETE", location):
            return False  # one that can't be given back is collected by the registry

    async def _begin(self, mount_from: str | None) -> URL | None:
        """Where to send to; ``None`` where the registry took it from another of its repositories."""
        url = self._transport.url(self._reference.host, f"/v2/{self._reference.repository}/blobs/uploads/")
        if mount_from is not None:
            url = url.with_query({"mount": self._digest, "from": mount_from})
        async with self._transport.open(self._access, "POST", url, headers={"Content-Length": "0"}) as response:
            if response.status == 201 and mount_from is not None:
                return None
            if response.status != 202:
                place = self._reference
                await raise_for_write_status(place.host, place.repository, response, self._doing)
            return self._location(response)

    def _location(self, response: aiohttp.ClientResponse) -> URL:
        """Where it goes on: maybe on another host, which gets no credentials. Raises NotRegistryError."""
        location = response.headers.get("Location")
        if location is None:
            raise NotRegistryError(f"Registry {self._reference.host} does not say where to go on while {self._doing}")
        return self._transport.next_place(self._reference.host, response.url, location)

    async def _send(self, location: URL) -> URL:
        """Send all of it; where to finish. Gone on with only where the registry has more than when it was begun with:
        else the failure is raised, and a new upload is the way."""
        offset = tries = 0
        while offset < self._source.size:
            length = min(self._most, self._source.size - offset)
            try:
                location = await self._patch(location, offset, length)
                offset += length  # not what ``Range`` says: Amazon's stays at the end of the first part
            except RegistryError as error:
                if not error.retryable or not self._resumes:
                    raise
                location, reached = await self._reached(location, error)
                tries = 0 if reached >= offset + _MUCH else tries + 1
                if not offset < reached <= self._source.size or tries > self._transport.config.retries:
                    raise
                offset, self._resumed = reached, True
        return location

    async def _patch(self, location: URL, offset: int, length: int) -> URL:
        """Where to go on. All of a blob goes as docker sends it, without ``Content-Range``, since some registries take
        it in no other way (Google's)."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        if length < self._source.size:
            headers["Content-Range"] = f"{offset}-{offset + length - 1}"
        body = self._counted(offset, length)
        async with self._transport.open(
            self._access, "PATCH", location, headers=headers, body=body, retries=0
        ) as response:
            if response.status == 413 and self._most > self._transport.config.chunk:
                self._most = self._transport.config.chunk
                raise RegistryError(f"Registry {self._reference.host} takes no {length} bytes at once")
            if response.status == 416 or (offset and response.status in _NO_PARTS):
                raise RegistryError(
                    f"Registry {self._reference.host} does not go on with a blob that broke off", hint="Try again."
                )
            if response.status not in (200, 201, 202, 204):
                raise_for_status(self._reference.host, response.status, self._doing)
            return self._location(response)

    def _counted(self, offset: int, length: int) -> Body:
        async def blocks() -> AsyncIterator[bytes]:
            async for block in self._source.blocks(offset, length):
                self.sent += len(block)
                yield block

        return blocks

    async def _reached(self, location: URL, failure: RegistryError) -> tuple[URL, int]:
        """How far a broken upload came, and where to go on. Raises ``failure`` where the registry can't tell."""
        async with self._transport.open(self._access, "GET", location) as response:
            if response.status not in (200, 202, 204) or "Range" not in response.headers:
                raise failure
            return self._location(response), _reached(response)

    async def _finish(self, location: URL) -> None:
        query = "&".join(part for part in (location.raw_query_string, f"digest={quote(self._digest, safe='')}") if part)
        url = URL(f"{location.origin()}{location.raw_path}?{query}", encoded=True)
        async with self._transport.open(
            self._access, "PUT", url, headers={"Content-Length": "0"}, retries=0
        ) as response:
            if response.status in (400, 416):
                raise BlobDigestError(
                    f"Registry {self._reference.host} counts another digest than {self._digest}: what was sent is not "
                    "what it should be, or the registry is wrong",
                    hint="Try again; a damaged file is made anew by `roost build --rebuild`.",
                )
            if response.status not in (201, 204):
                raise_for_status(self._reference.host, response.status, self._doing)


def _reached(response: aiohttp.ClientResponse) -> int:
    """The offset behind the last byte that the registry has (``Range: 0-N``; ``0-0`` is also said of nothing)."""
    match = _RANGE.fullmatch(response.headers["Range"])
    last = int(match[1]) if match is not None else 0
    return last + 1 if last else 0
