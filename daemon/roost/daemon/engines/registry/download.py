"""Fetching a blob: streamed to a file beside its place, resumed where it broke off, and renamed when it is right."""

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
from roost.daemon.engines.registry.http import Transport, raise_for_status
from roost.daemon.oci.manifests import Descriptor

_BLOCK = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")
_MOST_TRIES = 20
"""However far each came: a server that sends one byte at a time is not waited for."""


class Download:
    """One blob on its way to ``path``; ``path`` + ``.partial`` is what a later try goes on with."""

    def __init__(
        self, transport: Transport, access: RegistryAccess, url: URL, descriptor: Descriptor, path: str
    ) -> None:
        self._transport = transport
        self._access = access
        self._url = url
        self._wanted = descriptor
        self._path = path
        self._partial = path + ".partial"
        self._digest = hashlib.new(descriptor.digest.partition(":")[0])
        self._have = 0

    async def run(self) -> None:
        """Raises BlobMissingError, BlobDigestError (nothing is kept then), RegistryError and its kind."""
        file = await asyncio.to_thread(self._open)
        try:
            await self._fill(file)
            await asyncio.to_thread(self._check)
        except BlobDigestError:
            await asyncio.to_thread(os.unlink, self._partial)
            raise
        finally:
            await asyncio.to_thread(file.close)
        await asyncio.to_thread(os.replace, self._partial, self._path)

    def _open(self) -> BinaryIO:
        """The file to append to, with what an earlier try left in it digested."""
        file = open(self._partial, "a+b")  # noqa: SIM115 - closed by ``run``
        file.seek(0)
        while block := file.read(_BLOCK):
            self._take_in(block)
        if self._have > self._wanted.size:
            self._begin_again(file)
        return file

    def _take_in(self, block: bytes) -> None:
        self._digest.update(block)
        self._have += len(block)

    def _begin_again(self, file: BinaryIO) -> None:
        file.truncate(0)
        file.seek(0)
        self._digest = hashlib.new(self._digest.name)
        self._have = 0

    async def _fill(self, file: BinaryIO) -> None:
        """Ask till it is all there; a try that brings nothing new counts against ``retries``."""
        fruitless = 0
        for _ in range(_MOST_TRIES):
            if self._have == self._wanted.size:
                return
            before, failure = self._have, None
            try:
                await self._some(file)
            except RegistryError as error:
                if not error.retryable:
                    raise
                failure = error
            fruitless = 0 if self._have > before else fruitless + 1
            if fruitless > self._transport.config.retries or (failure is None and self._have <= before):
                raise failure or self._short()
        if self._have != self._wanted.size:
            raise self._short()

    def _short(self) -> BlobDigestError:
        return BlobDigestError(
            f"Registry {self._access.host} sent {self._have} of the {self._wanted.size} bytes of {self._wanted.digest}",
            hint="The registry's copy is damaged: push it again from where it was made.",
            fields={"digest": self._wanted.digest, "bytes": self._have},
        )

    async def _some(self, file: BinaryIO) -> None:
        headers = {"Range": f"bytes={self._have}-"} if self._have else {}
        async with self._transport.open(self._access, "GET", self._url, headers=headers) as response:
            if response.status == 404:
                raise BlobMissingError(f"Registry {self._access.host} has no blob {self._wanted.digest}")
            if response.status == 416:  # it has no more than this
                raise self._short()
            if response.status not in (200, 206):
                raise_for_status(self._access.host, response.status, f"fetching {self._wanted.digest[:19]}…")
            if self._have and not self._goes_on(response):
                await asyncio.to_thread(self._begin_again, file)
            await self._stream(response, file)

    def _goes_on(self, response: aiohttp.ClientResponse) -> bool:
        match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
        return response.status == 206 and match is not None and int(match[1]) == self._have

    async def _stream(self, response: aiohttp.ClientResponse, file: BinaryIO) -> None:
        """Write in blocks of some size, since each costs a change of thread; what came before a break is kept."""
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
        if self._have + len(block) > self._wanted.size:
            raise BlobDigestError(
                f"Registry {self._access.host} sends more than the {self._wanted.size} bytes of {self._wanted.digest}",
                hint="The registry or something on the way is wrong.",
            )
        file.write(block)
        file.flush()
        self._take_in(block)

    def _check(self) -> None:
        found = f"{self._digest.name}:{self._digest.hexdigest()}"
        if found != self._wanted.digest:
            raise BlobDigestError(
                f"Registry {self._access.host} sent {found} for {self._wanted.digest}",
                hint="The registry or something on the way is wrong; nothing of it was kept.",
                fields={"digest": self._wanted.digest, "found": found},
            )
