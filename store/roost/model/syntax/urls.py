"""Secrets in URLs: find them, and separate them from the text.

A URL may carry ``user:password@`` (RFC 3986, 3.2.1), conda's ``/t/TOKEN/`` path prefix, or a signed query (Azure's
``sig=``, S3's ``X-Amz-Signature=``, plain ``token=``). None of them may reach a digest, the index or a log. A part
that is only ``${VAR}`` is not a secret and stays as written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import ascii_letters, digits
from typing import NamedTuple

INDEX_VARIABLES = "uv-index+"
"""Prefix of an origin among the keys of credentials, whose value names variables that may be set, but need not be."""
_SCHEME_CHARACTERS = frozenset(ascii_letters + digits + "+.-")
_REST = re.compile(r"[^\s\"'<>\]]+")
_VARIABLE = re.compile(r"(?:\$\{\w+\}:?)+")
_TOKEN = re.compile(r"(?P<token>/t/[^/]+)(?=/)")
_SIGNED = re.compile(r"(?:^|&)(?:sig|token|access_token|auth|key|X-Amz-Signature|X-Goog-Signature)=", re.IGNORECASE)
_RAW_PASSWORD = re.compile(r"[^/?#@:]+:(?!\d+(?:[/?#]|$))[^@]*@")
_COMPUTED = r"(?:\$\{\w+(?::?\?[^{}\n]*)?\}|\$\w+|\$\([^()\n]*\)|`[^`\n]*`)"
_COMPUTED_PASSWORD = re.compile(rf"://(?:[^/?#@:\s\"']*:)?{_COMPUTED}+@")
_COMPUTED_PARAMETER = re.compile(rf"(?<=[?&])[\w-]+={_COMPUTED}+(?=[&#\s\"']|$)")
_PUBLIC_USER_SCHEMES = ("ssh", "wasb", "abfs")
"""Schemes in which the part before the ``@`` is not a secret: a user who authenticates by key, a storage container."""
_VERSION_CONTROL = ("git+", "hg+", "svn+", "bzr+")


def strip_credentials(text: str) -> tuple[str, dict[str, str]]:
    """Return ``text`` without the secrets in its URLs, and the secrets.

    Their keys are ``scheme://host[:port]`` (for a signed query: with the path), the values ``user:password``,
    ``/t/TOKEN`` or ``?query``, each as written.
    """
    found: dict[str, str] = {}
    pieces, end = [], 0
    for url in _iterate_urls(text):
        pieces += [text[end : url.start], _strip_url(url.scheme, url.rest, found)]
        end = url.end
    return "".join([*pieces, text[end:]]), found


def find_secret_spans(text: str) -> list[tuple[int, int]]:
    """Return where URLs in ``text`` have users, passwords, hosts, conda's tokens and signed queries: (start, end), in
    order."""
    spans: list[tuple[int, int]] = []
    for url in _iterate_urls(text):
        authority, slash, path = _split_authority(url.rest)
        begin = url.end - len(url.rest)
        spans.append((begin, begin + len(authority)))
        begin += len(authority)
        path = slash + path
        if token := _TOKEN.search(path):
            spans.append((begin + token.start(), begin + token.end()))
        bare = path.partition("#")[0]
        place, question, query = bare.partition("?")
        if question and _SIGNED.search(query):
            spans.append((begin + len(place), begin + len(bare)))
    return spans


class _UrlMatch(NamedTuple):
    """A URL in a text: its parts around ``://``, and its span."""

    scheme: str
    rest: str
    start: int
    end: int


def _iterate_urls(text: str) -> Iterator[_UrlMatch]:
    """Yield the URLs in ``text``. Each character is looked at a bounded number of times, whatever the text."""
    end = 0
    while (colon := text.find("://", end)) >= 0:
        start = colon
        while start > end and text[start - 1] in _SCHEME_CHARACTERS:
            start -= 1
        while start < colon and text[start] not in ascii_letters:
            start += 1
        rest = _REST.match(text, colon + 3)
        if start == colon or rest is None:
            end = colon + 3
            continue
        end = rest.end()
        yield _UrlMatch(text[start:colon], rest.group(), start, end)


def find_written_credentials(text: str) -> tuple[int, str] | None:
    """Return the line number of the first secret that is written out in a URL of a script (a Dockerfile or a docker
    step), and the place that it is for; ``None`` if there is none.

    What a shell or Docker inserts when the script runs (``$TOKEN``, ``$(cat …)``) is not a secret.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        literal = _COMPUTED_PARAMETER.sub("", _COMPUTED_PASSWORD.sub("://", line))
        if found := strip_credentials(literal)[1]:
            return number, next(iter(found))
    return None


def _strip_url(scheme: str, rest: str, found: dict[str, str]) -> str:
    authority, slash, path = _split_authority(rest)
    user, at, host = authority.rpartition("@")
    origin = f"{_transport_scheme(scheme)}://{host}"
    if at and _is_secret(scheme, user):
        found[origin] = user
        authority = host
    path = _strip_query(origin, _strip_token(origin, slash + path, found), found)
    return f"{scheme}://{authority}{path}"


def _split_authority(rest: str) -> tuple[str, str, str]:
    """Split at the end of the authority: the first ``/``, ``?`` or ``#`` (RFC 3986, 3.2) that is not in a password.

    Users write these characters into passwords without escaping them.
    """
    secret = _RAW_PASSWORD.match(rest)
    match = re.compile(r"[/?#]").search(rest, secret.end() if secret else 0)
    if match is None:
        return rest, "", ""
    return rest[: match.start()], match.group(), rest[match.end() :]


def _transport_scheme(scheme: str) -> str:
    for prefix in _VERSION_CONTROL:
        if scheme.startswith(prefix):
            return scheme[len(prefix) :]
    return scheme


def _is_secret(scheme: str, user: str) -> bool:
    if not user or _VARIABLE.fullmatch(user):
        return False
    return ":" in user or not _transport_scheme(scheme).lower().startswith(_PUBLIC_USER_SCHEMES)


def _strip_token(origin: str, path: str, found: dict[str, str]) -> str:
    match = _TOKEN.search(path)
    if match is None or _VARIABLE.fullmatch(match["token"].removeprefix("/t/")):
        return path
    found[origin] = match["token"]
    return path[: match.start()] + path[match.end() :]


def _strip_query(origin: str, path: str, found: dict[str, str]) -> str:
    bare, mark, fragment = path.partition("#")
    place, question, query = bare.partition("?")
    if not question or not _SIGNED.search(query):
        return path
    found[origin + place] = "?" + query
    return place + mark + fragment
