"""rattler's HTTP client without ambient credentials: no keyring, no ``RATTLER_AUTH_FILE``, no netrc of its own.

rattler's default client reads all of these, so the client is assembled here from retries, mirrors and the credentials
of rattler's auth file or of the request. Proxies (``HTTPS_PROXY`` …) and ``SSL_CERT_FILE`` do apply.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from rattler.networking import AddHeadersMiddleware, Client, MirrorMiddleware, RetryMiddleware

from roost.daemon.credentials.auth_files import load_auth_entries
from roost.daemon.engines.conda.channels import ChannelRoutes, quote_braces
from roost.daemon.engines.conda.jobs import ChannelAccess


class ChannelCredentials:
    """What is sent to which host: request headers, and ``/t/TOKEN`` before the path.

    ``auth_file`` is the path of rattler's auth file, ``None`` for its default path; ``given`` are the credentials of
    the request by origin, which take precedence. Creating one blocks. Raises ``AuthFileError``.
    """

    def __init__(self, auth_file: str | None, given: Mapping[str, str]) -> None:
        self.headers: dict[str, str] = {}
        """Host (``*.host`` for all below it) to the value of ``Authorization``."""
        self.tokens: dict[str, str] = {}
        """``scheme://host[:port]`` to ``/t/TOKEN``."""
        self.masked_channels: dict[str, str] = {}
        """URL of a channel with the names of variables to the one with their values."""
        for host, entry in load_auth_entries(auth_file).items():
            self._add_entry(host, entry)
        for origin in sorted(given, key=lambda each: not each.startswith("//")):  # those of a URL override the host's
            self._add_secret(origin, given[origin])

    def _add_entry(self, host: str, entry: Mapping[str, object]) -> None:
        basic = entry.get("BasicHTTP")
        if isinstance(basic, dict):
            self.headers[host] = _basic_header(f"{basic['username']}:{basic['password']}")
        elif "BearerToken" in entry:
            self.headers[host] = f"Bearer {entry['BearerToken']}"
        else:
            self.tokens[f"https://{host}"] = f"/t/{entry['CondaToken']}"

    def _add_secret(self, origin: str, secret: str) -> None:
        if secret.startswith("/t/"):
            self.tokens[origin] = secret
        elif "${" in origin:
            self.masked_channels[origin] = secret
        elif not secret.startswith("?"):
            self.headers[urlsplit(origin).hostname or origin] = _basic_header(unquote(secret))

    def request_headers(self, host: str, _path: str) -> dict[str, str] | None:
        """Return the headers for a request to ``host``; called by rattler's middleware from a thread of its own."""
        parts = host.split(".")
        wildcards = ["*." + ".".join(parts[n:]) for n in range(len(parts))]
        found = next((self.headers[name] for name in (host, *wildcards) if name in self.headers), None)
        return {"Authorization": found} if found else None

    def with_token(self, url: str) -> str:
        """Return ``url`` with the token of its host, if there is one."""
        match = re.match(r"[a-z]+://[^/]+", url)
        token = self.tokens.get(match.group()) if match else None
        return f"{match.group()}{token}{url[match.end() :]}" if match and token else url


def _basic_header(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


def open_client(access: ChannelAccess, routes: ChannelRoutes) -> Client:
    """Return a client for one job. Raises ``AuthFileError``."""
    credentials = ChannelCredentials(access.auth_file, access.credentials)
    mirrors = {origin: [origin + token] for origin, token in credentials.tokens.items()}
    mirrors |= {
        quote_braces(masked): [credentials.with_token(url)] for masked, url in credentials.masked_channels.items()
    }
    mirrors |= {prefix: [credentials.with_token(url) for url in urls] for prefix, urls in routes.http_mirrors().items()}
    # Outermost first: a retry must be able to reach another mirror, and headers go to the host that is really asked.
    middlewares: list[RetryMiddleware | MirrorMiddleware | AddHeadersMiddleware] = [RetryMiddleware(access.retries)]
    if mirrors:
        middlewares.append(MirrorMiddleware(mirrors))
    if credentials.headers:
        middlewares.append(AddHeadersMiddleware(credentials.request_headers))
    seconds = max(1, round(access.timeout)) if access.timeout is not None else None
    return Client(middlewares, user_agent="roost", timeout=seconds)  # type: ignore[arg-type]
