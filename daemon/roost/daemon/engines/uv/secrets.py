"""The credentials of one request: what goes into URLs, headers, netrc and git's configuration, and what is redacted.

Pure.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit


class Secrets:
    """Credentials for one request, as :mod:`roost.model.syntax.urls` takes them out of URLs.

    These are: ``scheme://host[:port]`` to ``user:password`` or ``/t/TOKEN``; a URL to its signed ``?query``; a URL with
    the names of variables to the one with their values; and ``//host[:port]`` to ``user:password``, for everything on
    the host that has no other.
    """

    def __init__(self, credentials: Mapping[str, str]) -> None:
        self._all = dict(credentials)
        self._logins = {origin: value for origin, value in credentials.items() if _is_login(origin, value)}
        passwords = [value.partition(":")[2] for value in credentials.values()]
        # A shorter password is redacted only with its user: alone it would garble texts that happen to contain it.
        words = [*credentials.values(), *(word for word in passwords if len(unquote(word)) > 3)]
        self._words = sorted({form for word in words for form in (word, unquote(word)) if word}, key=len, reverse=True)

    @property
    def all(self) -> Mapping[str, str]:
        """The credentials as they were given."""
        return self._all

    def with_more(self, credentials: Mapping[str, str]) -> Secrets:
        """Return these credentials and ``credentials``."""
        return Secrets({**self._all, **credentials})

    def substitute(self, url: str) -> str:
        """Return ``url`` with the token or signature that belongs to it."""
        bare, mark, fragment = url.partition("#")
        for origin, value in self._all.items():
            if value.startswith("?") and bare == origin:
                return bare + value + mark + fragment
            if value.startswith("/") and (bare + "/").startswith(origin + "/"):
                return origin + value + bare[len(origin) :] + mark + fragment
        return url

    def is_secret(self, url: str) -> bool:
        """Return whether ``url`` has a secret beside a login: a token, a signature, or the value of a variable."""
        has_variables = any("${" in origin and value == url for origin, value in self._all.items())
        return has_variables or self.substitute(url) != url

    def mask(self, url: str) -> str:
        """Return ``url`` without tokens and signatures, the opposite of :meth:`substitute`."""
        for value in self._all.values():
            url = url.replace(value, "", 1) if value[:1] in ("/", "?") else url
        return url

    def redact(self, text: str) -> str:
        """Return ``text`` with every secret replaced by ``****``."""
        for word in self._words:
            text = text.replace(word, "****")
        return text

    def find_login(self, url: str) -> tuple[str, str] | None:
        """Return user and password for ``url``, if there are any."""
        split = urlsplit(url)
        host = split.netloc.rpartition("@")[2]
        origins = (f"{split.scheme}://{host}", f"//{host.lower()}", f"//{split.hostname}")
        found = next((self._logins[origin] for origin in origins if origin in self._logins), None)
        if found is None:
            return None
        user, _, password = found.partition(":")
        return unquote(user), unquote(password)

    def headers(self, url: str) -> dict[str, str]:
        """Return the ``Authorization`` header for ``url`` (RFC 7617), if there are credentials for it."""
        pair = self.find_login(url)
        if pair is None:
            return {}
        return {"Authorization": "Basic " + base64.b64encode(":".join(pair).encode()).decode()}

    def netrc(self) -> str:
        """Return a netrc file with these credentials, each host once: netrc has no ports."""
        lines: dict[str, str] = {}
        for origin in sorted(self._logins, key=lambda each: each.startswith("//")):
            user, password = self.find_login(origin) or ("", "")
            host = urlsplit(origin).hostname or ""
            lines.setdefault(host, f"machine {host} login {_quote_netrc(user)} password {_quote_netrc(password)}\n")
        return "".join(lines.values())

    def git_variables(self) -> dict[str, str]:
        """Return the environment variables that configure git with a header for each origin."""
        variables: dict[str, str] = {}
        for number, origin in enumerate(self._logins):
            url = f"https:{origin}" if origin.startswith("//") else origin
            variables[f"GIT_CONFIG_KEY_{number}"] = f"http.{url}/.extraHeader"
            variables[f"GIT_CONFIG_VALUE_{number}"] = f"Authorization: {self.headers(origin)['Authorization']}"
        return {**variables, "GIT_CONFIG_COUNT": str(len(self._logins))} if self._logins else {}


def _quote_netrc(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if set(text) & set(' \t"\\#') else text


def _is_login(origin: str, value: str) -> bool:
    """Whether it is user and password: no token, no signature, no URL in place of one that names variables."""
    return value[:1] not in ("/", "?") and "${" not in origin
