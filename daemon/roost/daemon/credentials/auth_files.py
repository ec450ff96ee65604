"""Files of credentials that other tools keep: a netrc, and the JSON of rattler and pixi. Read when they are needed."""

from __future__ import annotations

import json
import logging
import os
import re
from netrc import NetrcParseError, netrc
from typing import Any
from urllib.parse import quote

from roost.model.errors import InvalidRequestError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^\s/?#\"'<>`()]+)")
log = logging.getLogger(__name__)
AuthEntry = dict[str, Any]
NETRC_PATH = "~/.netrc"
AUTH_FILE_PATH = "~/.rattler/credentials.json"


class AuthFileError(InvalidRequestError):
    """rattler's file of credentials can't be read, or is not what its tools write."""

    code = "auth-file-invalid"


def read_netrc(path: str) -> dict[str, str]:
    """Host to ``user:password``, both percent-encoded. Blocks. Nothing where there is no such file.

    A ``default`` entry is left out: it would go to every channel. One that can't be read is logged and left alone, for
    most of what roost fetches is public.
    """
    try:
        hosts = netrc(os.path.expanduser(path)).hosts
    except FileNotFoundError:
        return {}
    except (OSError, NetrcParseError, UnicodeDecodeError) as error:
        said = error.msg if isinstance(error, NetrcParseError) else type(error).__name__
        log.warning("%s can't be read (%s): nothing in it counts", path, said)
        return {}
    named = {host: entry for host, entry in hosts.items() if host != "default"}
    return {
        host.lower(): encode_userinfo(login or account, password) for host, (login, account, password) in named.items()
    }


def encode_userinfo(user: str | None, password: str | None) -> str:
    """``user:password`` as it stands in a URL."""
    return f"{quote(user or '', safe='')}:{quote(password or '', safe='')}"


def load_auth_entries(configured: str | None) -> dict[str, AuthEntry]:
    """Host (``*.host`` for all below it) to its entry in rattler's file: the one that the config names, else its own
    place. Blocks. Raises AuthFileError for the one that was named; the other, if it can't be read, is logged."""
    if configured is not None:
        return read_auth_file(configured)
    try:
        return read_auth_file(AUTH_FILE_PATH) if os.path.exists(os.path.expanduser(AUTH_FILE_PATH)) else {}
    except AuthFileError as error:
        log.warning("%s: nothing in it counts", error.message)
        return {}


def read_auth_file(path: str) -> dict[str, AuthEntry]:
    """The entries that hold what is sent over HTTP: others (of S3) are left out. Blocks. Raises AuthFileError."""
    try:
        with open(os.path.expanduser(path), "rb") as stream:
            entries = json.load(stream)
        return {host: entry for host, entry in entries.items() if _is_known(entry)}
    except OSError as error:
        raise AuthFileError(f"The auth file {path} can't be read: {error.strerror}") from None
    except (ValueError, AttributeError, KeyError, TypeError):
        raise AuthFileError(
            f"The auth file {path} is not the JSON that `rattler auth` or `pixi auth` writes",
            hint='It maps hosts to {"BearerToken": …}, {"CondaToken": …} or {"BasicHTTP": {…}}.',
        ) from None


def _is_known(entry: AuthEntry) -> bool:
    """Raises AttributeError, KeyError or TypeError for what is no entry at all."""
    kind = next(iter(entry.keys()), None)
    if kind == "BasicHTTP":
        return all(isinstance(entry[kind][name], str) for name in ("username", "password"))
    return kind in ("BearerToken", "CondaToken")


def access_hint(place: str) -> str:
    """What to do where ``place`` (a text with a URL) refuses access: every way there is to give credentials."""
    match = _URL.search(place)
    host = match.group(1).rpartition("@")[2] if match else ""
    table = f'[credentials."{host}"]' if host else "[credentials]"
    return (
        f"Give credentials for {host or 'it'}: in ~/.netrc, under {table} in roost's config (a variable or the "
        "keyring), in rattler's auth file (conda.auth_file), or as ${USER}:${PASSWORD}@ in its URL."
    )
