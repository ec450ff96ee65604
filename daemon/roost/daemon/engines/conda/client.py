"""rattler's HTTP client, with nothing ambient: no keyring, no ``RATTLER_AUTH_FILE``, no netrc of its own.

Its default client reads all of these, so the client is put together here: retries, mirrors and the credentials that
rattler's auth file or this one request gave. Proxies (``HTTPS_PROXY`` …) and ``SSL_CERT_FILE`` do pass.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit

from rattler.networking import AddHeadersMiddleware, Client, MirrorMiddleware, RetryMiddleware

from roost.daemon.credentials.auth_files import load_auth_entries
from roost.daemon.engines.conda.channels import quoted


class ChannelCredentials:
    """What is sent to which host: request headers, and ``/t/TOKEN`` in front of the path. Blocks. ``auth_file``:
    ``None`` for rattler's own place. Raises AuthFileError."""

    def __init__(self, auth_file: str | None, given: Mapping[str, str]) -> None:
        self.headers: dict[str, str] = {}
        """Host (``*.host`` for all below it) to the value of ``Authorization``."""
        self.tokens: dict[str, str] = {}
        """``scheme://host[:port]`` to ``/t/TOKEN``."""
        self.places: dict[str, str] = {}
        """A channel that names variables to the one with their values."""
        for host, entry in load_auth_entries(auth_file).items():
            self._add_entry(host, entry)
        for origin in sorted(given, key=lambda place: not place.startswith("//")):  # what a URL had counts more
            self._add(origin, given[origin])

    def _add_entry(self, host: str, entry: Mapping[str, object]) -> None:
        basic = entry.get("BasicHTTP")
        if isinstance(basic, dict):
            self.headers[host] = _basic(f"{basic['username']}:{basic['password']}")
        elif "BearerToken" in entry:
            self.headers[host] = f"Bearer {entry['BearerToken']}"
        else:
            self.tokens[f"https://{host}"] = f"/t/{entry['CondaToken']}"

    def _add(self, origin: str, secret: str) -> None:
        if secret.startswith("/t/"):
            self.tokens[origin] = secret
        elif "${" in origin:
            self.places[origin] = secret
        elif not secret.startswith("?"):
            self.headers[urlsplit(origin).hostname or origin] = _basic(unquote(secret))

    def for_request(self, host: str, _path: str) -> dict[str, str] | None:
        """What rattler's middleware asks before each request; from a foreign thread."""
        parts = host.split(".")
        wildcards = ["*." + ".".join(parts[n:]) for n in range(len(parts))]
        found = next((self.headers[name] for name in (host, *wildcards) if name in self.headers), None)
        return {"Authorization": found} if found else None

    def with_token(self, url: str) -> str:
        """``url`` with the token of its host, if there is one and it has none."""
        match = re.match(r"[a-z]+://[^/]+", url)
        token = self.tokens.get(match.group()) if match else None
        return f"{match.group()}{token}{url[match.end() :]}" if match and token else url


def _basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


def make_client(
    mirrors: Mapping[str, Sequence[str]], credentials: ChannelCredentials, *, retries: int, timeout: float | None
) -> Client:
    """A client for one request of ours. ``timeout`` in seconds bounds one whole HTTP exchange: not for big files."""
    routes = {origin: [origin + token] for origin, token in credentials.tokens.items()}
    routes |= {quoted(hidden): [credentials.with_token(url)] for hidden, url in credentials.places.items()}
    routes |= {prefix: [credentials.with_token(url) for url in urls] for prefix, urls in mirrors.items()}
    # Outermost first: a retry must be able to come to another mirror, and headers go to the host really asked.
    middlewares: list[RetryMiddleware | MirrorMiddleware | AddHeadersMiddleware] = [RetryMiddleware(retries)]
    if routes:
        middlewares.append(MirrorMiddleware(routes))
    if credentials.headers:
        middlewares.append(AddHeadersMiddleware(credentials.for_request))
    seconds = max(1, round(timeout)) if timeout is not None else None
    return Client(middlewares, user_agent="roost", timeout=seconds)  # type: ignore[arg-type]
