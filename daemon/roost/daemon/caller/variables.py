"""The variables of a caller: their names, their form in a request, and which of them are no secrets. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from roost.model.errors import InvalidRequestError

HEADER = "Roost-Caller"
"""Header of a request with the caller's variables: a JSON object of names to values, in ASCII."""
PROXIES = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO")
SSH = ("SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_SSH")
"""Not ``GIT_ASKPASS``: it asks at the caller's terminal or editor, and by further variables of theirs."""
DOCKER = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
NETWORK = (*PROXIES, *CERTIFICATES, *SSH)
"""How to reach servers: nothing that changes what is chosen."""
NAMES = (*NETWORK, *DOCKER, "PATH")

_SECRET = ("SSH_AUTH_SOCK", "GIT_SSH_COMMAND")
"""An agent signs for whoever reaches it, and a command may contain a password."""
_PASSWORD = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://[^/:@]*):[^/@]*@")
_USERINFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?[^/@]*@")


def parse_variables(header: str) -> dict[str, str]:
    """Return the variables in a request's header; those with other names, and empty ones, are ignored.

    Raises: InvalidRequestError if it is not a JSON object of texts.
    """
    try:
        found = json.loads(header)  # not msgspec: a value may have bytes that are not UTF-8, as lone surrogates
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidRequestError(
            f"The header {HEADER} is not a JSON object of texts", hint="A client of another version may send it."
        )
    return {name: found[name] for name in NAMES if found.get(name) and "\0" not in found[name]}


def select_network(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those that processes need to reach servers."""
    return {name: variables[name] for name in NETWORK if name in variables}


def select_docker(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those that name an engine, without passwords: they are stored with runs."""
    return {name: _PASSWORD.sub(r"\1@", variables[name]) for name in DOCKER if variables.get(name)}


def without_secrets(variables: Mapping[str, str]) -> dict[str, str]:
    """Return what may be kept for work without a caller: no agent, no command, no user or password in a URL."""
    kept = {
        name: _USERINFO.sub(r"\1", value) if name in PROXIES else value
        for name, value in variables.items()
        if name not in _SECRET
    }
    return {**kept, **select_docker(variables)}


def find_differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Return the names with different values that can make a download or a build fail: all but PATH."""
    return [name for name in NAMES if name != "PATH" and one.get(name) != other.get(name)]


def explain_first_caller(hint: str, names: Sequence[str]) -> str:
    """Return ``hint`` of an error of work that another request began, whose caller has other values of ``names``."""
    if not names:
        return hint
    note = (
        f"Another request began this work, with its own {', '.join(names)}, which differ here: run the command again "
        "to use yours."
    )
    return f"{hint} {note}" if hint else note
