"""What roost fetches itself: remote requirements files (their digest belongs to the lock) and sdists to build."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
from collections.abc import Callable, Sequence
from urllib.parse import urljoin

import aiohttp

from roost.daemon.credentials.auth_files import access_hint
from roost.daemon.engines.uv.errors import IndexDeniedError, IndexUnreachableError, WheelDigestMismatchError, gone
from roost.daemon.engines.uv.process import Secrets
from roost.model.definition import PipItem
from roost.model.errors import CodedError, InvalidDefinitionError, Location
from roost.model.locks.lock import RemoteInput
from roost.model.syntax.pip_lines import RequirementError, parse_pip_line, split_logical_lines

_LIMIT = 10 * 1024 * 1024
_DEPTH = 20
_SIZE_SECONDS = 10.0
_SIZES_AT_ONCE = 16


class RemoteLineError(InvalidDefinitionError):
    """A requirements file behind a URL asks for something of this machine."""

    code = "remote-requirements"


class Fetcher:
    """Downloads with the request's credentials. ``timeout`` in seconds is for each read."""

    def __init__(self, secrets: Secrets, timeout: int) -> None:
        self._secrets = secrets
        self._timeout = aiohttp.ClientTimeout(total=None, connect=timeout, sock_read=timeout)

    async def text(self, url: str) -> bytes:
        """The content of a small file. Raises IndexUnreachableError, IndexDeniedError."""
        chunks: list[bytes] = []
        await self._stream(url, chunks.append, limit=_LIMIT)
        return b"".join(chunks)

    async def file(self, url: str, path: str, sha256: str) -> str:
        """Download ``url`` to ``path``; its sha256 (64 hex), checked where ``sha256`` gives one."""
        digest = hashlib.sha256()
        file = await asyncio.to_thread(open, path, "wb")

        def take(chunk: bytes) -> None:
            digest.update(chunk)
            file.write(chunk)

        try:
            await self._stream(url, take, limit=None)
        finally:
            await asyncio.to_thread(file.close)
        if sha256 and digest.hexdigest() != sha256:
            raise _mismatch(os.path.basename(path), sha256, digest.hexdigest())
        return digest.hexdigest()

    async def sizes(self, urls: Sequence[str]) -> dict[str, int]:
        """Bytes of each file as its server tells; one that does not tell is left out. Raises nothing: it can wait."""
        if not urls:
            return {}
        context = await asyncio.to_thread(_certificates)
        timeout = aiohttp.ClientTimeout(total=_SIZE_SECONDS)
        connector = aiohttp.TCPConnector(ssl=context, limit_per_host=_SIZES_AT_ONCE)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector, trust_env=True) as session:
            found = await asyncio.gather(*(self._size(session, url) for url in urls))
        return {url: size for url, size in zip(urls, found, strict=True) if size}

    async def _size(self, session: aiohttp.ClientSession, url: str) -> int:
        headers = {**(self._secrets.headers(url) or {}), "Accept-Encoding": "identity"}
        try:
            async with session.head(self._secrets.reveal(url), headers=headers, allow_redirects=True) as response:
                return int(response.headers.get("Content-Length", 0)) if response.status == 200 else 0
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError):
            return 0

    async def knock(self, url: str) -> None:
        """Raise IndexDeniedError where ``url`` refuses access; whatever else it answers is for others to judge."""
        try:
            await self._stream(url, lambda chunk: None, limit=_LIMIT)
        except IndexDeniedError:
            raise
        except CodedError:
            return

    async def _stream(self, url: str, take: Callable[[bytes], object], *, limit: int | None) -> None:
        headers = self._secrets.headers(url)
        context = await asyncio.to_thread(_certificates)
        connector = aiohttp.TCPConnector(ssl=context)
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout, connector=connector, trust_env=True) as session,
                session.get(self._secrets.reveal(url), headers=headers) as response,
            ):
                self._check(url, response.status)
                await _take_all(url, response, take, limit)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise self._unreachable(url, error) from error

    def _check(self, url: str, status: int) -> None:
        if status in (401, 403):
            raise IndexDeniedError(f"{url} refuses access (HTTP {status})", hint=access_hint(url))
        if status in (404, 410):
            raise gone(url)
        if status != 200:
            raise IndexUnreachableError(f"{url} answers HTTP {status}", hint="Check the URL, then try again.")

    def _unreachable(self, url: str, error: Exception) -> CodedError:
        said = self._secrets.redact(str(error)) or type(error).__name__
        return IndexUnreachableError(f"{url} can't be fetched: {said}", hint="Check the network, then try again.")


async def _take_all(
    url: str, response: aiohttp.ClientResponse, take: Callable[[bytes], object], limit: int | None
) -> None:
    total = 0
    async for chunk in response.content.iter_chunked(1 << 20):
        total += len(chunk)
        if limit is not None and total > limit:
            raise RemoteLineError(f"{url} is larger than {limit} bytes: no requirements file", hint="Check the URL.")
        await asyncio.to_thread(take, chunk)


def _certificates() -> ssl.SSLContext:
    """The system's certificates, as uv has them from SSL_CERT_FILE and SSL_CERT_DIR."""
    return ssl.create_default_context()


def _mismatch(name: str, expected: str, found: str) -> WheelDigestMismatchError:
    return WheelDigestMismatchError(
        f"{name}: expected sha256:{expected}, and what came is sha256:{found}",
        hint="The index or a cache on the way is wrong; try again, or use another index.",
        fields={"package": name, "expected": f"sha256:{expected}", "found": f"sha256:{found}"},
    )


class RemoteFiles:
    """Puts the lines of remote ``-r`` and ``-c`` files in their place, and notes what each file held."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._content: dict[str, bytes] = {}

    @property
    def inputs(self) -> list[RemoteInput]:
        """Every URL that was read, with the sha256 of its content."""
        return [
            RemoteInput(url=url, sha256=hashlib.sha256(content).hexdigest())
            for url, content in sorted(self._content.items())
        ]

    async def expand(self, items: Sequence[PipItem], depth: int = 0) -> list[PipItem]:
        """``items`` with the content of every remote file in ``items`` of its own."""
        return [await self._one(item, depth) for item in items]

    async def _one(self, item: PipItem, depth: int) -> PipItem:
        if item.kind not in ("requirements", "constraints"):
            return item
        if item.path is not None or item.items:
            return _with_items(item, await self.expand(item.items, depth))
        if depth > _DEPTH:
            raise RemoteLineError(f"{item.text} includes itself", location=item.location, hint="Take one -r out.")
        return _with_items(item, await self.expand(await self._lines(item.text), depth + 1))

    async def _lines(self, url: str) -> list[PipItem]:
        if url not in self._content:
            self._content[url] = await self._fetcher.text(url)
        text = self._content[url].decode("utf-8-sig", "replace").replace("\r\n", "\n")
        return [_item(line.text, line.location, url) for line in split_logical_lines(text, url)]


def _item(text: str, location: Location, url: str) -> PipItem:
    try:
        line = parse_pip_line(text)
    except RequirementError as error:
        error.location = location
        raise
    if line.kind in ("requirements", "constraints"):
        return PipItem(kind=line.kind, text=urljoin(url, line.target), location=location)
    if line.target:
        raise RemoteLineError(
            f"{line.text} would be a path on this machine, and stands in a file behind a URL",
            location=location,
            hint="Copy the file here and name the copy.",
        )
    return PipItem(kind=line.kind, text=line.text, location=location)


def _with_items(item: PipItem, items: Sequence[PipItem]) -> PipItem:
    return PipItem(kind=item.kind, text=item.text, items=tuple(items), path=item.path, location=item.location)
