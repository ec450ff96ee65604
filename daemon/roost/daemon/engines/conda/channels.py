"""Channels as people write them to URLs, and where each is really fetched from.

What is locked and written into a prefix names the canonical URL of a channel, whatever mirror or token it came by.
rattler's middleware sees to mirrors and tokens over HTTP; it can't lead from HTTP to a folder, so that a ``file://``
mirror is given to rattler as a channel of its own and led back here. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from roost.daemon.credentials.substitution import VariableMissingError, mask_text
from roost.model.syntax.specs import is_package_file
from roost.model.syntax.urls import strip_credentials

ALIAS = "https://conda.anaconda.org"
_ANACONDA = "https://repo.anaconda.com/pkgs"
_SUBDIR = re.compile(r"(noarch|(linux|osx|win|emscripten|wasi|freebsd|zos)-[a-z0-9_]+)$")
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")


class Channels(NamedTuple):
    """Canonical URLs in order, without secrets, and the secrets that were in them."""

    urls: tuple[str, ...]
    credentials: dict[str, str]


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``${VAR}`` and ``$VAR``, as conda does in environment files; a missing one is an error, not itself."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in variables:
            raise VariableMissingError(
                f"{text!r} needs the variable {name}, which is not set",
                hint=f"Set {name} and try again.",
                fields={"variables": [*variables, name]},
            )
        return variables[name]

    return _VARIABLE.sub(value, text)


def secrets_of(texts: Iterable[str], variables: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The credentials for channels, specs or package URLs as they were written: ``given``, and what is in variables.

    A reader takes literal secrets out of a definition and leaves ``${VAR}`` standing, in the text or in a secret.
    """
    found: dict[str, str] = {}
    for text in texts:
        found |= strip_credentials(expand(text, variables))[1]
    braced = re.compile(r"\$\{(\w+)\}")  # a password may hold a lone `$`
    return found | {
        origin: braced.sub(lambda match: variables.get(match[1], match[0]), secret) for origin, secret in given.items()
    }


def channel_urls(names: Iterable[str], variables: Mapping[str, str], alias: str = ALIAS) -> Channels:
    """The channels that ``names`` mean, each once, in order.

    ``defaults`` are conda's own main and r (and on Windows msys2, which roost leaves out); a name is under ``alias``;
    a path is a folder. A platform behind a URL is dropped, as conda does.
    """
    urls: dict[str, None] = {}
    credentials: dict[str, str] = {}
    for name in names:
        bare, secrets = strip_credentials(expand(name.strip(), variables))
        credentials |= secrets
        urls |= dict.fromkeys(channel_url(bare, alias))
    return Channels(tuple(urls), credentials)


def channel_url(name: str, alias: str = ALIAS) -> list[str]:
    """The canonical URLs of one channel, without a trailing slash; two for ``defaults``."""
    name = name.strip().rstrip("/")
    if name == "defaults":
        return [f"{_ANACONDA}/main", f"{_ANACONDA}/r"]
    if name.startswith("pkgs/"):
        return [f"{_ANACONDA}/{name.removeprefix('pkgs/')}"]
    head, _, last = name.rpartition("/")
    if head and _SUBDIR.match(last):
        name = head
    if _SCHEME.match(name):
        return [name]
    if name.startswith("/"):
        return [f"file://{name}"]
    return [f"{alias.rstrip('/')}/{name}"]


def hidden(url: str, variables: Mapping[str, str]) -> str:
    """``url`` with ``${NAME}`` in its path in the place of the values of variables, which are often tokens.

    rattler is given this one, for it writes what it is given into prefixes and caches; the client knows the other.
    """
    match = _AUTHORITY.match(url)
    if match is None:
        return url
    return match.group() + mask_text(url[match.end() :], variables)


def quoted(url: str) -> str:
    """``url`` as rattler spells it: braces are percent-encoded in a path (WHATWG's URL standard)."""
    return url.replace("{", "%7B").replace("}", "%7D")


def written_channel(text: str) -> str:
    """The channel in a channel as written, a match spec or a package's URL."""
    if is_package_file(text):
        return text.rsplit("/", 2)[0]
    return (split_channel(text)[0] or text).rstrip("/")


class Routes:
    """Where canonical URLs are fetched from, given the configured mirrors (prefix → URLs, the first that works)."""

    def __init__(
        self, mirrors: Mapping[str, Sequence[str]], is_folder: Callable[[str], bool], alias: str = ALIAS
    ) -> None:
        self._is_folder = is_folder
        self._mirrors = {
            channel_url(prefix, alias)[0]: [u.rstrip("/") for u in urls] for prefix, urls in mirrors.items()
        }

    def http_mirrors(self) -> dict[str, list[str]]:
        """The mirrors that rattler's middleware can use."""
        found = {prefix: [u for u in urls if not u.startswith("file:")] for prefix, urls in self._mirrors.items()}
        return {prefix: urls for prefix, urls in found.items() if urls}

    def mirrored(self, url: str) -> bool:
        """Whether the config has something else for ``url``."""
        return any(url == prefix or url.startswith(prefix + "/") for prefix in self._mirrors)

    def fetch_url(self, url: str) -> str:
        """``url`` itself, as rattler spells it, or what it is in the first ``file://`` mirror that is there."""
        for prefix in sorted(self._mirrors, key=len, reverse=True):
            if url == prefix or url.startswith(prefix + "/"):
                return self._in_folder(url[len(prefix) :], self._mirrors[prefix]) or quoted(url)
        return quoted(url)

    def _in_folder(self, rest: str, mirrors: Sequence[str]) -> str | None:
        for mirror in mirrors:
            if mirror.startswith("file://") and self._is_folder(mirror.removeprefix("file://")):
                return mirror + rest
        return None


def split_channel(spec: str) -> tuple[str, str]:
    """``(channel, spec without it)`` of a match spec as rattler reads it: ``a::b`` or ``b[channel="a"]``."""
    head, bracket, tail = spec.partition("[")
    if "::" in head:
        channel, _, rest = head.rpartition("::")
        return channel, rest + bracket + tail
    match = re.search(r"""(,\s*)?\bchannel\s*=\s*("[^"]*"|'[^']*'|[^,\]]+)(\s*,\s*)?""", bracket + tail)
    if match is None:
        return "", spec
    inside = (bracket + tail).replace(match.group(), "," if match[1] and match[3] else "")
    return match[2].strip("\"'"), head + ("" if inside == "[]" else inside)
