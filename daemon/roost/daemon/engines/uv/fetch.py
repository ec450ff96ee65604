"""Downloads by roost itself: remote requirements files (their digest is part of the lock), sdists and wheels."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urljoin, urlsplit

import aiohttp

from roost.daemon.caller.network import create_tls_context, find_proxy
from roost.daemon.caller.redirects import check_redirect
from roost.daemon.credentials.auth_files import access_hint
from roost.daemon.engines.uv.errors import (
    IndexDeniedError,
    IndexUnreachableError,
    RemoteLineError,
    UrlGoneError,
    WheelDigestMismatchError,
)
from roost.daemon.engines.uv.secrets import Secrets
from roost.daemon.engines.uv.translation import url_gone
from roost.model.definition import PipItem
from roost.model.documents.places import TextPlaces
from roost.model.errors import CodedError, Location
from roost.model.locks.lock import RemoteInput
from roost.model.syntax.bounds import MAX_REQUIREMENTS, too_large_error
from roost.model.syntax.pip_lines import CHOICE_OPTIONS, LogicalLine, PipLine, parse_pip_lines, split_logical_lines
from roost.model.syntax.pip_options import RequirementError, unknown_option
from roost.model.syntax.variables import find_misplaced_variable, variable_misplaced_error

_TEXT_LIMIT = 10 * 1024 * 1024
"""Bytes of a requirements file."""
_MOST_NESTED = 20
_REDIRECTS = 10
_SIZE_SECONDS = 10.0
_SIZES_CONCURRENCY = 16
_WAITS = (0.3, 1.0)
"""Seconds before a server that does not answer is asked again."""


class Fetcher:
    """Downloads with the credentials of a request. ``timeout`` in seconds applies to each read.

    Its methods raise IndexUnreachableError, IndexDeniedError and UrlGoneError unless they say otherwise.
    """

    def __init__(self, secrets: Secrets, timeout: int) -> None:
        self._secrets = secrets
        self._timeout = aiohttp.ClientTimeout(total=None, connect=timeout, sock_read=timeout)

    async def fetch_text(self, url: str) -> bytes:
        """Return the content of a small file. Raises RemoteLineError if it is larger than 10 MiB."""
        chunks: list[bytes] = []
        await self._stream(url, chunks.append, limit=_TEXT_LIMIT)
        return b"".join(chunks)

    async def fetch_file(self, url: str, path: str, sha256: str) -> str:
        """Download ``url`` to ``path``; return its sha256 (64 hex digits).

        Raises WheelDigestMismatchError if ``sha256`` is not empty and differs.
        """
        digest = hashlib.sha256()
        file = await asyncio.to_thread(open, path, "wb")

        def write(chunk: bytes) -> None:
            digest.update(chunk)
            file.write(chunk)

        try:
            await self._stream(url, write, limit=None)
        finally:
            await asyncio.to_thread(file.close)
        if sha256 and digest.hexdigest() != sha256:
            name, found = os.path.basename(path), digest.hexdigest()
            raise WheelDigestMismatchError(
                f"{name}: expected sha256:{sha256}, received sha256:{found}",
                hint="The index or a cache in between is faulty; try again, or use another index.",
                fields={"package": name, "expected": f"sha256:{sha256}", "found": f"sha256:{found}"},
            )
        return digest.hexdigest()

    async def fetch_sizes(self, urls: Sequence[str]) -> dict[str, int]:
        """Return the size in bytes of each file whose server reports one. Raises nothing: sizes are optional."""
        if not urls:
            return {}
        context = await asyncio.to_thread(create_tls_context)
        timeout = aiohttp.ClientTimeout(total=_SIZE_SECONDS)
        connector = aiohttp.TCPConnector(ssl=context, limit_per_host=_SIZES_CONCURRENCY)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            found = await asyncio.gather(*(self._fetch_size(session, url) for url in urls))
        return {url: size for url, size in zip(urls, found, strict=True) if size}

    async def _fetch_size(self, session: aiohttp.ClientSession, url: str) -> int:
        try:
            async with self._open(session, "HEAD", url) as response:
                return int(response.headers.get("Content-Length", 0)) if response.status == 200 else 0
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError, CodedError):
            return 0

    async def find_fault(self, url: str) -> str | None:
        """Return why nothing can be had from ``url``, asking again if its server does not answer; ``None`` if it can.
        Raises IndexDeniedError alone."""
        for wait in (*_WAITS, None):
            try:
                await self._stream(url, None, limit=None)
            except UrlGoneError:
                return "there is nothing at that address"
            except IndexUnreachableError as error:
                if wait is None:
                    return error.message
                await asyncio.sleep(wait)
            else:
                break
        return None

    async def check_access(self, url: str) -> None:
        """Raise IndexDeniedError if ``url`` refuses access; every other answer, and none, is ignored."""
        try:
            await self._stream(url, lambda chunk: None, limit=_TEXT_LIMIT)
        except IndexDeniedError:
            raise
        except CodedError:
            return

    @asynccontextmanager
    async def _open(
        self, session: aiohttp.ClientSession, method: str, url: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and provide its response after redirects, of which only those on the same origin get its
        credentials. Raises RedirectRefusedError, aiohttp's errors."""
        sent = self._secrets.substitute(url)
        headers = {**self._secrets.headers(url), **({"Accept-Encoding": "identity"} if method == "HEAD" else {})}
        for _ in range(_REDIRECTS):
            request = session.request(method, sent, headers=headers, allow_redirects=False, proxy=find_proxy(sent))
            async with request as response:
                if response.status not in (301, 302, 303, 307, 308) or "Location" not in response.headers:
                    yield response
                    return
                target = urljoin(sent, response.headers["Location"])
            await check_redirect(sent, target)
            if _origin(target) != _origin(sent):
                headers.pop("Authorization", None)
            sent = target
        raise IndexUnreachableError(f"{url} redirects without end", hint="Check the URL.")

    async def _stream(self, url: str, write: Callable[[bytes], object] | None, *, limit: int | None) -> None:
        """Request ``url`` and write its body, unless ``write`` is ``None``."""
        context = await asyncio.to_thread(create_tls_context)
        connector = aiohttp.TCPConnector(ssl=context)
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout, connector=connector) as session,
                self._open(session, "GET", url) as response,
            ):
                _check_status(url, response.status)
                if write is not None:
                    await _read_body(url, response, write, limit)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            reason = self._secrets.redact(str(error)) or type(error).__name__
            raise IndexUnreachableError(
                f"{url} can't be fetched: {reason}", hint="Check the network, then try again.", fields={"url": url}
            ) from error


def _origin(url: str) -> tuple[str, str]:
    split = urlsplit(url)
    return split.scheme, split.netloc.rpartition("@")[2].lower()


def _check_status(url: str, status: int) -> None:
    if status in (401, 403):
        raise IndexDeniedError(f"{url} refuses access (HTTP {status})", hint=access_hint(url), fields={"url": url})
    if status in (404, 410):
        raise url_gone(url)
    if status != 200:
        raise IndexUnreachableError(
            f"{url} answers HTTP {status}", hint="Check the URL, then try again.", fields={"url": url}
        )


async def _read_body(
    url: str, response: aiohttp.ClientResponse, write: Callable[[bytes], object], limit: int | None
) -> None:
    total = 0
    async for chunk in response.content.iter_chunked(1 << 20):
        total += len(chunk)
        if limit is not None and total > limit:
            raise RemoteLineError(
                f"{url} is larger than {limit} bytes, too large for a requirements file", hint="Check the URL."
            )
        await asyncio.to_thread(write, chunk)


class RemoteFiles:
    """Replaces remote ``-r`` and ``-c`` files by their lines, and records the digest of each file."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._content: dict[str, bytes] = {}
        self._expanded: dict[str, list[PipItem]] = {}
        """Files with the lines of those that they include: each is parsed once, however many lines name it."""
        self._counts: dict[str, int] = {}
        """Lines of an expanded file, those that it includes among them."""

    @property
    def inputs(self) -> list[RemoteInput]:
        """Every URL that was read, with the sha256 (hex) of its content."""
        return [
            RemoteInput(url=url, sha256=hashlib.sha256(content).hexdigest())
            for url, content in sorted(self._content.items())
        ]

    async def expand(self, items: Sequence[PipItem], depth: int = 0) -> list[PipItem]:
        """Return ``items`` with the lines of every remote file as its own ``items``, nested files too.

        Raises RemoteLineError if a file includes itself or names something of this machine.
        """
        return [await self._expand_item(item, depth) for item in items]

    async def _expand_item(self, item: PipItem, depth: int) -> PipItem:
        if item.kind not in ("requirements", "constraints"):
            return item
        if item.path is not None or item.items:
            return _replace_items(item, await self.expand(item.items, depth))
        if depth > _MOST_NESTED:
            raise RemoteLineError(f"{item.text} includes itself", location=item.location, hint="Remove one -r.")
        if item.text not in self._expanded:
            items = await self.expand(await self._load_lines(item.text), depth + 1)
            count = sum(self._counts.get(each.text, 1) for each in items)
            if count > MAX_REQUIREMENTS:
                raise too_large_error(
                    f"{item.text} and all that it includes are too long", MAX_REQUIREMENTS, "lines", item.location
                )
            self._expanded[item.text], self._counts[item.text] = items, count
        return _replace_items(item, self._expanded[item.text])

    async def _load_lines(self, url: str) -> list[PipItem]:
        if url not in self._content:
            self._content[url] = await self._fetcher.fetch_text(url)
        text = self._content[url].decode("utf-8-sig", "replace").replace("\r\n", "\n")
        lines = split_logical_lines(text, TextPlaces(text, url).locate)
        return [item for line in lines for item in _parse_line(line, url)]


def _parse_line(written: LogicalLine, url: str) -> list[PipItem]:
    if reference := find_misplaced_variable(written.text):
        raise variable_misplaced_error(reference.text, written.locate(reference.offset))
    try:
        return [_convert_line(line, written.locate(line.offset), url) for line in parse_pip_lines(written.text)]
    except RequirementError as error:
        error.location = written.locate(error.column)
        raise


def _convert_line(line: PipLine, location: Location, url: str) -> PipItem:
    if line.kind in ("requirements", "constraints"):
        return PipItem(kind=line.kind, text=urljoin(url, line.target), location=location)
    if line.kind == "option" and (name := line.text.partition(" ")[0]) in CHOICE_OPTIONS:
        raise unknown_option(name, line.offset)
    if line.target:
        raise RemoteLineError(
            f"{line.text} is a path on this machine, but its file was read from a URL",
            location=location,
            hint="Copy the file here and name the copy.",
        )
    return PipItem(kind=line.kind, text=line.text, location=location)


def _replace_items(item: PipItem, items: Sequence[PipItem]) -> PipItem:
    return PipItem(kind=item.kind, text=item.text, items=tuple(items), path=item.path, location=item.location)
