"""Files of credentials that other tools keep: a netrc, and the JSON of rattler and pixi. Read when they are needed."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from netrc import NetrcParseError, netrc
from typing import Any
from urllib.parse import quote

from roost.store.errors import UsageError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^\s/?#\"'<>`()]+)")
log = logging.getLogger(__name__)
NETRC = "~/.netrc"
RATTLER = "~/.rattler/credentials.json"


class AuthFileError(UsageError):
    """The config's ``conda.auth_file`` can't be read or is not what rattler's tools write."""

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
    return {host: pair_of(login or account, password) for host, (login, account, password) in named.items()}


def pair_of(user: str | None, password: str | None) -> str:
    """``user:password`` as it stands in a URL."""
    return f"{quote(user or '', safe='')}:{quote(password or '', safe='')}"


def auth_file(configured: str | None) -> str | None:
    """rattler's file: the one that the config names, else its own place if it is there. Blocks."""
    if configured is not None:
        return configured
    own = os.path.expanduser(RATTLER)
    return own if os.path.exists(own) else None


def read_auth_file(path: str) -> dict[str, dict[str, Any]]:
    """Host (``*.host`` for all below it) to its entry. Blocks. Raises AuthFileError."""
    try:
        with open(os.path.expanduser(path), "rb") as stream:
            entries = json.load(stream)
        if all(_is_entry(entry) for entry in entries.values()):
            return dict(entries)
    except OSError as error:
        raise AuthFileError(f"conda.auth_file {path} can't be read: {error.strerror}") from None
    except (ValueError, AttributeError):
        pass
    raise AuthFileError(
        f"conda.auth_file {path} is not the JSON that `rattler auth` or `pixi auth` writes",
        hint='It maps hosts to {"BearerToken": …}, {"CondaToken": …} or {"BasicHTTP": {…}}.',
    )


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, Mapping):
        return False
    basic = entry.get("BasicHTTP")
    if isinstance(basic, Mapping):
        return {"username", "password"} <= set(basic)
    return "BearerToken" in entry or "CondaToken" in entry


def ways_for(place: str) -> str:
    """What to do where ``place`` (a text with a URL) refuses access: every way there is to give credentials."""
    match = _URL.search(place)
    host = match.group(1).rpartition("@")[2] if match else ""
    table = f'[credentials."{host}"]' if host else "[credentials]"
    return (
        f"Give credentials for {host or 'it'}: in ~/.netrc, under {table} in roost's config (a variable or the "
        "keyring), in rattler's auth file (conda.auth_file), or as ${USER}:${PASSWORD}@ in its URL."
    )
