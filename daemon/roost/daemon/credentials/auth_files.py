"""Credential files of other tools: a netrc, and the JSON of rattler and pixi. They are read for each request."""

from __future__ import annotations

import json
import logging
import os
import re
from netrc import NetrcParseError, netrc
from typing import Any
from urllib.parse import quote

from roost.model.errors import MALFORMED_JSON, InvalidRequestError
from roost.store.disk.regular_files import open_regular, read_regular

_URL_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^\s/?#\"'<>`()]+)")
log = logging.getLogger(__name__)
AuthEntry = dict[str, Any]
"""One host's credentials in rattler's file: a kind (``BasicHTTP``, ``BearerToken``, ``CondaToken``) to its value."""
NETRC_PATH = "~/.netrc"
AUTH_FILE_PATH = "~/.rattler/credentials.json"


class AuthFileError(InvalidRequestError):
    """rattler's credential file can't be read, or is not in the form that its tools write."""

    code = "auth-file-invalid"


def read_netrc(path: str) -> dict[str, str]:
    """Return host to ``user:password``, both percent-encoded; nothing if there is no such file. Blocks.

    A ``default`` entry is ignored: it would be sent to every channel. A file that can't be read is logged and ignored,
    since most of what roost fetches is public.
    """
    try:
        with open_regular(os.path.expanduser(path)) as file:
            hosts = netrc(f"/dev/fd/{file.fileno()}").hosts
    except FileNotFoundError:
        return {}
    except (OSError, NetrcParseError, UnicodeDecodeError) as error:
        # Its message may have a password: the word after `login NAME` in a file that lacks `password`.
        at = f"line {error.lineno}" if isinstance(error, NetrcParseError) else type(error).__name__
        log.warning("%s can't be read (%s) and is ignored", path, at)
        return {}
    return {
        host.lower(): encode_userinfo(login or account, password)
        for host, (login, account, password) in hosts.items()
        if host != "default"
    }


def find_netrc_fault(path: str) -> str | None:
    """Return why the netrc can't be read, without anything that is in it; ``None`` if it can, or does not exist.
    Blocks."""
    try:
        with open_regular(os.path.expanduser(path)) as file:
            netrc(f"/dev/fd/{file.fileno()}")
    except FileNotFoundError:
        return None
    except NetrcParseError as error:
        return f"line {error.lineno} can't be read"
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except OSError as error:
        return error.strerror or type(error).__name__
    return None


def encode_userinfo(user: str | None, password: str | None) -> str:
    """Return ``user:password``, percent-encoded as in a URL."""
    return f"{quote(user or '', safe='')}:{quote(password or '', safe='')}"


def load_auth_entries(configured: str | None) -> dict[str, AuthEntry]:
    """Return the entries of the configured auth file, else of rattler's default one. Blocks.

    Keys are hosts; ``*.host`` stands for all hosts below it. A default file that can't be read is logged and ignored.

    Raises: AuthFileError if the configured file can't be read.
    """
    if configured is not None:
        return read_auth_file(configured)
    try:
        return read_auth_file(AUTH_FILE_PATH) if os.path.exists(os.path.expanduser(AUTH_FILE_PATH)) else {}
    except AuthFileError as error:
        log.warning("%s: the file is ignored", error.message)
        return {}


def read_auth_file(path: str) -> dict[str, AuthEntry]:
    """Return the entries whose credentials are sent over HTTP; those for S3 are left out. Blocks.

    Raises: AuthFileError if the file can't be read or is not rattler's JSON.
    """
    try:
        entries = json.loads(read_regular(os.path.expanduser(path)))
        return {host: entry for host, entry in entries.items() if _is_http_entry(entry)}
    except OSError as error:
        raise AuthFileError(f"The auth file {path} can't be read: {error.strerror}") from None
    except (*MALFORMED_JSON, AttributeError, KeyError, TypeError):
        raise AuthFileError(
            f"The auth file {path} is not the JSON that `rattler auth` or `pixi auth` writes",
            hint='It maps hosts to {"BearerToken": …}, {"CondaToken": …} or {"BasicHTTP": {…}}.',
        ) from None


def _is_http_entry(entry: AuthEntry) -> bool:
    """Return whether ``entry`` is for HTTP. Raises: AttributeError, KeyError or TypeError if it is not an entry."""
    kind = next(iter(entry.keys()), None)
    if kind == "BasicHTTP":
        return all(isinstance(entry[kind][name], str) for name in ("username", "password"))
    return kind in ("BearerToken", "CondaToken")


def access_hint(location: str) -> str:
    """Return the hint for ``location`` (text with a URL) that denies access: all ways to provide credentials."""
    match = _URL_AUTHORITY.search(location)
    host = match.group(1).rpartition("@")[2] if match else ""
    table = f'[credentials."{host}"]' if host else "[credentials]"
    return (
        f"Give credentials for {host or 'it'}: in ~/.netrc, under {table} in roost's config (a variable or the "
        "keyring), in rattler's auth file (conda.auth_file), or as ${USER}:${PASSWORD}@ in its URL."
    )
