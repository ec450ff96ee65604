"""Authentication to a registry: its challenges, and bearer tokens.

Sources: RFC 9110 (11.6.1, ``WWW-Authenticate``); Docker's token authentication specification (``distribution``:
auth/token.md, auth/oauth.md). Credentials are looked up when a registry requests them (``credentials``), used for that
operation and not stored; only bearer tokens, which last for minutes, are cached, in memory.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple

import aiohttp
import msgspec
from yarl import URL

from roost.daemon.caller.network import find_proxy
from roost.daemon.caller.redirects import check_redirect
from roost.daemon.credentials.request import find_request_credentials
from roost.daemon.engines.registry.credentials import RegistryLogin
from roost.daemon.engines.registry.errors import (
    CredentialsError,
    NotRegistryError,
    RegistryBrokenError,
    RegistryBusyError,
    RegistryDeniedError,
)
from roost.daemon.oci.references import is_loopback
from roost.model.errors import MALFORMED_JSON

_TOKEN_LIMIT = 1 << 20
_TOKEN_TIMEOUT = aiohttp.ClientTimeout(total=30.0, sock_connect=10.0)
_DEFAULT_LIFETIME = 60.0
"""Seconds that a token lasts if the token server does not send its lifetime (auth/token.md)."""

_CHALLENGE = re.compile(r"(?:^|,)\s*([A-Za-z][\w-]*)(?:\s+(?=[\w-]+\s*=)|\s*$|(?=\s*,))")
_PARAMETER = re.compile(r'(?<![\w-])([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Challenge(NamedTuple):
    """One authentication scheme that a registry offers; ``scheme`` and the names of parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """Return the challenges of all ``WWW-Authenticate`` headers, in order; invalid ones are left out. Pure."""
    challenges: list[Challenge] = []
    for header in headers:
        unquoted = re.sub(r'"(?:[^"\\]|\\.)*"', lambda match: '"' + "x" * (len(match.group()) - 2) + '"', header)
        starts = [match for match in _CHALLENGE.finditer(unquoted) if "=" not in match[1]]
        for number, match in enumerate(starts):
            end = starts[number + 1].start() if number + 1 < len(starts) else len(header)
            pairs = _PARAMETER.findall(header[match.end() : end])
            parameters = {name.lower(): _unescape(quoted) or token for name, quoted, token in pairs}
            challenges.append(Challenge(match[1].lower(), parameters))
    return challenges


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def proxy_for(url: URL) -> str | None:
    """Return the caller's proxy for ``url``; none for a registry on this machine."""
    return None if is_loopback(url.authority) else find_proxy(str(url))


class RegistryAccess:
    """Authentication of one operation: the scopes that it needs, and its state."""

    def __init__(self, host: str, scopes: tuple[str, ...]) -> None:
        self.host = host
        self.scopes = scopes
        self.header: str | None = None
        self.tried = 0
        """Number of challenges that were answered."""


def access_scope(repository: str, *actions: str) -> str:
    """Return a scope (auth/scope.md): ``repository:team/locks:pull,push``."""
    return f"repository:{repository}:{','.join(actions)}"


class _TokenResponse(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | None = None


class Authenticator:
    """Answers challenges. ``is_plain_http``: whether a host may be accessed without TLS; ``find_login``: credentials
    of a host."""

    def __init__(
        self, is_plain_http: Callable[[str], bool], find_login: Callable[[str], Awaitable[RegistryLogin | None]]
    ) -> None:
        self._is_plain_http = is_plain_http
        self._find_login = find_login
        self._tokens: dict[tuple[str, tuple[str, ...]], tuple[str, float]] = {}
        """Host and scopes to a token and the (monotonic) time at which it expires."""

    def cached_header(self, access: RegistryAccess) -> str | None:
        """Return the ``Authorization`` header to send without a challenge, if there is one.

        A request with credentials of its own never uses a cached token.
        """
        if access.header is not None or find_request_credentials(access.host) is not None:
            return access.header
        token, expires = self._tokens.get((access.host, access.scopes), ("", 0.0))
        return f"Bearer {token}" if expires > time.monotonic() else None

    async def answer(self, session: aiohttp.ClientSession, access: RegistryAccess, challenges: list[Challenge]) -> bool:
        """Set the header that answers ``challenges``; return ``False`` if there is none.

        Raises: CredentialsError if credentials can't be read or would be sent unencrypted; RegistryDeniedError if the
        token server refuses them; aiohttp's errors.
        """
        self._tokens.pop((access.host, access.scopes), None)
        access.tried += 1
        bearer = next((c for c in challenges if c.scheme == "bearer" and "realm" in c.parameters), None)
        if bearer is None and not any(c.scheme == "basic" for c in challenges):
            return False
        login = await self._find_login(access.host)
        if bearer is not None:
            access.header = "Bearer " + await self._fetch_token(session, access, bearer, login)
        elif login is not None and login.username:
            access.header = login.basic
        else:
            return False
        return True

    async def _fetch_token(
        self,
        session: aiohttp.ClientSession,
        access: RegistryAccess,
        challenge: Challenge,
        login: RegistryLogin | None,
    ) -> str:
        realm = URL(challenge.parameters["realm"])
        self._check_realm(access.host, realm)
        scheme = "http" if self._is_plain_http(access.host) else "https"
        await check_redirect(f"{scheme}://{access.host}", str(realm))
        scopes = sorted({*access.scopes, *challenge.parameters.get("scope", "").split()})
        service = challenge.parameters.get("service", "")
        request = _token_request(session, realm, service, scopes, login)
        async with request as response:
            _check_token_status(access.host, realm, response, has_login=login is not None)
            answer = _decode_token(access.host, await response.content.read(_TOKEN_LIMIT))
        token = answer.token or answer.access_token
        if not token:
            raise NotRegistryError(f"{realm.host} returned no token for {access.host}")
        lifetime = (answer.expires_in or _DEFAULT_LIFETIME) * 0.9
        if find_request_credentials(access.host) is None:
            self._tokens[(access.host, access.scopes)] = (token, time.monotonic() + lifetime)
        return token

    def _check_realm(self, host: str, realm: URL) -> None:
        """Raise CredentialsError if credentials would be sent to ``realm`` unencrypted."""
        if realm.scheme == "https" or (realm.scheme == "http" and self._is_plain_http(realm.authority)):
            return
        raise CredentialsError(
            f"{host} redirects to {realm.origin() if realm.is_absolute() else realm} for a token, which is not https",
            hint="Name that host under `insecure` in [registries] if the network is yours.",
        )


def _token_request(
    session: aiohttp.ClientSession, realm: URL, service: str, scopes: list[str], login: RegistryLogin | None
) -> Any:  # noqa: ANN401 - aiohttp's context manager has no public name
    if login is not None and login.identity_token:
        form = {"grant_type": "refresh_token", "service": service, "client_id": "roost", "scope": " ".join(scopes)}
        form["refresh_token"] = login.identity_token
        return session.post(realm, data=form, allow_redirects=False, proxy=proxy_for(realm), timeout=_TOKEN_TIMEOUT)
    query = [("service", service)] if service else []
    query += [("scope", each) for each in scopes]
    headers = {"Authorization": login.basic} if login is not None else {}
    url = realm.extend_query(query)
    return session.get(url, headers=headers, allow_redirects=False, proxy=proxy_for(realm), timeout=_TOKEN_TIMEOUT)


def _check_token_status(host: str, realm: URL, response: aiohttp.ClientResponse, *, has_login: bool) -> None:
    if response.status == 200:
        return
    if response.status in (400, 401, 403):
        what = "rejects the credentials" if has_login else "requires credentials for a token"
        raise RegistryDeniedError(f"{realm.host} {what} for {host}", hint=f"Run `docker login {host}`.")
    if response.status == 429:
        raise RegistryBusyError(
            f"{realm.host} limits requests for tokens of {host} (HTTP 429)", hint="Try again later."
        )
    kind = RegistryBrokenError if response.status >= 500 else NotRegistryError
    raise kind(f"{realm.host} answers HTTP {response.status} to a request for a token for {host}")


def _decode_token(host: str, data: bytes) -> _TokenResponse:
    try:
        return msgspec.json.decode(data, type=_TokenResponse)
    except MALFORMED_JSON:
        raise NotRegistryError(f"The token for {host} is not valid") from None
