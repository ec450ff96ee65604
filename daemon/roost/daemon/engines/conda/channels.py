"""From channels as people write them to URLs, and where each URL is really fetched from. Pure.

What is locked and written into a prefix names the canonical URL of a channel, whatever mirror or token it was fetched
through. rattler's middleware handles mirrors and tokens over HTTP; it can't redirect from HTTP to a folder, so a
``file://`` mirror is passed to rattler as a channel of its own and its URLs are translated back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from roost.daemon.credentials.substitution import (
    VariableMissingError,
    insert_into_secret,
    insert_values,
    mask_text,
)
from roost.daemon.jobs.unpacking import UNPACKED_BYTES
from roost.model.syntax.match_specs import is_package_file, to_rattler
from roost.model.syntax.urls import strip_credentials

ALIAS = "https://conda.anaconda.org"
"""Where a channel without a URL lies, unless the config says otherwise."""
_ANACONDA = "https://repo.anaconda.com/pkgs"
_SUBDIR = re.compile(r"(noarch|(linux|osx|win|emscripten|wasi|freebsd|zos)-[a-z0-9_]+)$")
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_BRACED_VARIABLE = re.compile(r"\$\{(\w+)\}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")


class CondaConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the config that the engine uses."""

    mirrors: dict[str, list[str]] = {}
    """Channel (name or URL prefix) to the URLs to fetch it from; these may be ``file://`` URLs."""
    channel_alias: str = ALIAS
    auth_file: str | None = None
    """Path of rattler's auth file; ``None``: its default path."""
    index_timeout: float = 120.0
    """Seconds for one HTTP exchange about a channel's index."""
    idle_timeout: float = 60.0
    """Seconds that a channel may send nothing of a package."""
    retries: int = 2
    unpacked_bytes: int = UNPACKED_BYTES
    """Largest size of one package when it is unpacked."""


class ChannelUrls(NamedTuple):
    """The canonical URLs of channels in order, without secrets, and the secrets that were in them by origin."""

    urls: tuple[str, ...]
    credentials: dict[str, str]


def expand_variables(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``${VAR}`` and ``$VAR``, as conda does in environment files.

    Raises:
        VariableMissingError: if a variable is not set (conda would leave its name in the text).
    """

    for match in _VARIABLE.finditer(text):
        name = match[1] or match[2]
        if name not in variables:
            raise VariableMissingError(
                f"{text!r} needs the variable {name}, which is not set",
                hint=f"Set {name} and try again.",
                fields={"variables": [*variables, name]},
            )
    return insert_values(text, variables, _VARIABLE)


def collect_secrets(texts: Iterable[str], variables: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return the credentials for channels, specs or package URLs as they were written, by origin.

    These are ``given``, and the secrets that the values of ``variables`` bring into ``texts``: a reader takes literal
    secrets out of a definition, but leaves ``${VAR}`` in its place, in the text or in a secret.
    """
    found: dict[str, str] = {}
    for text in texts:
        found |= strip_credentials(expand_variables(text, variables))[1]
    # Only braced variables: a password may contain a lone `$`.
    return found | {origin: insert_into_secret(secret, variables, _BRACED_VARIABLE) for origin, secret in given.items()}


def resolve_channels(names: Iterable[str], variables: Mapping[str, str], alias: str = ALIAS) -> ChannelUrls:
    """Return the URLs of the channels that ``names`` mean, each once, in order."""
    urls: dict[str, None] = {}
    credentials: dict[str, str] = {}
    for name in names:
        bare, secrets = strip_credentials(expand_variables(name.strip(), variables))
        credentials |= secrets
        urls |= dict.fromkeys(canonical_urls(bare, alias))
    return ChannelUrls(tuple(urls), credentials)


def canonical_urls(name: str, alias: str = ALIAS) -> list[str]:
    """Return the canonical URLs of one channel, without a trailing slash; two for ``defaults``.

    ``defaults`` are conda's own main and r (and on Windows msys2, which roost leaves out); a name lies under ``alias``;
    a path is a folder. A platform at the end of a URL is dropped, as conda does.
    """
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


def mask_path(url: str, variables: Mapping[str, str]) -> str:
    """Return ``url`` with ``${NAME}`` in its path in place of the values of ``variables``, which are often tokens.

    rattler gets the masked URL, because it writes the URLs that it gets into prefixes and caches; only the HTTP client
    knows the real one.
    """
    match = _AUTHORITY.match(url)
    if match is None:
        return url
    return match.group() + mask_text(url[match.end() :], variables)


def quote_braces(url: str) -> str:
    """Return ``url`` as rattler spells it: with percent-encoded braces (WHATWG's URL standard)."""
    return url.replace("{", "%7B").replace("}", "%7D")


def channel_part(text: str) -> str:
    """Return the channel in a channel as written, in a match spec, or in the URL of a package."""
    if is_package_file(text):
        return text.rsplit("/", 2)[0]
    return (split_channel(text)[0] or text).rstrip("/")


def split_channel(spec: str) -> tuple[str, str]:
    """Return the channel of a match spec and the spec without it, as rattler reads ``a::b`` and ``b[channel="a"]``."""
    head, bracket, tail = spec.partition("[")
    if "::" in head:
        channel, _, rest = head.rpartition("::")
        return channel, rest + bracket + tail
    match = re.search(r"""(,\s*)?\bchannel\s*=\s*("[^"]*"|'[^']*'|[^,\]]+)(\s*,\s*)?""", bracket + tail)
    if match is None:
        return "", spec
    inside = (bracket + tail).replace(match.group(), "," if match[1] and match[3] else "")
    return match[2].strip("\"'"), head + ("" if inside == "[]" else inside)


def allowed_channels(channels: Sequence[str], specs: Sequence[str], variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the URLs of ``channels`` and of the channels that ``specs`` name. Raises ``VariableMissingError``."""
    texts = [to_rattler(expand_variables(spec, variables)) for spec in specs]
    files = [text.rsplit("/", 2)[0] for text in texts if is_package_file(text)]
    names = [split_channel(text)[0] for text in texts if not is_package_file(text)]
    named = [url for name in names if name for url in canonical_urls(name)]
    return (*resolve_channels(channels, variables).urls, *files, *named)


class ChannelRoutes:
    """Where canonical URLs are fetched from, given the configured mirrors (prefix to URLs; the first that works)."""

    def __init__(
        self, mirrors: Mapping[str, Sequence[str]], is_folder: Callable[[str], bool], alias: str = ALIAS
    ) -> None:
        self._is_folder = is_folder
        self._mirrors = {
            canonical_urls(prefix, alias)[0]: [u.rstrip("/") for u in urls] for prefix, urls in mirrors.items()
        }

    def http_mirrors(self) -> dict[str, list[str]]:
        """Return the mirrors that rattler's middleware can use."""
        found = {prefix: [u for u in urls if not u.startswith("file:")] for prefix, urls in self._mirrors.items()}
        return {prefix: urls for prefix, urls in found.items() if urls}

    def is_mirrored(self, url: str) -> bool:
        """Return whether the config names a mirror for ``url``."""
        return any(url == prefix or url.startswith(prefix + "/") for prefix in self._mirrors)

    def fetch_url(self, url: str) -> str:
        """Return where rattler fetches ``url`` from: the first ``file://`` mirror whose folder exists, or ``url``."""
        for prefix in sorted(self._mirrors, key=len, reverse=True):
            if url == prefix or url.startswith(prefix + "/"):
                for mirror in self._mirrors[prefix]:
                    if mirror.startswith("file://") and self._is_folder(mirror.removeprefix("file://")):
                        return mirror + url[len(prefix) :]
                return quote_braces(url)
        return quote_braces(url)
