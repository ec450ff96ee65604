"""HTTP requests to registries: credentials, redirects, ``Retry-After``, retries, and errors of the roost tree.

Credentials are for one host: a redirect to another one (blobs are often in an object store) is followed without them.
Proxies and certificates are the caller's, else the system's; nothing else is ambient.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from roost.daemon.caller.network import certificate_paths, create_tls_context
from roost.daemon.caller.redirects import check_redirect
from roost.daemon.engines.registry.auth import Authenticator, RegistryAccess, parse_challenges, proxy_for
from roost.daemon.engines.registry.credentials import find_login
from roost.daemon.engines.registry.errors import NotRegistryError
from roost.daemon.engines.registry.translation import translate_errors
from roost.daemon.engines.registry.values import RegistryConfig
from roost.daemon.oci.references import DEFAULT_HOST, is_loopback

Body = Callable[[], "bytes | AsyncIterator[bytes]"]
"""Function that returns a new body for each try."""

_DOCKER_API = "registry-1.docker.io"
_REDIRECTS = 10
_BACKOFF_SECONDS = 0.25
_CHALLENGES = 2
"""Challenges that are answered for one operation: one for a cached token that expired, and a new one."""


class Transport:
    """One HTTP session for all registries and for callers with the same certificates.

    Construct it in the event loop, and close it at the end.
    """

    def __init__(self, config: RegistryConfig) -> None:
        self.config = config
        self._authenticator = Authenticator(self.is_plain_http, lambda host: find_login(host, self.config.credentials))
        self._sessions: dict[tuple[str | None, str | None], aiohttp.ClientSession] = {}
        """By the caller's certificates."""
        self._session_lock = asyncio.Lock()

    async def close(self) -> None:
        """Close all connections."""
        while self._sessions:
            await self._sessions.popitem()[1].close()

    def is_plain_http(self, host: str) -> bool:
        """Return whether ``host`` is accessed without TLS."""
        return is_loopback(host) or host in self.config.insecure

    def origin(self, host: str) -> str:
        """Return ``scheme://host`` of a registry's API."""
        if host == DEFAULT_HOST:
            return f"https://{_DOCKER_API}"
        return f"{'http' if self.is_plain_http(host) else 'https'}://{host}"

    def url(self, host: str, path: str) -> URL:
        """Return the URL of ``path`` (``/v2/…``) on a registry."""
        return URL(self.origin(host) + path, encoded=True)

    @asynccontextmanager
    async def open(
        self,
        access: RegistryAccess,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        retries: int | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and provide its response, of any status, after challenges, redirects and retries.

        ``retries``: how often to repeat the request; ``None``: as configured.

        Raises: RegistryTimeoutError, RegistryTlsError, RegistryError, CredentialsError, also while the body is read.
        """
        with translate_errors(access.host):
            response = await self._send(access, method, url, dict(headers or {}), body, retries)
            try:
                yield response
            finally:
                response.release() if response.content.is_eof() else response.close()

    async def _send(
        self,
        access: RegistryAccess,
        method: str,
        url: URL,
        headers: dict[str, str],
        body: Body | None,
        retries: int | None,
    ) -> aiohttp.ClientResponse:
        tries, waited = 0, 0.0
        limit = self.config.retries if retries is None else retries
        while True:
            try:
                response = await self._follow_redirects(access, method, url, headers, body)
            except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
                raise  # refused, unknown host, no TLS, or timed out: an immediate retry would fail too
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                if tries >= limit:
                    raise
                tries += 1
                await asyncio.sleep(_backoff(tries))
                continue
            if response.status == 401 and await self._answer_challenge(access, response):
                response.close()
                continue
            pause = self._retry_pause(response, tries, limit, waited)
            if pause is None:
                return response
            response.close()
            tries, waited = tries + 1, waited + pause
            await asyncio.sleep(pause)

    async def _answer_challenge(self, access: RegistryAccess, response: aiohttp.ClientResponse) -> bool:
        """Return whether there are new credentials to send. Only the registry itself may request credentials."""
        if not self._is_own_url(access.host, response.url) or access.tried >= _CHALLENGES:
            return False
        challenges = parse_challenges(response.headers.getall("WWW-Authenticate", []))
        return await self._authenticator.answer(await self._open_session(), access, challenges)

    async def _follow_redirects(
        self, access: RegistryAccess, method: str, url: URL, headers: dict[str, str], body: Body | None
    ) -> aiohttp.ClientResponse:
        for _ in range(_REDIRECTS):
            response = await self._send_once(access, method, url, headers, body)
            if response.status not in (301, 302, 303, 307, 308) or "Location" not in response.headers:
                return response
            response.close()
            url = await self.resolve_location(access.host, url, response.headers["Location"])
        raise NotRegistryError(f"{access.host} redirects without end")

    async def resolve_location(self, host: str, url: URL, location: str) -> URL:
        """Return the URL of a ``Location`` header that ``host`` sent for ``url``.

        Raises: NotRegistryError if it is not https, unless plain http is allowed for its host; RedirectRefusedError if
        it leads to this machine.
        """
        resolved = url.join(URL(location, encoded=True))
        if resolved.scheme != "https" and not (resolved.scheme == "http" and self.is_plain_http(resolved.authority)):
            raise NotRegistryError(
                f"{host} redirects to {resolved.scheme}://{resolved.host}, which is not https",
                hint="Behind a proxy, configure the registry to answer with relative URLs or with its external "
                "address.",
            )
        await check_redirect(self.origin(host), str(resolved))
        return resolved

    def _is_own_url(self, host: str, url: URL) -> bool:
        """Return whether ``url`` is on the registry itself, which alone gets its credentials."""
        own = URL(self.origin(host))
        return (url.scheme, url.host, url.port) == (own.scheme, own.host, own.port)

    async def _send_once(
        self, access: RegistryAccess, method: str, url: URL, headers: dict[str, str], body: Body | None
    ) -> aiohttp.ClientResponse:
        session = await self._open_session()
        authorization = self._authenticator.cached_header(access) if self._is_own_url(access.host, url) else None
        sent = {**headers, **({"Authorization": authorization} if authorization else {})}
        data = body() if body is not None else None
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self.config.connect_timeout, sock_read=self.config.timeout
        )
        return await session.request(
            method, url, headers=sent, data=data, allow_redirects=False, proxy=proxy_for(url), timeout=timeout
        )

    def _retry_pause(self, response: aiohttp.ClientResponse, tries: int, limit: int, waited: float) -> float | None:
        """Return the seconds after which to repeat the request; ``None`` if the response is final."""
        if response.status == 429 or (response.status == 503 and "Retry-After" in response.headers):
            requested = parse_retry_after(response.headers.get("Retry-After", ""), datetime.now(timezone.utc))
            pause = _backoff(tries) if requested is None else requested
            return pause if tries <= limit + 2 and waited + pause <= self.config.patience else None
        if response.status >= 500 and response.status != 501 and tries < limit:
            return _backoff(tries)
        return None

    async def _open_session(self) -> aiohttp.ClientSession:
        async with self._session_lock:
            certificates = certificate_paths()
            if certificates not in self._sessions:
                context = await asyncio.to_thread(create_tls_context)
                self._sessions[certificates] = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=context, limit_per_host=8),
                    auto_decompress=False,  # digests are of the bytes as stored
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers={"User-Agent": "roost", "Accept-Encoding": "identity"},
                )
            return self._sessions[certificates]


def _backoff(tries: int) -> float:
    return _BACKOFF_SECONDS * float(2**tries)


def parse_retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds in ``Retry-After`` (RFC 9110, 10.2.3: seconds or a date); ``None`` if it is not valid."""
    value = value.strip()
    if value.isdigit():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, float((then - now).total_seconds())) if then.tzinfo else None
