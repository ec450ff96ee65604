"""HTTP with registries: credentials, redirects, waiting when told to, trying again, and errors of roost's tree.

What is sent to a host is for that host: a redirect to another one (blobs often lie in an object store) is followed
without credentials. Nothing ambient counts but proxies and the system's certificates.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import NoReturn

import aiohttp
import msgspec
from yarl import URL

from roost.daemon.config.schema import RegistryCredentials
from roost.daemon.engines.registry.auth import Authenticator, RegistryAccess, parse_challenges, proxy_for
from roost.daemon.engines.registry.credentials import find_login
from roost.daemon.engines.registry.errors import (
    BlobMissingError,
    NotRegistryError,
    RegistryBrokenError,
    RegistryBusyError,
    RegistryDeniedError,
    RegistryError,
    RegistryTimeoutError,
    RegistryTlsError,
    RepositoryMissingError,
)
from roost.daemon.oci.references import DEFAULT_HOST, is_loopback

Body = Callable[[], "bytes | AsyncIterator[bytes]"]
"""Makes the body anew for each try."""

_DOCKER_API = "registry-1.docker.io"
_REDIRECTS = 10
_BACKOFF = 0.25
_ERROR_BODY = 64 * 1024
_OF_BLOBS = frozenset({"BLOB_UNKNOWN", "BLOB_UPLOAD_UNKNOWN", "MANIFEST_BLOB_UNKNOWN"})
_CHALLENGES = 2
"""A remembered token that expired, and then the answer to the fresh challenge."""


class RegistryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the client goes by."""

    mirrors: dict[str, tuple[str, ...]] = {}
    """Host to ``HOST[:PORT][/PREFIX]`` that are asked in its place."""
    insecure: tuple[str, ...] = ()
    """Hosts (with the port, if any) that are talked to over plain http."""
    credentials: dict[str, RegistryCredentials] = {}
    """Host to where its credentials are; others' are Docker's."""
    timeout: float = 60.0
    """Seconds without a byte."""
    connect_timeout: float = 10.0
    retries: int = 2
    """Times that a request is sent again after 5xx or a broken connection."""
    patience: float = 30.0
    """Seconds that are waited in all when a registry says ``Retry-After``."""
    chunk: int = 16 * 1024 * 1024
    """Bytes of an upload that are sent in one request where the whole is too much for what stands before a registry."""


class Transport:
    """One session for all registries. Make it in the event loop; ``close`` it."""

    def __init__(self, config: RegistryConfig) -> None:
        self.config = config
        self._authority = Authenticator(self.plain, lambda host: find_login(host, self.config.credentials))
        self._session: aiohttp.ClientSession | None = None
        self._making = asyncio.Lock()

    async def close(self) -> None:
        """Let go of all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def plain(self, host: str) -> bool:
        """Whether ``host`` is talked to without TLS."""
        return is_loopback(host) or host in self.config.insecure

    def origin(self, host: str) -> str:
        """``scheme://host`` of a registry's API."""
        if host == DEFAULT_HOST:
            return f"https://{_DOCKER_API}"
        return f"{'http' if self.plain(host) else 'https'}://{host}"

    def url(self, host: str, path: str) -> URL:
        """``path`` (``/v2/…``) of a registry."""
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
        """The answer, whatever its status, once credentials, redirects and waiting are done with.

        Raises RegistryTimeoutError, RegistryTlsError, RegistryError, CredentialsError, also while the body is read.
        """
        with _translated(access.host):
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
        most = self.config.retries if retries is None else retries
        while True:
            try:
                response = await self._redirected(access, method, url, headers, body)
            except (aiohttp.ClientConnectorError, aiohttp.ServerTimeoutError):
                raise  # refused, unknown, without TLS, or had its time: it will be the same at once
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                if tries >= most:
                    raise
                tries += 1
                await asyncio.sleep(_backoff(tries))
                continue
            if response.status == 401 and await self._answered(access, response):
                response.close()
                continue
            pause = self._pause(response, tries, most, waited)
            if pause is None:
                return response
            response.close()
            tries, waited = tries + 1, waited + pause
            await asyncio.sleep(pause)

    async def _answered(self, access: RegistryAccess, response: aiohttp.ClientResponse) -> bool:
        """Whether there is something better to send now. Only the registry itself may ask who we are."""
        if not self._is_own(access.host, response.url) or access.tried >= _CHALLENGES:
            return False
        challenges = parse_challenges(response.headers.getall("WWW-Authenticate", []))
        return await self._authority.answer(await self._open_session(), access, challenges)

    async def _redirected(
        self, access: RegistryAccess, method: str, url: URL, headers: dict[str, str], body: Body | None
    ) -> aiohttp.ClientResponse:
        place = url
        for _ in range(_REDIRECTS):
            response = await self._once(access, method, place, headers, body, own=self._is_own(access.host, place))
            if response.status not in (301, 302, 303, 307, 308) or "Location" not in response.headers:
                return response
            response.close()
            place = self.next_place(access.host, place, response.headers["Location"])
        raise NotRegistryError(f"{access.host} sends us from one place to the next without an end")

    def next_place(self, host: str, place: URL, location: str) -> URL:
        """Where ``host`` sends us from ``place``; nothing goes there in the clear. Raises NotRegistryError."""
        found = place.join(URL(location, encoded=True))
        if found.scheme != "https" and not (found.scheme == "http" and self.plain(found.authority)):
            raise NotRegistryError(
                f"{host} sends us to {found.scheme}://{found.host}, which is not https",
                hint="Behind a proxy, let the registry answer with relative URLs, or tell it its outer address.",
            )
        return found

    def _is_own(self, host: str, url: URL) -> bool:
        """Whether ``url`` is the registry's own, which alone gets our credentials."""
        own = URL(self.origin(host))
        return (url.scheme, url.host, url.port) == (own.scheme, own.host, own.port)

    async def _once(
        self, access: RegistryAccess, method: str, url: URL, headers: dict[str, str], body: Body | None, *, own: bool
    ) -> aiohttp.ClientResponse:
        session = await self._open_session()
        known = self._authority.remembered(access) if own else None
        sent = {**headers, **({"Authorization": known} if known else {})}
        data = body() if body is not None else None
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self.config.connect_timeout, sock_read=self.config.timeout
        )
        return await session.request(
            method, url, headers=sent, data=data, allow_redirects=False, proxy=proxy_for(url), timeout=timeout
        )

    def _pause(self, response: aiohttp.ClientResponse, tries: int, most: int, waited: float) -> float | None:
        """Seconds after which to send the same again; ``None`` where the answer must do."""
        if response.status == 429 or (response.status == 503 and "Retry-After" in response.headers):
            asked = retry_after(response.headers.get("Retry-After", ""), datetime.now(timezone.utc))
            pause = _backoff(tries) if asked is None else asked
            return pause if tries <= most + 2 and waited + pause <= self.config.patience else None
        if response.status >= 500 and response.status != 501 and tries < most:
            return _backoff(tries)
        return None

    async def _open_session(self) -> aiohttp.ClientSession:
        async with self._making:
            if self._session is None:
                context = await asyncio.to_thread(ssl.create_default_context)
                self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=context, limit_per_host=8),
                    auto_decompress=False,  # digests are over the bytes as they are
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers={"User-Agent": "roost", "Accept-Encoding": "identity"},
                )
            return self._session


def _backoff(tries: int) -> float:
    return _BACKOFF * float(2**tries)


def retry_after(value: str, now: datetime) -> float | None:
    """Seconds that ``Retry-After`` (RFC 9110, 10.2.3: seconds or a date) asks for; ``None`` where it says nothing."""
    value = value.strip()
    if value.isdigit():
        return float(value)
    try:
        then = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, float((then - now).total_seconds())) if then.tzinfo else None


@contextmanager
def _translated(host: str) -> Iterator[None]:
    """Turns aiohttp's errors into those of roost's tree; ``host`` is who is blamed. Other ``OSError`` pass: a disk may
    be full where the body is written to."""
    try:
        yield
    except asyncio.TimeoutError as error:
        raise RegistryTimeoutError(
            f"Registry {host} sent nothing for too long", hint="Try again; see `roost registry test`."
        ) from error
    except (aiohttp.ClientSSLError, ssl.SSLError) as error:
        raise RegistryTlsError(
            f"Registry {host} can't be trusted: {_short(error)}",
            hint="Mend its certificate, or SSL_CERT_FILE; `insecure` in [registries] is for plain http.",
        ) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise RegistryError(
            f"Registry {host} can't be reached: {_short(error)}",
            hint="Check the name and the network; see `roost registry test`.",
        ) from error


def _short(error: BaseException) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


class _Fault(msgspec.Struct):
    code: str = ""
    message: str | None = None


class _Faults(msgspec.Struct):
    errors: list[_Fault]


async def read_error_codes(response: aiohttp.ClientResponse) -> list[str] | None:
    """The error codes of an answer as the distribution specification has them; ``None`` where it is no such answer."""
    try:
        data = await response.content.read(_ERROR_BODY)
        return [fault.code for fault in msgspec.json.decode(data, type=_Faults).errors]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def raise_for_write_status(host: str, repository: str, response: aiohttp.ClientResponse, doing: str) -> NoReturn:
    """Raise the error for an answer to writing into ``repository`` that is none: 404 is said of the repository, unless
    its reasons say that it is of a blob."""
    if response.status == 404 and _OF_BLOBS.isdisjoint(await read_error_codes(response) or ()):
        raise RepositoryMissingError(
            f"Registry {host} has no repository {repository}, or lets nobody write there (HTTP 404), while {doing}",
            hint="Some registries want it (ECR) or its project (Harbor) to be made first; or mend the prefix in "
            "`workspace` under [registries] in roost's config.",
            fields={"repository": repository},
        )
    raise_for_status(host, response.status, doing)


def raise_for_status(host: str, status: int, doing: str) -> NoReturn:
    """Raise the error for a status that is no answer to ``doing``."""
    if status in (401, 403):
        raise RegistryDeniedError(
            f"Registry {host} denies access (HTTP {status}) while {doing}", hint=f"`docker login {host}`."
        )
    if status == 429:
        raise RegistryBusyError(f"Registry {host} asks for more patience (HTTP 429) while {doing}", hint="Try later.")
    if status >= 500:
        raise RegistryBrokenError(f"Registry {host} is broken (HTTP {status}) while {doing}", hint="Try again later.")
    if status == 404:
        raise BlobMissingError(f"Registry {host} has nothing there (HTTP 404) while {doing}")
    raise NotRegistryError(f"Registry {host} answers HTTP {status} while {doing}, which is out of place")
