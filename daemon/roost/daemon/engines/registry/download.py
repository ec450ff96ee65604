"""Download of a blob: streamed to a partial file, resumed after a broken connection, verified, and renamed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from typing import BinaryIO

import aiohttp
from yarl import URL

from roost.daemon.engines.registry.auth import RegistryAccess
from roost.daemon.engines.registry.errors import BlobDigestError, BlobMissingError, RegistryError
from roost.daemon.engines.registry.http import Transport
from roost.daemon.engines.registry.translation import raise_for_status
from roost.daemon.oci.manifests import Descriptor

_BLOCK = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")
_TRIES = 20
"""Limit of tries, even if each makes progress: a server must not send one byte at a time forever."""


class Download:
    """Download of one blob to ``path``; a later download resumes from ``path`` + ``.partial``."""

    def __init__(
        self, transport: Transport, access: RegistryAccess, url: URL, descriptor: Descriptor, path: str
    ) -> None:
        self._transport = transport
        self._access = access
        self._url = url
        self._descriptor = descriptor
        self._path = path
        self._partial = path + ".partial"
        self._digest = hashlib.new(descriptor.digest.partition(":")[0])
        self._received = 0
        """Bytes in the partial file."""

    async def run(self) -> None:
        """Download the blob.

        Raises: BlobMissingError if the registry does not have it; BlobDigestError if its digest or size is wrong (the
        partial file is deleted then); RegistryError and its subclasses.
        """
        file = await asyncio.to_thread(self._open_partial)
        try:
            await self._fetch_all(file)
            await asyncio.to_thread(self._check_digest)
        except BlobDigestError:
            await asyncio.to_thread(os.unlink, self._partial)
            raise
        finally:
            await asyncio.to_thread(file.close)
        await asyncio.to_thread(os.replace, self._partial, self._path)

    def _open_partial(self) -> BinaryIO:
        """Open the partial file for appending, and digest what an earlier download left in it."""
        file = open(self._partial, "a+b")  # noqa: SIM115 - closed by ``run``
        file.seek(0)
        while block := file.read(_BLOCK):
            self._add_to_digest(block)
        if self._received > self._descriptor.size:
            self._restart(file)
        return file

    def _add_to_digest(self, block: bytes) -> None:
        self._digest.update(block)
        self._received += len(block)

    def _restart(self, file: BinaryIO) -> None:
        file.truncate(0)
        file.seek(0)
        self._digest = hashlib.new(self._digest.name)
        self._received = 0

    async def _fetch_all(self, file: BinaryIO) -> None:
        """Send requests until the blob is complete; those without progress count against ``retries``."""
        fruitless = 0
        for _ in range(_TRIES):
            if self._received == self._descriptor.size:
                return
            before, failure = self._received, None
            try:
                await self._fetch_rest(file)
            except RegistryError as error:
                if not error.retryable:
                    raise
                failure = error
            fruitless = 0 if self._received > before else fruitless + 1
            if fruitless > self._transport.config.retries or (failure is None and self._received <= before):
                raise failure or self._incomplete_error()
        if self._received != self._descriptor.size:
            raise self._incomplete_error()

    def _incomplete_error(self) -> BlobDigestError:
        host, descriptor = self._access.host, self._descriptor
        return BlobDigestError(
            f"Registry {host} sent {self._received} of the {descriptor.size} bytes of {descriptor.digest}",
            hint="The registry's copy is damaged: push it again from where it was made.",
            fields={"digest": descriptor.digest, "bytes": self._received},
        )

    async def _fetch_rest(self, file: BinaryIO) -> None:
        headers = {"Range": f"bytes={self._received}-"} if self._received else {}
        async with self._transport.open(self._access, "GET", self._url, headers=headers) as response:
            if response.status == 404:
                raise BlobMissingError(f"Registry {self._access.host} has no blob {self._descriptor.digest}")
            if response.status == 416:  # the registry has no more bytes than the partial file
                raise self._incomplete_error()
            if response.status not in (200, 206):
                raise_for_status(self._access.host, response.status, f"fetching {self._descriptor.digest[:19]}…")
            if self._received and not self._continues(response):
                await asyncio.to_thread(self._restart, file)
            await self._write_body(response, file)

    def _continues(self, response: aiohttp.ClientResponse) -> bool:
        """Return whether the response begins at the end of the partial file."""
        match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
        return response.status == 206 and match is not None and int(match[1]) == self._received

    async def _write_body(self, response: aiohttp.ClientResponse, file: BinaryIO) -> None:
        """Write the body in large blocks, since each costs a change of thread; data before a failure is written too."""
        waiting = bytearray()
        try:
            async for piece in response.content.iter_chunked(_BLOCK):
                waiting += piece
                if len(waiting) >= _BLOCK:
                    block, waiting = bytes(waiting), bytearray()
                    await asyncio.to_thread(self._write, file, block)
        finally:
            await asyncio.to_thread(self._write, file, bytes(waiting))

    def _write(self, file: BinaryIO, block: bytes) -> None:
        host, descriptor = self._access.host, self._descriptor
        if self._received + len(block) > descriptor.size:
            raise BlobDigestError(
                f"Registry {host} sent more than the {descriptor.size} bytes of {descriptor.digest}",
                hint="The registry or a proxy in between is faulty.",
            )
        file.write(block)
        file.flush()
        self._add_to_digest(block)

    def _check_digest(self) -> None:
        found = f"{self._digest.name}:{self._digest.hexdigest()}"
        if found != self._descriptor.digest:
            raise BlobDigestError(
                f"Registry {self._access.host} sent {found} for {self._descriptor.digest}",
                hint="The registry or a proxy in between is faulty; nothing was stored.",
                fields={"digest": self._descriptor.digest, "found": found},
            )
