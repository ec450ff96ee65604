"""What requests tell of the world that their command was called in: proxies, certificates, agents, Docker's address,
PATH, the terminal. Imported where each import counts.
"""

from __future__ import annotations

import os
from _json import encode_basestring_ascii

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing itself costs as much as the request does
    from collections.abc import Mapping, Sequence
    from typing import Any

HEADER = "Roost-Caller"
NAMES = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"),
    *("SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_SSH"),
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"),
    "PATH",
)
"""The same as in ``roost.daemon.caller.variables``, which is not installed where only a client is; a test compares
them."""
_PATHS = ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "SSH_AUTH_SOCK", "DOCKER_CONFIG", "DOCKER_CERT_PATH")

_SECRET_ENDS = ("TOKEN", "KEY", "SECRET", "PASSWORD", "PASSWD", "PWD", "PASSPHRASE", "PAT", "CREDENTIALS")
_LEAST_SECRET = 8
"""Characters of a value that is looked for in a command: a shorter one may be there by chance."""


def caller_header() -> str:
    """Return the value of the header: a JSON object in ASCII."""
    found = [(name, os.environ[name]) for name in NAMES if os.environ.get(name)]
    found = [(name, os.path.abspath(value) if name in _PATHS else value) for name, value in found]
    return "{" + ",".join(f'"{name}":{encode_basestring_ascii(value)}' for name, value in found) + "}"


def current_terminal() -> dict[str, Any] | None:
    """Return ``wire.Terminal`` as JSON; ``None`` unless all standard streams are a terminal and this process is in its
    foreground."""
    try:
        if not (os.isatty(0) and os.isatty(1) and os.isatty(2)) or _in_background():
            return None
        size = os.get_terminal_size(0)
    except OSError:
        return None
    return {"kind": os.environ.get("TERM", "xterm"), "rows": size.lines, "columns": size.columns}


def _in_background() -> bool:
    try:
        return os.tcgetpgrp(0) != os.getpgrp()
    except OSError:  # not this process's controlling terminal, which has no background therefore
        return False


def find_word_values(words: Sequence[str], secrets: Mapping[str, str] = {}) -> dict[str, str]:
    """Return the variables that are secrets, by their names or because they are ``secrets``, and whose values are in
    words of a command, where a shell has put them. The daemon records ``${NAME}`` in their place."""
    text = "\0".join(words)
    named = {
        name: value
        for name, value in os.environ.items()
        if len(value) >= _LEAST_SECRET and name.upper().endswith(_SECRET_ENDS) and value in text
    }
    return {**named, **{name: value for name, value in secrets.items() if value and value in text}}
