"""Who we are to a registry: challenges, tokens, and the credentials that Docker keeps for its host.

Sources: RFC 9110 (11.6.1, ``WWW-Authenticate``); Docker's token authentication specification (``distribution``:
auth/token.md, auth/oauth.md). Credentials are looked up when a registry asks for them (``registry_credentials``), used
for that one operation and forgotten; only bearer tokens, which last for minutes, are remembered, in memory.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import aiohttp
import msgspec
from yarl import URL

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

_TOKEN_LIMIT = 1 << 20
_PATIENCE = aiohttp.ClientTimeout(total=30.0, sock_connect=10.0)
_LIFETIME = 60.0
"""Seconds that a token lasts whose answer does not say (auth/token.md)."""

_CHALLENGE = re.compile(r"(?:^|,)\s*([A-Za-z][\w-]*)(?:\s+(?=[\w-]+\s*=)|\s*$|(?=\s*,))")
_PARAMETER = re.compile(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


class Challenge(NamedTuple):
    """One way that a registry offers to say who we are; ``scheme`` and the names of parameters in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """The challenges of all ``WWW-Authenticate`` headers, in order. What can't be read is left out. Pure."""
    found: list[Challenge] = []
    for header in headers:
        blank = re.sub(r'"(?:[^"\\]|\\.)*"', lambda match: '"' + "x" * (len(match.group()) - 2) + '"', header)
        starts = [match for match in _CHALLENGE.finditer(blank) if "=" not in match[1]]
        for number, match in enumerate(starts):
            end = starts[number + 1].start() if number + 1 < len(starts) else len(header)
            pairs = _PARAMETER.findall(header[match.end() : end])
            found.append(Challenge(match[1].lower(), {k.lower(): _unquoted(q) or plain for k, q, plain in pairs}))
    return found


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def proxy_for(url: URL) -> str | None:
    """By ``HTTPS_PROXY`` and the like. aiohttp's own way would read ``~/.netrc`` as well."""
    proxies = getproxies_environment()
    if url.scheme not in proxies or is_loopback(url.authority) or proxy_bypass_environment(url.authority, proxies):
        return None
    return proxies[url.scheme]


class RegistryAccess:
    """One operation's way in: which repositories for what, and what was found out on the way."""

    def __init__(self, host: str, scopes: tuple[str, ...]) -> None:
        self.host = host
        self.scopes = scopes
        self.header: str | None = None
        self.tried = 0
        """How many challenges were answered."""


def access_scope(repository: str, *actions: str) -> str:
    """``repository:team/locks:pull,push`` (auth/scope.md)."""
    return f"repository:{repository}:{','.join(actions)}"


class _Token(msgspec.Struct):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | None = None


class Authenticator:
    """Answers challenges. ``plain`` says which hosts may be talked to without TLS; ``find`` has credentials for
    hosts."""

    def __init__(self, plain: Callable[[str], bool], find: Callable[[str], Awaitable[RegistryLogin | None]]) -> None:
        self._plain = plain
        self._find = find
        self._tokens: dict[tuple[str, tuple[str, ...]], tuple[str, float]] = {}

    def remembered(self, access: RegistryAccess) -> str | None:
        """The header to send unasked."""
        if access.header is not None or find_request_credentials(access.host) is not None:
            return access.header
        token, expires = self._tokens.get((access.host, access.scopes), ("", 0.0))
        return f"Bearer {token}" if expires > time.monotonic() else None

    async def answer(self, session: aiohttp.ClientSession, access: RegistryAccess, challenges: list[Challenge]) -> bool:
        """Find out what to send next; ``False`` where there is nothing that could help.

        Raises CredentialsError, RegistryDeniedError and what talking to the token server raises.
        """
        self._tokens.pop((access.host, access.scopes), None)
        access.tried += 1
        bearer = next((c for c in challenges if c.scheme == "bearer" and "realm" in c.parameters), None)
        if bearer is None and not any(c.scheme == "basic" for c in challenges):
            return False
        credentials = await self._find(access.host)
        if bearer is not None:
            access.header = "Bearer " + await self._token(session, access, bearer, credentials)
        elif credentials is not None and credentials.username:
            access.header = credentials.basic
        else:
            return False
        return True

    async def _token(
        self,
        session: aiohttp.ClientSession,
        access: RegistryAccess,
        challenge: Challenge,
        credentials: RegistryLogin | None,
    ) -> str:
        realm = URL(challenge.parameters["realm"])
        self._check_realm(access.host, realm)
        scopes = sorted({*access.scopes, *challenge.parameters.get("scope", "").split()})
        service = challenge.parameters.get("service", "")
        request = _token_request(session, realm, service, scopes, credentials)
        async with request as response:
            _check_token_status(access.host, realm, response, known=credentials is not None)
            answer = _decode_token(access.host, await response.content.read(_TOKEN_LIMIT))
        token = answer.token or answer.access_token
        if not token:
            raise NotRegistryError(f"{realm.host} gave no token for {access.host}")
        lasts = (answer.expires_in or _LIFETIME) * 0.9
        if find_request_credentials(access.host) is None:
            self._tokens[(access.host, access.scopes)] = (token, time.monotonic() + lasts)
        return token

    def _check_realm(self, host: str, realm: URL) -> None:
        if realm.scheme == "https" or (realm.scheme == "http" and self._plain(realm.authority)):
            return
        raise CredentialsError(
            f"{host} sends us to {realm.origin() if realm.is_absolute() else realm} for a token, which is not https",
            hint="Name that host under `insecure` in [registries] if the network is yours.",
        )


def _token_request(
    session: aiohttp.ClientSession, realm: URL, service: str, scopes: list[str], credentials: RegistryLogin | None
) -> Any:  # noqa: ANN401 - aiohttp's context manager has no public name
    if credentials is not None and credentials.identity_token:
        form = {"grant_type": "refresh_token", "service": service, "client_id": "roost", "scope": " ".join(scopes)}
        form["refresh_token"] = credentials.identity_token
        return session.post(realm, data=form, allow_redirects=False, proxy=proxy_for(realm), timeout=_PATIENCE)
    query = [("service", service)] if service else []
    query += [("scope", each) for each in scopes]
    headers = {"Authorization": credentials.basic} if credentials is not None else {}
    url = realm.extend_query(query)
    return session.get(url, headers=headers, allow_redirects=False, proxy=proxy_for(realm), timeout=_PATIENCE)


def _check_token_status(host: str, realm: URL, response: aiohttp.ClientResponse, *, known: bool) -> None:
    if response.status == 200:
        return
    if response.status in (400, 401, 403):
        what = "refuses the credentials" if known else "gives nobody a token without credentials"
        raise RegistryDeniedError(f"{realm.host} {what} for {host}", hint=f"`docker login {host}`.")
    if response.status == 429:
        raise RegistryBusyError(f"{realm.host} gives no more tokens for {host} now (HTTP 429)", hint="Try again later.")
    kind = RegistryBrokenError if response.status >= 500 else NotRegistryError
    raise kind(f"{realm.host} answers HTTP {response.status} to a request for a token for {host}")


def _decode_token(host: str, data: bytes) -> _Token:
    try:
        return msgspec.json.decode(data, type=_Token)
    except msgspec.DecodeError:
        raise NotRegistryError(f"What should be a token for {host} is none") from None
