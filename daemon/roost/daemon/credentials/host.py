"""Credentials for channels and package indexes: found for one request, and not stored.

Sources, the first one with a host takes precedence: the URL itself (``${VARIABLE}`` in it, which the engines
substitute), the config's ``[credentials."HOST"]`` (variables, or the keyring), rattler's auth file, a netrc. Engines
get them under the key ``//HOST``, for every URL of that host. They change no solve, so that they may come from outside
the definition.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import msgspec

from roost.daemon.config.config import Config
from roost.daemon.config.schema import HostCredentials
from roost.daemon.credentials.auth_files import (
    NETRC_PATH,
    access_hint,
    encode_userinfo,
    load_auth_entries,
    read_netrc,
)
from roost.daemon.credentials.substitution import VariableMissingError, insert_values
from roost.model.definition import Definition
from roost.model.errors import CodedError
from roost.model.locks.lock import Lock
from roost.model.syntax.urls import INDEX_VARIABLES, strip_credentials
from roost.wire.protocol import WarningView

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>\\]+")
_CHANNEL_ALIAS = "https://conda.anaconda.org"
_KEYRING_SECONDS = 30.0


class KeyringError(CodedError):
    """The keyring did not return a password that the config refers to."""

    code = "keyring-failed"
    exit_status = 6


def find_solve_urls(definition: Definition, config: Config) -> set[str]:
    """Return the URLs that a solve of ``definition`` may use: those in it, and the config's mirrors and index."""
    text = msgspec.json.encode([definition.conda, definition.pip]).decode()
    urls = {match.group() for match in _URL.finditer(text)}
    if definition.conda.dependencies or definition.conda.explicit:
        urls |= {_CHANNEL_ALIAS, *(url for mirrors in config.conda.mirrors.values() for url in mirrors)}
    if definition.pip.requirements and config.pip.index_url is not None:
        urls.add(config.pip.index_url)
    return urls


def find_lock_urls(lock: Lock) -> set[str]:
    """Return the URLs that the packages of ``lock`` are fetched from."""
    return {package.url for package in lock.conda} | {wheel.url for wheel in lock.wheels if wheel.url}


def find_url_credentials(definition: Definition, environ: Mapping[str, str]) -> dict[str, str]:
    """Return origin to ``user:password`` of pip lines that refer to them by ``${VARIABLE}``.

    The pip engine reads them in this form for a lock.
    """
    text = msgspec.json.encode(definition.pip).decode()
    urls = [match.group() for match in _URL.finditer(text) if "${" in match.group().partition("@")[0]]
    credentials: dict[str, str] = {}
    for url in urls:
        full_url = insert_values(url, environ)
        credentials |= {
            origin: value for origin, value in strip_credentials(full_url)[1].items() if value[:1] not in ("/", "?")
        }
    return credentials


def find_config_variables(config: Config) -> set[str]:
    """Return the names of the variables that hold the config's credentials."""
    hosts = config.settings.credentials.values()
    return {name for host in hosts for name in (host.username_variable, host.password_variable) if name is not None}


def require_host_variables(urls: Iterable[str], config: Config, environ: Mapping[str, str]) -> None:
    """Raise VariableMissingError if credentials of a host in ``urls`` are in a variable that is not in ``environ``."""
    sources = _credential_sources(config)
    for host in sorted(_configured_hosts(urls, sources)):
        names = [name for name in (sources[host].username_variable, sources[host].password_variable) if name]
        absent = [name for name in names if name not in environ]
        if absent:
            raise VariableMissingError(
                f"The credentials for {host} are in {' and '.join(absent)}, which the environment does not set",
                hint="Set it where roost is called: " + " ".join(f"{name}=…" for name in absent) + " roost …",
                fields={"variables": sorted({*environ, *names}), "host": host},
            )


async def find_credentials(urls: Iterable[str], config: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``//HOST`` to ``user:password`` (percent-encoded) of every host in any source.

    The keyring is asked only for hosts in ``urls``.

    Raises: VariableMissingError if a variable for a host in ``urls`` is missing; KeyringError if the keyring has no
    password for one; AuthFileError if the configured auth file can't be read.
    """
    urls, sources = list(urls), _credential_sources(config)
    require_host_variables(urls, config, environ)
    found = await asyncio.to_thread(_read_files, config)
    required = _configured_hosts(urls, sources)
    for host, source in sources.items():
        userinfo = _read_variables(source, environ)
        if userinfo is None and source.keyring and host in required:
            password = await _ask_keyring(host, source.username or "", config.network.keyring)
            userinfo = encode_userinfo(source.username, password)
        if userinfo is not None:
            found[host] = userinfo
    return {f"//{host}": userinfo for host, userinfo in found.items()}


def dropped_credentials_warnings(credentials: Mapping[str, str]) -> list[WarningView]:
    """Return the warnings for a version whose definition had ``credentials`` in its URLs.

    See ``roost.model.syntax.urls``.
    """
    return [
        WarningView(
            code="credentials-not-kept",
            message=f"The definition's credentials for {place} are not stored with it: later builds need "
            f"them from elsewhere. {access_hint(place)}",
        )
        for place in sorted(credentials)
        if not place.startswith(INDEX_VARIABLES)
    ]


def _read_files(config: Config) -> dict[str, str]:
    """Return host to userinfo of the auth file and the netrc. Blocks.

    rattler's entry takes precedence over the netrc's, even if it is not a user and password, which only the conda
    engine can use.
    """
    entries = load_auth_entries(config.conda.auth_file)
    netrc = NETRC_PATH if config.network.netrc is None else config.network.netrc
    found = read_netrc(netrc) if netrc != "" else {}
    found = {host: userinfo for host, userinfo in found.items() if host not in entries}
    logins = {host: entry["BasicHTTP"] for host, entry in entries.items() if "BasicHTTP" in entry}
    return found | {host: encode_userinfo(login["username"], login["password"]) for host, login in logins.items()}


def _credential_sources(config: Config) -> dict[str, HostCredentials]:
    return {host.lower(): source for host, source in config.settings.credentials.items()}


def _configured_hosts(urls: Iterable[str], sources: Mapping[str, HostCredentials]) -> set[str]:
    """Return the hosts of ``sources`` that ``urls`` are on; a source with a port is for that port only."""
    if not sources:
        return set()
    return {name for url in urls for name in _host_names(url)} & set(sources)


def _host_names(url: str) -> tuple[str, ...]:
    """Return the host of ``url`` with and without its port."""
    with suppress(ValueError):
        split = urlsplit(url)
        return split.netloc.rpartition("@")[2].lower(), split.hostname or ""
    return ()


def _read_variables(source: HostCredentials, environ: Mapping[str, str]) -> str | None:
    """Return the userinfo in the client's variables, if all are set. They are read again for each request, so that a
    change has effect at once."""
    if source.password_variable is None:
        return None
    user = environ.get(source.username_variable) if source.username_variable else source.username
    password = environ.get(source.password_variable)
    return encode_userinfo(user, password) if user is not None and password is not None else None


async def _ask_keyring(host: str, user: str, command: str) -> str:
    """Return the output of ``keyring get HOST USER``, the interface that uv and pip use too.

    Raises: KeyringError if the command fails, prints nothing, or takes too long.
    """
    hint = f"`{command} set {host} {user}` stores it; [network] keyring in roost's config names another command."
    try:
        process = await asyncio.create_subprocess_exec(
            command,
            "get",
            host,
            user,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise KeyringError(f"The keyring can't be queried for {host}: {command}: {error.strerror}", hint=hint) from None
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _KEYRING_SECONDS)
    except BaseException as error:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if isinstance(error, asyncio.TimeoutError):
            raise KeyringError(
                f"The keyring did not answer for {host} within {_KEYRING_SECONDS:.0f} s: it may be locked",
                hint="Unlock it and try again.",
            ) from None
        raise
    password = output.decode("utf-8", "replace").rstrip("\r\n")
    if process.returncode != 0 or not password:
        raise KeyringError(f"The keyring has no password for {user} at {host}", hint=hint)
    return password
