"""Secrets in URLs: find them, and separate them from the text.

A URL may carry ``user:password@`` (RFC 3986, 3.2.1), conda's ``/t/TOKEN/`` path prefix, or a signed query (Azure's
``sig=``, S3's ``X-Amz-Signature=``, plain ``token=``). None of them may reach a digest, the index or a log. A part
that is only ``${VAR}`` is not a secret and stays as written.
"""

from __future__ import annotations

import re

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>[^\s\"'<>\]]+)")
_VARIABLE = re.compile(r"(?:\$\{\w+\}:?)+")
_TOKEN = re.compile(r"(?P<token>/t/[^/]+)(?=/)")
_SIGNED = re.compile(r"(?:^|&)(?:sig|token|access_token|auth|key|X-Amz-Signature|X-Goog-Signature)=", re.IGNORECASE)
_RAW_PASSWORD = re.compile(r"[^/?#@:]+:(?!\d+(?:[/?#]|$))[^@]*@")
_COMPUTED = r"(?:\$\{\w+(?::?\?[^}\n]*)?\}|\$\w+|\$\([^)\n]*\)|`[^`\n]*`)"
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
    return _URL.sub(lambda match: _strip_url(match["scheme"], match["rest"], found), text), found


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
